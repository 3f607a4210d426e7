"""The log: one record is one line whatever is logged, a complaint is not repeated for ever, no secret is in it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cli import _log
from core.cli._log import OnceAnHour, TextLines, escaped, hide_secrets, log_to_files, log_to_stderr
from core.config import Config, load_config
from tests.engine import write_config

FORGED = "BTC/USDT\n2030-01-01 00:00:00,000 INFO all is well"
PING = "https://hc-ping.com/0123456789abcdef-check"
CONTROLS = [
    "\n",
    "\r",
    "\r\n",
    "\x1b[2K\x1b[1A",
    "\x00",
    "\x08\x08",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
]


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising, factory = (
        root.handlers[:],
        root.level,
        logging.raiseExceptions,
        logging.getLogRecordFactory(),
    )
    hook = sys.excepthook
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    logging.setLogRecordFactory(factory)
    sys.excepthook = hook


def configured(folder: Path, **app: object) -> Config:
    return load_config(write_config(folder, {"app": app}), {})


def record(said: str, level: int = logging.WARNING, **others: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "trader", "levelno": level, "levelname": "WARNING", "msg": said, **others})


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_what_is_logged_stays_on_one_line_and_steers_no_terminal(control: str) -> None:
    line = TextLines().format(record(f"symbol A{control}B is switched off"))
    assert len(line.splitlines()) == 1 and line.isprintable()
    assert "symbol A\\" in line and line.endswith("B is switched off")


def test_plain_words_in_any_script_stay_as_they_are() -> None:
    for text in ("BTC/USDT:USDT 1.5 %", "größer", "日本語", "C:\\data", ""):
        assert escaped(text) == text


def test_a_forged_line_does_not_become_one_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path)
    log = log_to_stderr(config, debug=False)
    log_to_files(config)
    log.warning("Symbol %s is switched off", FORGED)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("it failed")
    for text in (capsys.readouterr().err, (tmp_path / "logs" / "trader.log").read_text("utf-8")):
        starts = [line.split(" ")[0] for line in text.splitlines() if not line.startswith("    | ")]
        assert len(starts) == 2 and not any(start.startswith("2030") for start in starts)
        assert any(line.startswith("    | ValueError: BTC/USDT") for line in text.splitlines())


def test_json_lines_hold_one_object_each(tmp_path: Path) -> None:
    config = configured(tmp_path, log_json=True)
    log = log_to_stderr(config, debug=False)
    log_to_files(config)
    log.warning("Symbol %s", FORGED)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("it failed\u2028")
    lines = (tmp_path / "logs" / "trader.log").read_text("utf-8").split("\n")
    told = [json.loads(line) for line in lines if line]
    assert len(told) == 2 and told[0]["message"] == f"Symbol {FORGED}"
    assert "Traceback" in told[1]["traceback"] and all(line.isascii() for line in lines)


class TestARepeatedComplaint:
    """It is shown when it is new, then once an hour with the count of those left out."""

    @pytest.fixture
    def clock(self) -> list[float]:
        return [100.0]

    @pytest.fixture
    def once(self, clock: list[float]) -> OnceAnHour:
        return OnceAnHour(lambda: clock[0])

    def test_it_is_shown_once_an_hour_with_the_count(self, once: OnceAnHour, clock: list[float]) -> None:
        shown = []
        for _minute in range(180):
            one = record("sync: no answer")
            if once.filter(one):
                shown.append(TextLines().format(one).split(" WARNING ")[1])
            clock[0] += 60.0
        assert shown == [
            "sync: no answer",
            "sync: no answer (repeated 59 times since it was last shown)",
            "sync: no answer (repeated 59 times since it was last shown)",
        ]

    def test_one_that_differs_is_shown(self, once: OnceAnHour) -> None:
        assert all(once.filter(record(f"symbol {k}")) for k in range(50))
        assert once.filter(record("symbol 1", logging.ERROR))
        assert once.filter(record("symbol 1", name="other"))
        assert not once.filter(record("symbol 1"))

    @pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.CRITICAL])
    def test_progress_and_the_end_are_never_left_out(self, once: OnceAnHour, level: int) -> None:
        assert all(once.filter(record("2024-01-01 00:00 UTC nothing new", level)) for _ in range(5))

    def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(
        self, once: OnceAnHour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_log, "REMEMBERED", 10)
        for k in range(1_000):
            assert once.filter(record(f"line {k}"))
            assert len(once._shown) <= 10
        assert not once.filter(record("line 999")) and once.filter(record("line 0"))

    def test_a_record_whose_arguments_do_not_fit_is_logging_s_own_complaint(self, once: OnceAnHour) -> None:
        assert once.filter(record("%d %d", args=("x",)))

    def test_each_handler_shows_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = configured(tmp_path)
        log = log_to_stderr(config, debug=False)
        log_to_files(config)
        for _ in range(100):
            log.error("the same")
        assert capsys.readouterr().err.count("the same") == 1
        assert (tmp_path / "logs" / "trader.log").read_text("utf-8").count("the same") == 1


@pytest.mark.parametrize("taken", ["logs", "logs/trader.log"])
def test_a_log_file_that_cannot_be_written_is_said_once_and_done_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: str
) -> None:
    config = configured(tmp_path)
    in_the_way = tmp_path / taken
    if taken == "logs":
        in_the_way.write_text("a file where the folder should be")
    else:
        in_the_way.mkdir(parents=True)
    log = log_to_stderr(config, debug=False)
    log_to_files(config)
    log.info("it goes on")
    first, second = capsys.readouterr().err.splitlines()
    assert f"WARNING {tmp_path / 'logs' / 'trader.log'} cannot be written (" in first
    assert first.endswith("; the log goes to standard error alone") and second.endswith(" it goes on")


def test_files_are_rotated_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log, "FILE_BYTES", 2_000)
    config = configured(tmp_path)
    log = log_to_stderr(config, debug=False)
    logging.getLogger().handlers[0].setLevel(logging.CRITICAL)
    log_to_files(config)
    for k in range(1_000):
        log.info("line %d of many", k)
    files = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in files] == ["trader.log", *(f"trader.log.{k}" for k in range(1, 5))]
    assert all(path.stat().st_size <= 2_000 for path in files)


def test_the_address_that_is_pinged_is_in_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, {})
    config = load_config(path, {"TRADER__APP__PING_URL": PING})
    log = log_to_stderr(config, debug=False)
    hide_secrets(config)
    log.warning("HTTP Request: GET %s/fail", PING)
    log.warning("path %s", PING.rpartition(".com/")[2])
    told = capsys.readouterr().err
    assert "0123456789abcdef" not in told and told.count("[redacted]") == 2
