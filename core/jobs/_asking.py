"""What a command of the bot is given, and what it gives back.

The law: a command reads at a desk of its own and changes nothing itself; what is to be changed it hands back, to be
done in the transaction that queues the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.clock import timeframe_ms
from core.errors import UsageError, nearest
from core.jobs._desk import Desk
from core.jobs.why import moment_of
from core.results.explain import Moment
from core.results.paging import pages
from core.store.writer import Writer

__all__ = ["Ask", "Command", "Reply", "count_in", "number_in", "symbol_in", "timeframe_in"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A command as it was heard.

    Parameters
    ----------
    desk : Desk
        To read at only: it is used in another thread than the engine's.
    channel : str
        Where it was heard.
    user_id : int
    text : str
    private : bool
        Said to the bot alone, or with its name.
    now_ms : int
        Market time.
    words : tuple of str
        The arguments.
    """

    desk: Desk
    channel: str
    user_id: int
    text: str
    private: bool
    now_ms: int
    words: tuple[str, ...] = ()

    @property
    def moment(self) -> Moment:
        """When and for whom the answer is made."""
        return moment_of(self.desk, self.now_ms, self.desk.exchange)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered, and what the command changes.

    Parameters
    ----------
    html : str
        With ``<b>`` and ``<code>`` within a line only.
    change : callable, optional
        Called once with the writer, in the transaction that queues the answer.
    monospaced : bool
        The text is a table without tags: its columns line up.
    """

    html: str
    change: Callable[[Writer], object] | None = None
    monospaced: bool = False

    @property
    def pages(self) -> list[str]:
        """The answer as messages, each short enough."""
        return pages(self.html, self.monospaced)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Parameters
    ----------
    name : str
    arguments : str
        As shown in the usage: ``ID``, ``[n]``.
    told : str
        What it does, in a few words.
    answer : callable
    """

    name: str
    arguments: str
    told: str
    answer: Callable[[Ask], Reply]

    @property
    def usage(self) -> str:
        """The command as it is written."""
        return f"/{self.name} {self.arguments}".rstrip()

    @property
    def takes(self) -> tuple[int, int]:
        """The least and most words it takes."""
        words = self.arguments.split()
        return sum(not word.startswith("[") for word in words), len(words)


def number_in(word: str) -> int:
    """Return the id of a signal that somebody wrote: ``12`` or ``#12``.

    Raises
    ------
    UsageError
        It is none.
    """
    digits = word.removeprefix("#")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
        raise UsageError(f"'{word}' is no id of a signal; expected a number such as 12")
    return int(digits)


def count_in(ask: Ask, default: int, most: int) -> int:
    """Return how many are asked for, from 1 to `most`."""
    if not ask.words:
        return default
    if not (ask.words[0].isascii() and ask.words[0].isdecimal() and 1 <= int(ask.words[0][:6]) <= most):
        raise UsageError(f"'{ask.words[0]}': expected a number from 1 to {most}")
    return int(ask.words[0])


def symbol_in(ask: Ask, word: str) -> str:
    """Return the symbol somebody means: written out, or as much of it as is not another's too.

    Raises
    ------
    UsageError
        No followed or stored symbol is meant, or several are.
    """
    series = ask.desk.reader.series()
    known: set[str] = {*ask.desk.config.symbols, *series.loc[series["exchange"] == ask.desk.exchange, "symbol"]}
    wanted = word.upper()
    for end in ("", ":", "/"):  # written out; without what it settles in; the base alone
        meant = sorted(name for name in known if _bare(_before(name.upper(), end)) == _bare(wanted))
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise UsageError(f"'{word}' may be {', '.join(meant[:5])}; write it out")
    raise UsageError(f"symbol '{word}' is neither configured nor stored; {nearest(wanted, known)}")


def timeframe_in(word: str) -> str:
    """Return the timeframe somebody means: ``15m``, ``1H``."""
    timeframe_ms(word.lower())
    return word.lower()


def _before(name: str, end: str) -> str:
    return name.partition(end)[0] if end else name


def _bare(name: str) -> str:
    return name.replace("/", "").replace(":", "").replace("-", "").replace("_", "")
