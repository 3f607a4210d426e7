"""Every error the engine raises on purpose, and the exit code each ends a command with.

The law: a vendor's exception never leaves its adapter; it arrives here as one of these, with a
message of one line that names the thing, its value, what was expected and how to mend it.

    TraderError                 1   a check failed, there is not enough yet, or anything not named below
    |-- ConfigError             2   config.yaml, .env or the environment
    |-- AlreadyRunning          3   another scheduler holds the lock
    |-- StoreError              4   the database is missing, locked, foreign or corrupt
    |-- ModelError              5   a model file is missing or cannot be verified
    |-- CredentialsError        6   a token or key was refused
    |-- MarketError             7   the exchange, for good (it refuses what is asked, a delisted symbol)
    |   |-- UnknownSymbol       7   this symbol does not trade there
    |   `-- MarketUnavailable   7   the exchange, for now: retrying can help
    |-- InputFileError          8   a file handed in by the user
    |-- DiskError               9   no space, no permission, a failing disk
    |-- UsageError             64   wrong arguments on the command line, a name that is not on record
    `-- NotifierError           1   a message could not be delivered
        |-- NotifierUnavailable 1   for now: retrying can help
        `-- ChatRefused         1   the chat takes nothing, until a person changes that

Without an error of its own: 70 (`WATCHDOG_EXIT`), the engine stood still and its watchdog ended it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "WATCHDOG_EXIT",
    "AlreadyRunning",
    "ChatRefused",
    "ConfigError",
    "CredentialsError",
    "DiskError",
    "InputFileError",
    "MarketError",
    "MarketUnavailable",
    "ModelError",
    "NotifierError",
    "NotifierUnavailable",
    "StoreError",
    "TraderError",
    "UnknownSymbol",
    "UsageError",
    "nearest",
]

WATCHDOG_EXIT = 70
"""What the process ends with when the engine stands still; a supervisor starts it again."""


class TraderError(Exception):
    """A failure the user can act on; ``str(error)`` is the one line to show."""

    exit_code: ClassVar[int] = 1
    retry_can_help: ClassVar[bool] = False


class ConfigError(TraderError):
    """The configuration is not usable; the previous one stays in force."""

    exit_code = 2


class AlreadyRunning(TraderError):
    """Another scheduler holds the lock of this database."""

    exit_code = 3


class StoreError(TraderError):
    """The database cannot be opened, read or written as asked."""

    exit_code = 4


class ModelError(TraderError):
    """A model file is missing, foreign or does not verify."""

    exit_code = 5


class CredentialsError(TraderError):
    """A token or key was refused by the other side."""

    exit_code = 6


class MarketError(TraderError):
    """The exchange refused for good; asking again gives the same answer."""

    exit_code = 7


class UnknownSymbol(MarketError):
    """The exchange does not trade this symbol (any more)."""


class MarketUnavailable(MarketError):
    """The exchange did not answer usefully this time.

    Parameters
    ----------
    message : str
        The one line.
    retry_after_s : float, optional
        Seconds the exchange asked to be left alone, when it said so.
    """

    retry_can_help = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InputFileError(TraderError):
    """A file handed in by the user cannot be used."""

    exit_code = 8


class DiskError(TraderError):
    """The disk is full, read-only or failing."""

    exit_code = 9


class UsageError(TraderError):
    """The command line does not say what to do, or names what there is not."""

    exit_code = 64


class NotifierError(TraderError):
    """A message was refused for good (blocked bot, unknown chat, malformed text)."""


class NotifierUnavailable(NotifierError):
    """A message could not be delivered this time.

    Parameters
    ----------
    message : str
        The one line.
    retry_after_s : float, optional
        Seconds the messenger asked to wait, when it said so.
    """

    retry_can_help = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ChatRefused(NotifierError):
    """The chat takes no message at all (the bot is blocked or not in it): what waits may go once a person mends it."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Say which valid name was probably meant.

    Parameters
    ----------
    name : str
        What was written.
    valid : iterable of str
        What would have been accepted.

    Returns
    -------
    str
        ``"did you mean 'x'?"``, or the valid names when none is near, or ``""`` when there are none.

    Examples
    --------
    >>> nearest("fibo_avwp", ["fibo_avwap", "ema_rsi"])
    "did you mean 'fibo_avwap'?"
    >>> nearest("BTC", ["BTC/USDT:USDT", "ETH/USDT:USDT"])
    "did you mean 'BTC/USDT:USDT'?"
    >>> nearest("2h", ["15m", "1h", "15m", "1h"])
    'valid: 15m, 1h'
    """
    names = sorted(set(valid))
    if not names:
        return ""
    begun = [valid_name for valid_name in names if name and valid_name.lower().startswith(name.lower())]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6) or (begun if len(begun) == 1 else [])
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"valid: {shown}"
