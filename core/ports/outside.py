"""What the engine asks of the outside world: a market, and a messenger.

The law: stages and jobs know these names, never a concrete class; `app` alone chooses one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from core.schema import Instrument

__all__ = ["Addressed", "Heard", "Listener", "Market", "Message", "Metered", "Notifier", "Traffic"]


@runtime_checkable
class Market(Protocol):
    """A source of candles that owns the clock.

    Attributes
    ----------
    exchange : str
        The exchange its rows are recorded under.
    synthetic : bool
        True when the candles were generated; every figure made of them says so.
    live : bool
        True when it follows the wall clock; False for a tape.
    """

    exchange: str
    synthetic: bool
    live: bool

    def now_ms(self) -> int:
        """Return the exchange's time, UTC milliseconds."""
        ...

    async def advance(self) -> int | None:
        """Move to the next moment at which a cycle is due; return it, or None at the end of a tape.

        A live market returns its time at once (the scheduler does the waiting); a tape moves its
        own clock by one step, sleeping as its speed says.
        """
        ...

    async def load_markets(self) -> dict[str, Instrument]:
        """Return every symbol that trades, by unified name."""
        ...

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> npt.NDArray[np.float64]:
        """Return candles from `since_ms` on, at most `limit`, oldest first.

        Returns
        -------
        float64 array, shape (n, 6) or (n, 7)
            ts, open, high, low, close, volume and, where known, taker volume. The forming candle may be among
            them. Nothing is cleaned.
        """
        ...

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> npt.NDArray[np.float64] | None:
        """Return settlements from `since_ms` on, shape (n, 2): time in ms, rate as a fraction; None where the
        market keeps no history."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of an exchange, and how it answered.

    Parameters
    ----------
    requests : int
        Every attempt counts.
    failures : int
        Attempts that brought no answer, or none of use.
    waited_ms : int
        Time spent waiting for answers, added up.
    slowest_ms : int
        The longest wait.
    """

    requests: int = 0
    failures: int = 0
    waited_ms: int = 0
    slowest_ms: int = 0


@runtime_checkable
class Metered(Protocol):
    """A market that counts what it asks; a tape has nothing to count."""

    def traffic(self) -> Traffic:
        """Return what was asked since the last call."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a person.

    Parameters
    ----------
    html : str
        The text with Telegram's HTML tags, already escaped.
    plain : str
        The same without tags, for consoles and as a fall-back.
    reply_to : str or None
        The notifier's own id of the message this one answers.
    silent : bool
        Deliver without a sound.
    chat : str
        Whom it is for, in the notifier's own terms; ``""`` is its usual audience.
    document : str
        A file that goes with it, its text being the caption; ``""`` where there is none.
    """

    html: str
    plain: str
    reply_to: str | None = None
    silent: bool = False
    chat: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that arrived from the other side.

    Parameters
    ----------
    id : int
        Grows with each; what is handled is named by the last one's.
    user_id : int
        Who said it; 0 where that is not known.
    chat : str
        Where, as `Message.chat` takes it.
    message_id : str
        As `Message.reply_to` takes it.
    text : str
        The words; ``""`` where it is none of ours.
    private : bool
        Said to us alone, or with our name on it; else among others in a group.
    """

    id: int
    user_id: int
    chat: str
    message_id: str
    text: str
    private: bool = True


@runtime_checkable
class Notifier(Protocol):
    """Delivers messages to one audience."""

    name: str

    async def send(self, message: Message) -> str:
        """Deliver and return the other side's id of the message.

        Raises
        ------
        NotifierUnavailable
            Not now; retrying can help.
        NotifierError
            Never; the message is refused for good.
        """
        ...

    async def check(self) -> None:
        """Return when messages can be delivered as far as one can tell without sending any.

        Raises
        ------
        NotifierUnavailable
            Not now; retrying can help.
        ChatRefused
            Not before a person mends it.
        CredentialsError
            Never, with this token.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A notifier that can be talked to.

    Attributes
    ----------
    name : str
    hears_as : str
        Whose numbers the ids of what is heard are: another one begins to count anew.
    """

    name: str
    hears_as: str

    async def hear(self, after: int) -> list[Heard]:
        """Return at once what has arrived behind the id `after`, oldest first; 0 asks for whatever is there.

        Asking with an id tells the other side that everything up to it is done with.

        Raises
        ------
        NotifierUnavailable
            Not now; retrying can help.
        CredentialsError
            Never, with this token.
        """
        ...


@runtime_checkable
class Addressed(Protocol):
    """A notifier whose audience may move to another address while it runs.

    Attributes
    ----------
    configured : str
        The address it was told to use.
    address : str
        The one in use: another one once it was told of a move.
    """

    name: str
    configured: str
    address: str

    def moved_to(self, address: str) -> None:
        """Use another address from now on."""
        ...
