"""The command line as a user meets it: help, wrong usage, one line and a stable exit code for every failure."""

from __future__ import annotations

import argparse
import errno
import logging
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from core.cli import _HOME as COMMANDS
from core.cli import main
from core.cli._told import ended, told
from core.cli.engine import only_one, refreshed
from core.config import ConfigSource
from core.errors import (
    AlreadyRunning,
    ConfigError,
    CredentialsError,
    DiskError,
    InputFileError,
    MarketUnavailable,
    ModelError,
    StoreError,
    TraderError,
    UsageError,
)
from core.jobs._desk import Report, by_reason
from tests.engine import ROOT, write_config

SHIMS = {
    "init_db.py": "init-db",
    "db_inspect.py": "db-inspect",
    "download_data.py": "download-data",
    "scheduler_run.py": "run",
    "scan_signals.py": "scan-signals",
    "retro_scan.py": "retro-scan",
    "analyze_results.py": "analyze-results",
    "maintenance.py": "maintain",
}
HEAVY = ("numpy", "pandas", "numba", "ccxt", "xgboost", "sklearn", "streamlit", "apscheduler", "telegram", "pydantic")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that ends with wrong usage; return its one line."""
    try:
        code = main(arguments)
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (64, "", 1)
    assert "Traceback" not in err
    return err


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended_with:
        main([*arguments, "--help"])
    assert ended_with.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_every_option_with_what_it_is_and_its_default(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = helped(capsys, command)
    assert text.startswith(f"usage: trader {command}")
    lines = text[text.index("options:") :].splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"  -", line)] + [len(lines)]
    entries = [" ".join(" ".join(lines[lo:hi]).split("\n\n")[0].split()) for lo, hi in pairwise(starts)]
    assert len(entries) >= 4
    for entry in entries[1:]:  # the first is --help itself
        assert re.search(r"\([^)]+\)", entry), f"no default: {entry}"


def test_help_of_the_whole_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys)
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s+\w", text, re.MULTILINE), command


@pytest.mark.parametrize(("script", "command"), SHIMS.items())
def test_a_script_is_its_command(script: str, command: str) -> None:
    text = (ROOT / script).read_text(encoding="utf-8")
    assert f'main(["{command}", *sys.argv[1:]])' in text
    assert len(text.splitlines()) <= 15


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "trader: name a command first; valid: analyze-results, "),
        (("--debug", "run"), "trader: name a command first; valid:"),
        (("inspect",), "trader: unknown command 'inspect'; did you mean 'db-inspect'?"),
        (("retroscan",), "trader: unknown command 'retroscan'; did you mean 'retro-scan'?"),
        (("run", "--onec"), "trader run: unknown option '--onec'; did you mean '--once'?"),
        (("retro-scan", "--strid", "3"), "trader retro-scan: unknown option '--strid'; did you mean '--stride'?"),
        (("retro-scan", "--strid=3"), "trader retro-scan: unknown option '--strid'; did you mean '--stride'?"),
        (("run", "now"), "trader run: unexpected argument 'now'"),
        (("symbols", "pasue"), "trader symbols: argument ACTION: 'pasue' is not known; did you mean 'pause'?"),
        (("config", "chek"), "trader config: argument ACTION: 'chek' is not known; did you mean 'check'?"),
        (("config",), "trader config: the following arguments are required: ACTION"),
        (("retro-scan", "--stride", "0"), "argument --stride: '0': expected a whole number of at least 1"),
        (("retro-scan", "--limit-per-pair", "-2"), "expected"),
        (("retro-scan", "--stride", "9" * 22), "expected a whole number of at least 1 and at most 2147483647"),
        (("thresholds", "list", "--last", str(2**31)), "and at most 2147483647"),
        (
            ("retro-scan", "--jobs", "1025"),
            "argument --jobs: '1025': expected a whole number of at least 1 and at most 1024",
        ),
        (("retro-scan", "--stride", "\u00b2"), "argument --stride: '\u00b2': expected a whole number"),
        (("retro-scan", "--cluster", "foo"), "argument --cluster: 'foo': expected host and port, such as tcp://"),
        (("retro-scan", "--cluster", "tcp://foo:99999"), "expected host and port"),
        (("retro-scan", "--cluster", ""), "argument --cluster: '': expected host and port"),
        (("download-data", "--import", ""), "argument --import: '': expected a name, not an empty text"),
        (("download-data", "--export", " "), "argument --export: ' ': expected a name, not an empty text"),
        (("download-data", "--symbol", ""), "argument --symbol: '': expected a name"),
        (("backup", "--to", ""), "argument --to: '': expected a name"),
        (("restore", ""), "argument FILE: '': expected a name"),
        (("analyze-results", "--out", ""), "argument --out: '': expected a name"),
        (("report", "--html", ""), "argument --html: '': expected a name"),
        (("demo", "--seconds", "soon"), "argument --seconds: 'soon': expected a whole number of at least 1"),
        (("run", "--profile"), "argument --profile: expected one argument"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_nearest(
    arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--import", "a.csv", "--export", "out"), "--import and --export: one at a time"),
        (("--symbol", "BTC/USDT:USDT"), "--symbol goes with --import"),
        (("--exchange", "binance"), "--exchange goes with --import"),
        (
            ("--import", "a.csv", "--exchange", "Bin Ance"),
            "--exchange 'Bin Ance': expected a name of small letters, digit",
        ),
        (("--import", "a.csv", "--exchange", ""), "argument --exchange: '': expected a name, not an empty text"),
        (("--force",), "--force goes with --export"),
        (("--import", "a.csv", "--start", "2024-01-01"), "--start goes with a download or --export"),
        (("--start", "2024-02-01", "--end", "2024-01-01"), "--start 2024-02-01 is not before --end 2024-01-01"),
        (("--start", "2024-02-30"), "--start: time '2024-02-30': expected a date such as 2023-01-31"),
        (("--end", "tomorrow"), "--end: time 'tomorrow': expected a date such as 2023-01-31"),
        (("--start", "99999999999999999"), "--start 99999999999999999: expected a moment from 1970 to 2099"),
        (("--start", "1066-10-14"), "--start 1066-10-14: expected a moment from 1970 to 2099"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_opened(
    options: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = write_config(tmp_path, {})
    assert expected in refused(capsys, "download-data", "--config", str(config), *options)
    assert not (tmp_path / "ohlcv.db").exists()


def test_a_timeframe_that_is_not_exported_is_answered_with_each_that_is_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = write_config(tmp_path, {})
    assert main(["init-db", "--config", str(config)]) == 0
    capsys.readouterr()
    told = refused(capsys, "download-data", "--config", str(config), "--export", str(tmp_path), "--timeframe", "2h")
    assert told.endswith("timeframe '2h' is not in the configuration; valid: 15m, 1h, 1m, 4h, 5m\n")


def test_an_unknown_profile_is_answered_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, {})
    (tmp_path / "config.demo.yaml").write_text("symbols: [BTC/USDT]\n")
    assert main(["config", "check", "--config", str(config), "--profile", "demoo"]) == 2
    assert capsys.readouterr().err == ("error: profile 'demoo': there is no config.demoo.yaml; did you mean 'demo'?\n")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing.yaml")
    assert main(["config", "check", "--config", missing]) == 2
    with pytest.raises(ConfigError):
        main(["config", "check", "--config", missing, "--debug"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TraderError("x"), 1),
        (ConfigError("x"), 2),
        (AlreadyRunning("x"), 3),
        (StoreError("x"), 4),
        (ModelError("x"), 5),
        (CredentialsError("x"), 6),
        (MarketUnavailable("x"), 7),
        (InputFileError("x"), 8),
        (DiskError("x"), 9),
        (UsageError("x"), 64),
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), 9),
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), 9),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "data/x"), 9),
    ],
)
def test_every_failure_has_its_exit_code_and_one_line(error: TraderError | OSError, code: int) -> None:
    line, found = told(error)
    assert found == code
    assert "\n" not in line


def test_a_file_error_names_the_file_and_how_to_mend_it() -> None:
    line, _ = told(PermissionError(errno.EACCES, "Permission denied", "data/logs"))
    assert line == "data/logs: Permission denied; check that the folder exists, is writable and has space left"


def test_reports_end_a_command_with_the_first_failure_s_code(capsys: pytest.CaptureFixture[str]) -> None:
    fine = Report("sync", counts={"candles": 3}, problems=("a hole",))
    failed = Report("funding", ok=False, problems=("no\nanswer", "nor here"), exit_code=7)
    given = argparse.Namespace(config="config.yaml", profile=None)
    assert ended(given, fine) == 0
    assert capsys.readouterr() == ("sync: candles 3\n  a hole\n", "")
    assert ended(given, fine, failed, shown=True) == 7
    assert capsys.readouterr() == ("", "error: funding: no answer (and 1 more)\n")


def test_a_report_that_tells_in_words_what_it_did_is_not_said_to_have_had_nothing_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = argparse.Namespace(config="config.yaml", profile=None)
    assert ended(given, Report("model", text="m1 is in force again"), Report("sync")) == 0
    assert capsys.readouterr().out == "sync: nothing to do\n"


def test_symbols_that_share_a_reason_share_a_line() -> None:
    assert by_reason([("A/B", "x"), ("C/D", "y"), ("E/F", "x")]) == ["A/B and 1 more: x", "C/D: y"]
    assert by_reason([]) == []


def test_a_second_scheduler_is_told_the_first_s_pid(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ohlcv.db"
    with only_one(path):
        pid = (tmp_path / "data" / "ohlcv.db.pid").read_text()
        with (
            pytest.raises(AlreadyRunning, match=rf"another scheduler \(pid {pid}\) is running") as refusal,
            only_one(path),
        ):
            pass
        assert refusal.value.exit_code == 3
    assert not (tmp_path / "data" / "ohlcv.db.pid").exists()
    with only_one(path):
        assert path.parent.is_dir()


def test_the_lock_is_released_when_the_scheduler_fails(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    with pytest.raises(StoreError), only_one(path):
        raise StoreError("x")
    assert not (tmp_path / "ohlcv.db.pid").exists()
    with only_one(path):
        pass


class TestAConfigurationThatChanges:
    """`refreshed` picks a change up, keeps the old one while the file is broken, and says each thing once."""

    @pytest.fixture
    def told_by(self, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
        caplog.set_level(logging.INFO)
        return caplog

    def test_each_thing_is_said_once(self, tmp_path: Path, told_by: pytest.LogCaptureFixture) -> None:
        from core import app
        from core.adapters.markets.offline import OfflineMarket

        path = write_config(tmp_path, {})
        source = ConfigSource(path, {})
        good = path.read_text()
        desk = app.open_desk(source, logging.getLogger("test"), OfflineMarket("bitget"))
        try:
            path.write_text(good.replace("max_leverage: 10", "max_leverage: 7"))
            desk = refreshed(desk, source)
            assert desk.config.risk.max_leverage == 7
            for broken in ("max_leverage: many", "max_leverage: [", "max_leverage: 10\n  max_leverag: 3"):
                path.write_text(good.replace("max_leverage: 10", broken))
                for _ in range(5):
                    desk = refreshed(desk, source)
            assert desk.config.risk.max_leverage == 7
            path.write_text(good.replace("max_leverage: 10", "max_leverage: 7"))
            desk = refreshed(desk, source)
            path.write_text(good.replace("max_leverage: 10", "max_leverage: 6"))
            desk = refreshed(desk, source)
            assert desk.config.risk.max_leverage == 6
            path.write_text(
                good.replace("max_leverage: 10", "max_leverage: 6").replace("console: true", "console: false")
            )
            desk = refreshed(desk, source)
        finally:
            desk.writer.close()
        lines = [record.getMessage() for record in told_by.records if record.name == "test"]
        errors = [line for line in lines if line.startswith("configuration kept as it was: config.yaml:")]
        assert len(errors) == len(set(errors)) == 3
        assert [line for line in lines if line not in errors] == [
            "configuration changed: risk.max_leverage: 10.0 -> 7.0",
            "configuration mended: the one in force is the one in the file",
            "configuration changed: risk.max_leverage: 7.0 -> 6.0",
            "configuration changed: notify.console: true -> false",
            "notify.console: used from the next start on",
        ]

    def test_a_symbol_paused_meanwhile_is_no_longer_followed(self, tmp_path: Path) -> None:
        from core import app
        from core.adapters.markets.offline import OfflineMarket

        source = ConfigSource(write_config(tmp_path, {}), {})
        desk = app.open_desk(source, logging.getLogger("test"), OfflineMarket("bitget"))
        try:
            desk.writer.set_symbol_off("bitget", "ETH/USDT:USDT", "paused by hand", 0)
            desk = refreshed(desk, source)
            assert "ETH/USDT:USDT" not in desk.symbols
            desk.writer.clear_symbol_off("bitget", "ETH/USDT:USDT")
            assert "ETH/USDT:USDT" in refreshed(desk, source).symbols
        finally:
            desk.writer.close()


def test_a_command_leaves_the_process_s_signal_handlers_as_they_were(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["config", "check", "--config", str(write_config(tmp_path, {}))]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys\nfrom core.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    for arguments in (["--help"], ["run", "--help"], ["retro-scan", "--nonsense"]):
        done = subprocess.run(
            [sys.executable, "-c", probe, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.splitlines()[-1] == "HEAVY []"
