"""Whom to ask: a symbol that keeps failing is asked less often, and an exchange that answers nobody is asked about one.

The law: nothing rests for longer than `LONGEST_REST_MS`, and an answer ends every rest that began during the same
outage, so that an outage of the whole exchange is made good in the cycle that finds it over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.clock import MINUTE_MS

__all__ = [
    "LONGEST_REST_MS",
    "OPEN_AFTER",
    "Board",
    "Failing",
    "Verdict",
    "breakers_key",
    "first_wave",
    "judge",
    "second_wave",
]

OPEN_AFTER = 5
"""Cycles in a row in which a symbol was not answered for, after which it is asked less often."""

LONGEST_REST_MS = 15 * MINUTE_MS
"""Longest time a symbol is left alone."""

_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Failing:
    """A symbol that is not answered for.

    Parameters
    ----------
    since_ms : int
        Market time of the first cycle it failed in.
    faults : int
        Cycles in a row it was asked in and failed.
    opened_ms : int or None
        Since when it is asked less often; None while it is asked each cycle.
    ask_after_ms : int
        Market time before which it is left alone.
    reason : str
        What was said last.
    """

    since_ms: int
    faults: int
    opened_ms: int | None
    ask_after_ms: int
    reason: str

    def is_resting(self, now_ms: int) -> bool:
        """Say whether it is left alone now; a rest planned by a clock that has been set back since does not count."""
        return self.opened_ms is not None and 0 < self.ask_after_ms - now_ms <= LONGEST_REST_MS


@dataclass(frozen=True, slots=True)
class Board:
    """Which symbols fail, and since when nobody is answered for.

    Parameters
    ----------
    failing : mapping of str to Failing
    down_since_ms : int or None
        Since when no symbol at all is answered for.
    """

    failing: Mapping[str, Failing] = field(default_factory=dict)
    down_since_ms: int | None = None

    def to_text(self) -> str:
        """Write the text `from_text` reads; ``""`` where all is well."""
        if not self.failing and self.down_since_ms is None:
            return ""
        rows = {
            symbol: [one.since_ms, one.faults, one.opened_ms, one.ask_after_ms, one.reason]
            for symbol, one in sorted(self.failing.items())
        }
        return json.dumps({"down_since_ms": self.down_since_ms, "failing": rows})

    @classmethod
    def from_text(cls, text: str | None) -> Board:
        """Read a board; what cannot be read is taken for all is well, and found out again.

        Examples
        --------
        >>> Board.from_text(Board(down_since_ms=60_000).to_text()).down_since_ms
        60000
        """
        try:
            told = json.loads(text or "{}")
            failing = {
                str(symbol): Failing(
                    int(since), int(faults), None if opened is None else int(opened), int(ask), str(said)
                )
                for symbol, (since, faults, opened, ask, said) in told.get("failing", {}).items()
            }
            down_ms = told.get("down_since_ms")
            return cls(failing, None if down_ms is None else int(down_ms))
        except (ValueError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a cycle changed.

    Parameters
    ----------
    board : Board
    opened : tuple of str
        Symbols that are asked less often from now on.
    closed : tuple of str
        Symbols that were, and are answered for again.
    """

    board: Board
    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def breakers_key(exchange: str) -> str:
    """Return the note of the table `meta` that holds the board of an exchange, as `Board.to_text` writes it.

    Examples
    --------
    >>> breakers_key("bitget")
    'breakers:bitget'
    """
    return f"breakers:{exchange}"


def first_wave(board: Board, symbols: Sequence[str], now_ms: int, cycle_ms: int) -> list[str]:
    """Return whom to ask first, in the order of `symbols`.

    Parameters
    ----------
    board : Board
    symbols : sequence of str
        All that are followed.
    now_ms : int
        Market time.
    cycle_ms : int
        Time between two cycles.

    Notes
    -----
    While nobody is answered for it is one, another one each cycle, those first that failed least before. Else it is
    all that do not rest, and of several that do one more, another one each cycle: what keeps many from being
    answered for ends for all at once.
    """
    turn = now_ms // max(1, cycle_ms)
    resting = _resting(board, symbols, now_ms)
    if board.down_since_ms is not None and symbols:
        trusted = [symbol for symbol in symbols if not _is_open(board, symbol)] or list(symbols)
        return [trusted[turn % len(trusted)]]
    scout = {resting[turn % len(resting)]} if len(resting) > 1 else set()
    return [symbol for symbol in symbols if symbol not in resting or symbol in scout]


