"""Where a command's log goes: standard error, and for the engine rotated files.

The law: a log is bounded (five files of five megabytes) and holds no secret.
"""

from __future__ import annotations

import json
import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from core.config import Config
from core.redact import install_redaction

__all__ = ["hide_secrets", "log_to_files", "log_to_stderr"]

FILE_BYTES = 5_000_000
FILES = 5
_TEXT = "%(asctime)s %(levelname)s %(message)s"
_NOISY = ("apscheduler", "httpx", "httpcore", "ccxt", "asyncio", "numba", "telegram")


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(config: Config, debug: bool) -> logging.Logger:
    """Send the log to standard error and return the engine's logger."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(config))
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, RotatingFileHandler):
            before.close()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else config.app.log_level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A log that cannot be written (a full disk) must not fill standard error with tracebacks.
    logging.raiseExceptions = debug
    hide_secrets(config)
    return logging.getLogger("trader")


def log_to_files(config: Config) -> None:
    """Send the log to rotated files in `app.log_dir` as well."""
    folder = Path(config.app.log_dir)
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / "trader.log", maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8", delay=True
    )
    handler.setFormatter(_formatter(config))
    logging.getLogger().addHandler(handler)


def hide_secrets(config: Config) -> None:
    """Cut the configuration's secrets out of everything logged from now on."""
    install_redaction([config.notify.telegram.bot_token.get_secret_value()])


def _formatter(config: Config) -> logging.Formatter:
    return _JsonLines() if config.app.log_json else logging.Formatter(_TEXT)
