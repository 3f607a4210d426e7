"""Risk limits: which of the passed candidates an account with a limited appetite would take.

The law: one candidate after the other in the order of decision, each judged by what was known at its close.
A taken trade holds its slot from `decided_ms` on, while its order waits as well as while it is open.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass

from core.clock import DAY_MS, HOUR_MS, floor_to, timeframe_ms

__all__ = ["LIMITS", "Account", "LimitRules", "Outcome"]

LIMITS = ("MAX_OPEN", "MAX_OPEN_PER_SYMBOL", "COOLDOWN", "STOP_GUARD", "DAILY_LOSS")
MAX_OPEN, MAX_OPEN_PER_SYMBOL, COOLDOWN, STOP_GUARD, DAILY_LOSS = LIMITS

NEVER_MS = 2**62


@dataclass(frozen=True, slots=True)
class LimitRules:
    """The limits in force.

    Parameters
    ----------
    capital_usd : float
        What `max_daily_loss_pct` is a part of.
    max_open, max_open_per_symbol : int
        Most slots held at once, in all and by one symbol.
    cooldown_candles : int
        Candles of its timeframe that a symbol rests after a stop there.
    guard_stops : int
        So many stops inside `guard_window_hours`, on any symbol, pause everything for `guard_pause_hours`.
    guard_window_hours, guard_pause_hours : float
    max_daily_loss_pct : float
        Percent of capital lost by trades that ended in the UTC day; nothing is taken for the rest of it.
    """

    capital_usd: float
    max_open: int
    max_open_per_symbol: int
    cooldown_candles: int
    guard_stops: int
    guard_window_hours: float
    guard_pause_hours: float
    max_daily_loss_pct: float

    @property
    def memory_ms(self) -> int:
        """How long the end of a trade can matter, leaving out cooldowns."""
        return int(max(DAY_MS, (self.guard_window_hours + self.guard_pause_hours) * HOUR_MS))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a candidate's trade went, as far as it is known.

    Parameters
    ----------
    symbol, timeframe : str
    decided_ms : int
        When it was decided, UTC milliseconds.
    frees_ms : int
        When its slot is free again: `known_ms` of a finished trade, the end of validity of a waiting order,
        `NEVER_MS` of an open position.
    stopped : bool
        It ended with reason SL.
    pnl_usd : float
        Its result at its own size; 0 until it has ended.
    """

    symbol: str
    timeframe: str
    decided_ms: int
    frees_ms: int
    stopped: bool
    pnl_usd: float


class Account:
    """The slots, stops and losses of one account as time goes by.

    Candidates must come in order of `decided_ms`. O(log n) each.

    Examples
    --------
    >>> account = Account(LimitRules(10_000, 1, 1, 0, 4, 24, 12, 3))
    >>> first = Outcome("BTC/USDT", "15m", 0, 900_000, False, 5.0)
    >>> account.refuses(first), account.takes(first), account.refuses(first)
    ('', None, 'MAX_OPEN')
    """

    def __init__(self, rules: LimitRules) -> None:
        self.rules = rules
        self._held: list[tuple[int, int, Outcome]] = []  # ordered by when they free their slot
        self._by_symbol: Counter[str] = Counter()
        self._rests_until: dict[tuple[str, str], int] = {}
        self._stops: deque[int] = deque()
        self._paused_until = 0
        self._day = 0
        self._day_pnl = 0.0
        self._count = 0

    def refuses(self, candidate: Outcome) -> str:
        """Return the name of the limit that refuses a candidate now, or ``""``."""
        self._advance(candidate.decided_ms)
        rules = self.rules
        if len(self._held) >= rules.max_open:
            return MAX_OPEN
        if self._by_symbol[candidate.symbol] >= rules.max_open_per_symbol:
            return MAX_OPEN_PER_SYMBOL
        if candidate.decided_ms < self._rests_until.get((candidate.symbol, candidate.timeframe), 0):
            return COOLDOWN
        if candidate.decided_ms < self._paused_until:
            return STOP_GUARD
        today = floor_to(candidate.decided_ms, DAY_MS)
        if self._day == today and self._day_pnl <= -rules.max_daily_loss_pct / 100.0 * rules.capital_usd:
            return DAILY_LOSS
        return ""

    def takes(self, candidate: Outcome) -> None:
        """Note that a candidate was taken; its outcome counts from the moment it is known."""
        heapq.heappush(self._held, (candidate.frees_ms, self._count, candidate))
        self._count += 1
        self._by_symbol[candidate.symbol] += 1

    def _advance(self, now_ms: int) -> None:
        """Let every outcome known by `now_ms` count, in the order they became known."""
        while self._held and self._held[0][0] <= now_ms:
            _, _, ended = heapq.heappop(self._held)
            self._by_symbol[ended.symbol] -= 1
            self._book(ended)

    def _book(self, ended: Outcome) -> None:
        day = floor_to(ended.frees_ms, DAY_MS)
        if day != self._day:
            self._day, self._day_pnl = day, 0.0
        self._day_pnl += ended.pnl_usd
        if not ended.stopped:
            return
        rest_ms = self.rules.cooldown_candles * timeframe_ms(ended.timeframe)
        self._rests_until[ended.symbol, ended.timeframe] = ended.frees_ms + rest_ms
        self._stops.append(ended.frees_ms)
        while self._stops[0] <= ended.frees_ms - self.rules.guard_window_hours * HOUR_MS:
            self._stops.popleft()
        if len(self._stops) >= self.rules.guard_stops:
            self._paused_until = ended.frees_ms + int(self.rules.guard_pause_hours * HOUR_MS)
