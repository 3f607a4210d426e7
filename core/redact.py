"""Secrets are cut out of every text before anyone can read it.

The law: a secret that was named here never leaves the process in a log line, a traceback or an error
message, whoever wrote it; a vendor's library logs whole addresses, and some of them hold a token.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["RedactingFilter", "escaped", "install_redaction", "redact", "without_secrets"]

HIDDEN = "[redacted]"

_SHORTEST = 6  # a shorter "secret" would blot out ordinary words
_HALF = 20  # what stands behind the colon of a bot's token is as good as the token
_ESCAPED = re.compile(r"%[0-9A-F]{2}")
_BOT_TOKEN = re.compile(r"\d{6,12}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in a text, and whatever has the form of a Telegram bot token.

    Parameters
    ----------
    text : str
        Anything about to be shown or stored.
    secrets : iterable of str
        Looked for as written, and as they appear in a web address, in HTML and in JSON. Those under six characters
        are left alone.

    Returns
    -------
    str
        The text with ``[redacted]`` in their place.

    Examples
    --------
    >>> redact("POST https://host/botABCDEF123/getMe", ["ABCDEF123"])
    'POST https://host/bot[redacted]/getMe'
    """
    return _cut(text, _spellings(secrets))


def _spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return every way in which secrets may be written, the longest first, so that none leaves a rest of another."""
    found: set[str] = set()
    for secret in secrets:
        half = secret.rpartition(":")[2]
        for part in (secret, half) if ":" in secret and len(half) >= _HALF else (secret,):
            if len(part) < _SHORTEST:
                continue
            found |= {part, part.replace("&", "&amp;"), json.dumps(part)[1:-1]}
            for address in (quote(part, ""), quote(part), quote_plus(part)):
                found |= {address, _ESCAPED.sub(lambda code: code[0].lower(), address)}
    return tuple(sorted(found, key=lambda item: (-len(item), item)))


def _cut(text: str, spellings: tuple[str, ...]) -> str:
    for spelling in spellings:
        text = text.replace(spelling, HIDDEN)
    return _BOT_TOKEN.sub(HIDDEN, text)


def escaped(text: str) -> str:
    r"""Return a text on one line: what cannot be printed, line breaks and turns of direction included, as an escape.

    Examples
    --------
    >>> escaped("BTC\n2030-01-01 INFO all is well")
    'BTC\\n2030-01-01 INFO all is well'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


class RedactingFilter(logging.Filter):
    """Redacts a log record in place: its message, its traceback, its stack and every text beside them.

    Parameters
    ----------
    secrets : iterable of str
        What must not be read.

    Examples
    --------
    >>> record = logging.makeLogRecord({"msg": "token %s", "args": ("ABCDEF123",)})
    >>> RedactingFilter(["ABCDEF123"]).filter(record), record.getMessage()
    (True, 'token [redacted]')
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._spellings = _spellings(secrets)

    def clean(self, text: str) -> str:
        """Return a text without the secrets."""
        return _cut(text, self._spellings)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record; every record passes."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            return True  # arguments that do not fit their format are logging's own complaint to make
        clean = self.clean(said)
        if clean != said:
            record.msg, record.args = clean, ()
        self._redact_traceback(record)
        for name, value in vars(record).items():
            if name not in ("msg", "exc_text") and isinstance(value, str):
                setattr(record, name, self.clean(value))
        return True

    def _redact_traceback(self, record: logging.LogRecord) -> None:
        if not record.exc_info or record.exc_info[0] is None:
            return
        told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        clean = self.clean(told)
        if clean != told:
            # Formatters show exc_text as it stands; without exc_info none of them formats the original again.
            record.exc_text, record.exc_info = clean, None


class _RecordFactory:
    """Makes log records that are redacted from birth, whichever logger or handler they are for.

    A filter on the root logger sees only what is logged to the root itself, and one on a handler
    misses the handlers that are added later.
    """

    def __init__(self, base: Any, filter_: RedactingFilter) -> None:
        self.base = base
        self.guard = filter_

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.base(*args, **kwargs)
        self.guard.filter(record)
        return record


def install_redaction(secrets: Iterable[str]) -> RedactingFilter:
    """Redact every log line and every uncaught exception of this process from now on.

    Calling it again replaces the secrets. Root handlers present now are guarded as well, for the texts that
    a caller adds to a record with ``extra``.

    Parameters
    ----------
    secrets : iterable of str
        What must not be read.

    Returns
    -------
    RedactingFilter
        For handlers added later that show ``extra`` fields: ``handler.addFilter(...)``.
    """
    guard = RedactingFilter(secrets)
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_RecordFactory(factory.base if isinstance(factory, _RecordFactory) else factory, guard))
    for filtered in (logging.getLogger(), *logging.getLogger().handlers):
        for old in [item for item in filtered.filters if isinstance(item, RedactingFilter)]:
            filtered.removeFilter(old)
        filtered.addFilter(guard)
    _guard_exception_hooks(guard.clean)
    _guard_warnings(guard.clean)
    return guard


def without_secrets(text: str) -> str:
    """Return a text without what `install_redaction` was last told, for what is shown past any log.

    Examples
    --------
    >>> without_secrets("https://api.telegram.org/bot123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/getMe")
    'https://api.telegram.org/bot[redacted]/getMe'
    """
    factory = logging.getLogRecordFactory()
    return factory.guard.clean(text) if isinstance(factory, _RecordFactory) else redact(text, ())


def _guard_exception_hooks(clean: Callable[[str], str]) -> None:
    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        _say(clean("".join(traceback.format_exception(kind, error, trace))))

    def show_thread(happened: threading.ExceptHookArgs) -> None:
        if happened.exc_type is not SystemExit:
            show(happened.exc_type, happened.exc_value, happened.exc_traceback)

    def show_unraisable(happened: sys.UnraisableHookArgs) -> None:
        told = "".join(traceback.format_exception(happened.exc_type, happened.exc_value, happened.exc_traceback))
        _say(clean(f"{happened.err_msg or 'Exception ignored'}: {happened.object!r}\n{told}"))

    sys.excepthook = show
    threading.excepthook = show_thread
    if sys.unraisablehook is sys.__unraisablehook__ or getattr(sys.unraisablehook, "_redacts", False):
        show_unraisable._redacts = True  # type: ignore[attr-defined]
        sys.unraisablehook = show_unraisable


def _say(text: str) -> None:
    if sys.stderr is not None:  # a program without a console has none
        sys.stderr.write(text)


class _Warnings:
    """Shows a warning without secrets."""

    def __init__(self, base: Callable[..., str], clean: Callable[[str], str]) -> None:
        self.base, self._clean = base, clean

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        return self._clean(self.base(*args, **kwargs))


def _guard_warnings(clean: Callable[[str], str]) -> None:
    base = warnings.formatwarning
    guarded: Any = _Warnings(base.base if isinstance(base, _Warnings) else base, clean)
    warnings.formatwarning = guarded