def second_wave(
    board: Board, symbols: Sequence[str], asked: Collection[str], answered: Collection[str], now_ms: int
) -> list[str]:
    """Return whom to ask as well, now that some have been answered for, in the order of `symbols`.

    Parameters
    ----------
    board : Board
        As it was before the first wave.
    symbols : sequence of str
        All that are followed.
    asked, answered : collection of str
        The first wave, and those of it that were answered for.
    now_ms : int
        Market time.

    Notes
    -----
    After an outage of the exchange: all but those that rested before it began. Else: those whose rest began while
    one of the answered failed.
    """
    over = [board.failing[symbol].since_ms for symbol in answered if symbol in board.failing]
    if board.down_since_ms is not None and answered:
        over.append(board.down_since_ms)
    if not over:
        return []
    resting, began_ms = set(_resting(board, symbols, now_ms)), min(over)
    others = [symbol for symbol in symbols if symbol not in asked]
    return [symbol for symbol in others if symbol not in resting or (board.failing[symbol].opened_ms or 0) >= began_ms]


def judge(
    board: Board,
    symbols: Collection[str],
    outcomes: Mapping[str, str | None],
    is_heard: bool,
    now_ms: int,
    cycle_ms: int,
) -> Verdict:
    """Return what a cycle changes.

    Parameters
    ----------
    board : Board
        As it was before the cycle.
    symbols : collection of str
        All that are followed; others are forgotten.
    outcomes : mapping of str to str or None
        By symbol that was asked: why it was not answered for, None where it was.
    is_heard : bool
        Whether the exchange has spoken at all, be it to refuse.
    now_ms : int
        Market time.
    cycle_ms : int
        Time between two cycles.

    Examples
    --------
    >>> told = judge(Board(), ["BTC", "ETH"], {"BTC": "timed out", "ETH": None}, True, 60_000, 60_000)
    >>> told.board.failing["BTC"].faults, told.board.down_since_ms
    (1, None)
    """
    known = {symbol: one for symbol, one in board.failing.items() if symbol in symbols}
    if board.down_since_ms is not None and not is_heard:
        return Verdict(replace(board, failing=known))  # what fails all of them counts against none
    failing, opened, closed = dict(known), [], []
    for symbol, reason in outcomes.items():
        if symbol not in symbols:
            continue
        before = known.get(symbol)
        if reason is None:
            if before is not None and before.opened_ms is not None:
                closed.append(symbol)
            failing.pop(symbol, None)
            continue
        failing[symbol] = after = _failed(before, reason, now_ms, cycle_ms)
        if after.opened_ms is not None and (before is None or before.opened_ms is None):
            opened.append(symbol)
    waking = [symbol for symbol in symbols if not (symbol in known and known[symbol].is_resting(now_ms))]
    is_down = bool(outcomes) and not is_heard and all(outcomes.get(symbol) is not None for symbol in waking)
    return Verdict(Board(failing, now_ms if is_down else None), tuple(opened), tuple(closed))


def _failed(before: Failing | None, reason: str, now_ms: int, cycle_ms: int) -> Failing:
    since_ms, faults = (now_ms, 1) if before is None else (before.since_ms, before.faults + 1)
    reason = reason[:_REASON_LENGTH]
    if faults < OPEN_AFTER:
        return Failing(since_ms, faults, None, now_ms, reason)
    opened_ms = now_ms if before is None or before.opened_ms is None else before.opened_ms
    doubled = min(faults - OPEN_AFTER + 1, 10)
    # Half a cycle less, so that a cycle that comes a moment early is not one too many.
    rest_ms = min((1 << doubled) * cycle_ms, LONGEST_REST_MS) - cycle_ms // 2
    return Failing(since_ms, faults, opened_ms, now_ms + rest_ms, reason)


def _is_open(board: Board, symbol: str) -> bool:
    return symbol in board.failing and board.failing[symbol].opened_ms is not None


def _resting(board: Board, symbols: Sequence[str], now_ms: int) -> list[str]:
    return [symbol for symbol in symbols if symbol in board.failing and board.failing[symbol].is_resting(now_ms)]
