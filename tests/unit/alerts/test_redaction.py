"""A canary token is in no log line, no error and no traceback."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.telegram import TelegramNotifier
from core.errors import TraderError
from core.ports import Message
from core.redact import RedactingFilter, install_redaction, redact
from tests.servers.telegram import BLOCKED, CANARY_TOKEN, NO_CHAT, RESET, TelegramServer, broken, flood, portal

SECRET = "s3cr3t/with+signs"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything any logger says, through a handler added after redaction was installed."""
    stream = io.StringIO()
    factory, hook, root = logging.getLogRecordFactory(), sys.excepthook, logging.getLogger()
    import threading

    thread_hook, level = threading.excepthook, root.level
    install_redaction([SECRET, CANARY_TOKEN])
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)
    for item in (root, *root.handlers):
        for guard in [one for one in item.filters if isinstance(one, RedactingFilter)]:
            item.removeFilter(guard)
    logging.setLogRecordFactory(factory)
    sys.excepthook, threading.excepthook = hook, thread_hook


def test_secrets_go_as_written_and_as_in_addresses() -> None:
    assert redact(f"key={SECRET}", [SECRET]) == "key=[redacted]"
    assert redact("key=s3cr3t%2Fwith%2Bsigns", [SECRET]) == "key=[redacted]"


def test_a_bot_token_goes_even_when_nobody_named_it() -> None:
    assert redact(f"https://api.telegram.org/bot{CANARY_TOKEN}/getMe", []) == (
        "https://api.telegram.org/bot[redacted]/getMe"
    )
    assert "CANARY" not in redact(CANARY_TOKEN.replace(":", "%3A"), [])


def test_empty_and_short_secrets_blot_out_nothing() -> None:
    assert redact("a message about ab", ["", "ab"]) == "a message about ab"


def test_a_secret_inside_another_leaves_no_rest() -> None:
    assert redact("abcdefgh", ["abcdef", "abcdefgh"]) == "[redacted]"


def test_arguments_tracebacks_and_any_logger_are_redacted(written: io.StringIO) -> None:
    log = logging.getLogger("some.vendor.library")
    log.info("POST %s", f"https://host/{SECRET}")
    try:
        raise ValueError(f"refused: {SECRET}")
    except ValueError:
        log.exception("failed with %d", 7)
    text = written.getvalue()
    assert SECRET not in text
    assert text.count("[redacted]") == 2
    assert "failed with 7" in text
    assert "Traceback" in text


def test_fields_beside_the_message_are_redacted_by_the_filter() -> None:
    record = logging.makeLogRecord({"msg": "x", "url": f"https://host/{SECRET}"})
    assert RedactingFilter([SECRET]).filter(record)
    assert record.__dict__["url"] == "https://host/[redacted]"


def test_a_line_without_secrets_is_untouched(written: io.StringIO) -> None:
    logging.getLogger("plain").warning("%s of %s", 1, "two")
    assert written.getvalue() == "1 of two\n"


async def test_nothing_the_telegram_adapter_logs_or_raises_holds_the_token(
    written: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[str] = []
    caplog.set_level(logging.INFO, logger="httpx")  # a command that ran before may have made it quiet
    for answer in (BLOCKED, NO_CHAT, RESET, broken(), portal(), flood(1)):
        with TelegramServer() as server:
            server.script.append(answer)
            notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
            raised.append(await _failure(notifier))
            await notifier.close()
    with TelegramServer(token="another") as server:
        notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
        raised.append(await _failure(notifier))
        await notifier.close()
    everything = written.getvalue() + "".join(raised)
    assert "HTTP Request: POST" in everything, "httpx logged its addresses"
    assert CANARY_TOKEN not in everything
    assert "CANARY" not in everything


async def _failure(notifier: TelegramNotifier) -> str:
    with pytest.raises(TraderError) as caught:
        await notifier.send(Message("hello", "hello"))
    logging.getLogger("job").error("undelivered", exc_info=caught.value)
    return str(caught.value) + "".join(traceback.format_exception(caught.value)) + repr(notifier)


def test_an_uncaught_exception_is_shown_without_secrets() -> None:
    code = (
        "import threading\nfrom core.redact import install_redaction\n"
        f"install_redaction(['{SECRET}'])\n"
        "def fail(where):\n    raise RuntimeError(where + ' ' + '/'.join(['s3cr3t', 'with+signs']))\n"
        "thread = threading.Thread(target=fail, args=('thread',)); thread.start(); thread.join()\nfail('main')\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 1
    assert SECRET not in done.stderr.replace(f"install_redaction(['{SECRET}'])", "")
    assert "RuntimeError: main [redacted]" in done.stderr
    assert "RuntimeError: thread [redacted]" in done.stderr
