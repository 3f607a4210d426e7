"""Secrets are cut out of every text before anyone can read it.

The law: a secret that was named here never leaves the process in a log line, a traceback or an error
message, whoever wrote it; a vendor's library logs whole addresses, and some of them hold a token.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from urllib.parse import quote

__all__ = ["RedactingFilter", "install_redaction", "redact"]

HIDDEN = "[redacted]"

_SHORTEST = 6  # a shorter "secret" would blot out ordinary words
_BOT_TOKEN = re.compile(r"\d{6,12}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in a text, and whatever has the form of a Telegram bot token.

    Parameters
    ----------
    text : str
        Anything about to be shown or stored.
    secrets : iterable of str
        Looked for as written and as they appear in a web address. Those under six characters are
        left alone.

    Returns
    -------
    str
        The text with ``[redacted]`` in their place.

    Examples
    --------
    >>> redact("POST https://host/botABCDEF123/getMe", ["ABCDEF123"])
    'POST https://host/bot[redacted]/getMe'
    """
    spellings = {spelling for secret in secrets if len(secret) >= _SHORTEST for spelling in (secret, quote(secret, ""))}
    for spelling in sorted(spellings, key=lambda item: (-len(item), item)):
        text = text.replace(spelling, HIDDEN)
    return _BOT_TOKEN.sub(HIDDEN, text)


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
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record; every record passes."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            return True  # arguments that do not fit their format are logging's own complaint to make
        clean = redact(said, self._secrets)
        if clean != said:
            record.msg, record.args = clean, ()
        self._redact_traceback(record)
        for name, value in vars(record).items():
            if name not in ("msg", "exc_text") and isinstance(value, str):
                setattr(record, name, redact(value, self._secrets))
        return True

    def _redact_traceback(self, record: logging.LogRecord) -> None:
        if not record.exc_info or record.exc_info[0] is None:
            return
        told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        clean = redact(told, self._secrets)
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
        self._filter = filter_

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.base(*args, **kwargs)
        self._filter.filter(record)
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
    _guard_exception_hooks(tuple(secrets))
    return guard


def _guard_exception_hooks(secrets: tuple[str, ...]) -> None:
    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace)), secrets))

    def show_thread(happened: threading.ExceptHookArgs) -> None:
        if happened.exc_type is not SystemExit:
            show(happened.exc_type, happened.exc_value, happened.exc_traceback)

    sys.excepthook = show
    threading.excepthook = show_thread
