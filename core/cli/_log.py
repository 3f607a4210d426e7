"""Where a command's log goes: standard error, and for the engine rotated files.

The law: a log is bounded (five files of five megabytes, the same complaint once an hour), holds no secret, and a record
is one line: nothing that is logged can pass for a line of its own. The lines of a traceback are set in behind a bar.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from core.clock import monotonic_s
from core.config import Config, secrets_of
from core.redact import escaped, install_redaction

__all__ = ["OnceAnHour", "TextLines", "escaped", "hide_secrets", "log_to_files", "log_to_stderr"]

FILE_BYTES = 5_000_000
FILES = 5
REPEAT_S = 3_600.0
REMEMBERED = 1_000  # different complaints
_BAR = "    | "
_NOISY = ("httpx", "httpcore", "ccxt", "asyncio", "numba", "telegram")


class OnceAnHour(logging.Filter):
    """Lets a warning or an error through when it is new, then once an hour with the count of those left out.

    Parameters
    ----------
    read_s : callable, optional
        A clock that only goes forward, seconds.

    Notes
    -----
    What is less urgent passes (it tells of progress), and so does what is critical (it is said once, at the end). Each
    handler needs a filter of its own: one that two share would take the second's record for a repetition.
    """

    def __init__(self, read_s: Callable[[], float] = monotonic_s) -> None:
        super().__init__()
        self._read_s = read_s
        self._shown: OrderedDict[tuple[str, int, str], list[float]] = OrderedDict()  # when last, how many since
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is shown; one that stands for others says for how many."""
        if not logging.WARNING <= record.levelno < logging.CRITICAL:
            return True
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            return True  # arguments that do not fit their format are logging's own complaint to make
        with self._lock:
            return self._is_shown(record, (record.name, record.levelno, said))

    def _is_shown(self, record: logging.LogRecord, key: tuple[str, int, str]) -> bool:
        now_s = self._read_s()
        last_s, left_out = self._shown.get(key, (float("-inf"), 0))
        if now_s - last_s < REPEAT_S:
            self._shown[key][1] += 1
            return False
        record.repeated = int(left_out)
        self._shown[key] = [now_s, 0]
        self._shown.move_to_end(key)
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)
        return True


class TextLines(logging.Formatter):
    """Time, level and message on one line; a traceback below, each of its lines behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines, of a record."""
        said = escaped(record.getMessage()) + _repeated(record)
        lines = [f"{self.formatTime(record)} {record.levelname} {said}"]
        for block in (_traceback(self, record), record.stack_info or ""):
            lines += [_BAR + escaped(line) for line in block.split("\n") if line]
        return "\n".join(lines)


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage() + _repeated(record),
        }
        traceback = _traceback(self, record)
        if traceback:
            line["traceback"] = traceback
        return json.dumps(line)  # ASCII: what cannot be printed is an escape


def _repeated(record: logging.LogRecord) -> str:
    times = getattr(record, "repeated", 0)
    return f" (repeated {times} time{'' if times == 1 else 's'} since it was last shown)" if times else ""


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return a record's traceback; where secrets were cut out of it, the text without them is all there is."""
    if record.exc_text or not record.exc_info:
        return record.exc_text or ""
    return formatter.formatException(record.exc_info)


def log_to_stderr(config: Config, debug: bool) -> logging.Logger:
    """Send the log to standard error and return the engine's logger."""
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, RotatingFileHandler):
            before.close()
    root.handlers[:] = [_prepared(logging.StreamHandler(sys.stderr), config)]
    root.setLevel(logging.DEBUG if debug else config.app.log_level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of each run that is left out while the one before is at work; those are counted in job_runs.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # A log that cannot be written (a full disk) must not fill standard error with tracebacks.
    logging.raiseExceptions = debug
    hide_secrets(config)
    return logging.getLogger("trader")


def log_to_files(config: Config) -> None:
    """Send the log to rotated files in `app.log_dir` as well; where that cannot be, say so once and do without."""
    path = Path(config.app.log_file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")
    except OSError as error:
        why = error.strerror or error
        logging.getLogger("trader").warning(
            "%s cannot be written (%s); the log goes to standard error alone", path, why
        )
        return
    logging.getLogger().addHandler(_prepared(handler, config))


def hide_secrets(config: Config) -> None:
    """Cut the configuration's secrets out of everything logged from now on."""
    install_redaction(secrets_of(config))


def _prepared(handler: logging.Handler, config: Config) -> logging.Handler:
    handler.setFormatter(_JsonLines() if config.app.log_json else TextLines())
    handler.addFilter(OnceAnHour())
    return handler
