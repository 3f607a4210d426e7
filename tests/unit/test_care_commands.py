"""The commands of upkeep as a user meets them: maintain, backup, restore, init-db, doctor."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import apsw
import pytest
from filelock import FileLock

from core.schema import Candles
from core.store.migrations import MIGRATIONS, migrate
from core.store.reader import Reader
from core.store.writer import Writer
from tests.engine import trader, write_config
from tests.unit.store.copies import content, with_model


@pytest.fixture
def config(tmp_path: Path) -> Path:
    change = {"models": {"meta": {"model_path": str(tmp_path / "models")}}, "symbols": ["BTC/USDT:USDT"]}
    path = write_config(tmp_path, change)
    assert trader(path, "init-db") == 0
    return path


@pytest.fixture
def database(config: Path) -> Path:
    return config.parent / "ohlcv.db"


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    """What the preparation printed is nobody's."""
    if "config" in request.fixturenames:
        request.getfixturevalue("config")
    capsys.readouterr()


def backed_up(capsys: pytest.CaptureFixture[str], config: Path, *more: str) -> Path:
    assert trader(config, "backup", *more) == 0
    told = re.search(r"^(/.+\.db|[A-Z]:.+\.db): ", capsys.readouterr().out, re.MULTILINE)
    assert told
    return Path(told[1])


def note(database: Path, text: str) -> None:
    with Writer(database) as writer:
        writer.set_meta("note", text)


def test_a_tape_s_database_that_holds_another_exchange_s_candles_alone_is_looked_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, {"exchange": {"id": "synthetic"}, "symbols": ["BTC/USDT:USDT"]})
    assert trader(config, "init-db") == 0
    with Writer(tmp_path / "ohlcv.db") as writer:
        writer.put_candles("bitget", "BTC/USDT:USDT", "1m", Candles.of([0], [1], [2], [0.5], [1], [1]), 60_000)
        writer.set_frontier("bitget", "BTC/USDT:USDT", "1m", 60_000)
    for command in (("maintain",), ("symbols", "list"), ("funnel",)):
        assert trader(config, *command) == 0, capsys.readouterr()


# -- maintain


def test_maintain_does_all_of_the_upkeep_and_says_sizes_before_and_after(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trader(config, "maintain") == 0
    out = capsys.readouterr().out
    assert "maintain: " in out and "log empty" in out
    assert re.search(r"^before: file [\d.]+ MB, write-ahead log [\d.]+ MB$", out, re.MULTILINE)
    assert re.search(r"^after:  file [\d.]+ MB, write-ahead log [\d.]+ MB$", out, re.MULTILINE)
    jobs = set(Reader(database).job_runs()["job"])
    assert jobs == {"retention", "vacuum", "optimize", "db_checkpoint"}


def test_maintain_does_only_what_is_named(config: Path, database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trader(config, "maintain", "--check") == 0
    assert capsys.readouterr().out == "check: sound, every index agrees with its table\n"
    assert Reader(database).job_runs().empty
    assert trader(config, "maintain", "--vacuum", "--backup") == 0
    assert set(Reader(database).job_runs()["job"]) == {"vacuum", "db_checkpoint", "backup"}
    assert "checked, in" in capsys.readouterr().out


def test_maintain_ends_with_the_code_of_the_part_that_failed(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "backups").write_text("in the way")
    assert trader(config, "maintain", "--backup") == 9
    assert re.match(r"error: maintain: backup: back-ups .+backups: cannot be written", capsys.readouterr().err)


# -- backup and restore


def test_a_back_up_is_listed_and_put_back_and_the_change_taken_back(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note(database, "first")
    path = backed_up(capsys, config)
    assert path.parent == config.parent / "backups"
    assert trader(config, "backup", "--list") == 0
    listed = capsys.readouterr().out
    assert str(path) in listed and "  models 0\n" in listed and "1 in " in listed
    note(database, "second")
    assert trader(config, "restore", str(path)) == 0
    out = capsys.readouterr().out
    assert Reader(database).meta("note") == "first"
    undo = re.search(r"^to take this back: `trader restore (.+) --config", out, re.MULTILINE)
    assert undo and "yours was left as it is" in out
    assert trader(config, "restore", undo[1]) == 0
    assert Reader(database).meta("note") == "second"


def test_a_back_up_elsewhere_goes_there_and_none_is_removed(
    config: Path, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "usb"
    paths = {backed_up(capsys, config, "--to", str(folder)) for _ in range(2)}
    assert len(paths) == 2 and {path.parent for path in paths} == {folder}
    assert all(content(path)["meta"] == content(database)["meta"] for path in paths)
    assert trader(config, "backup", "--list", "--to", str(folder)) == 0
    assert "2 in " in capsys.readouterr().out


def test_a_back_up_is_counted_and_listed_with_the_models_it_brings_along(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_model(database, config.parent / "models")
    assert trader(config, "backup") == 0
    assert capsys.readouterr().out.startswith("backup: copies 1, models 1\n")
    assert trader(config, "backup", "--list") == 0
    assert "  models 1\n" in capsys.readouterr().out
    (archive,) = (config.parent / "backups").glob("*.zip")
    archive.write_bytes(b"PK not really")
    assert trader(config, "backup", "--list") == 0
    assert "  archive damaged\n" in capsys.readouterr().out
    archive.unlink()
    assert trader(config, "backup", "--list") == 0
    assert "  no archive\n" in capsys.readouterr().out


def test_a_back_up_holds_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = f"123456789:{'C' * 35}"
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", token)
    monkeypatch.setenv("TELEGRAM_CHAT_ID", "42")
    config = write_config(tmp_path / "secret", {"notify": {"telegram": {"enabled": True}}})
    assert trader(config, "init-db") == 0
    backed_up(capsys, config)
    files = [path for path in (tmp_path / "secret").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def test_nothing_is_restored_while_an_engine_runs(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = backed_up(capsys, config)
    note(database, "second")
    with FileLock(f"{database}.lock"):
        assert trader(config, "restore", str(path), "--force") == 3
    assert "another scheduler" in capsys.readouterr().err
    assert Reader(database).meta("note") == "second"


@pytest.mark.parametrize(
    ("file", "code", "told"),
    [
        ("none.db", 8, "there is no such file"),
        ("config.yaml", 8, "not one of this program, or damaged (file is not a database)"),
        ("", 8, "(a folder)"),
        ("backups/x.zip", 64, "name the database beside it"),
        ("ohlcv.db", 8, "itself"),
    ],
)
def test_what_cannot_be_restored_is_one_line(
    config: Path, file: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trader(config, "restore", str(config.parent / file)) == code
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1


def test_there_is_nothing_to_back_up_without_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path / "empty", {})
    assert trader(config, "backup") == 4
    assert "there is nothing to back up" in capsys.readouterr().err
    assert trader(config, "backup", "--list") == 0
    assert not (tmp_path / "empty" / "ohlcv.db").exists()


# -- upgrades


def test_pending_migrations_are_shown_then_done_with_a_copy_before(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ending in ("", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    migrate(database, steps=MIGRATIONS[:1])
    assert trader(config, "init-db", "--dry-run") == 0
    out = capsys.readouterr().out
    assert f"would migrate from schema 1 to {len(MIGRATIONS)}" in out
    assert all(step.name in out for step in MIGRATIONS[1:]) and "copy of the database before" in out
    assert not list(database.parent.glob("*.bak-*"))
    assert trader(config, "init-db") == 0
    connection = apsw.Connection(str(database.with_name("ohlcv.db.bak-v1")), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.pragma("user_version") == 1
    connection.close()
    assert trader(config, "init-db", "--dry-run") == 0
    assert f"schema {len(MIGRATIONS)}: up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [("init-db",), ("init-db", "--dry-run"), ("maintain",), ("backup",), ("run", "--once")]
)
def test_a_database_newer_than_the_program_is_refused_in_one_line(
    config: Path, database: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with Writer(database) as writer:
        writer._connection.pragma("user_version", 99)
    assert trader(config, *command) == 4
    err = capsys.readouterr().err
    assert "schema 99 is newer than this program's" in err and "update the program" in err
    assert sum("newer" in line for line in err.splitlines()) == 1
    assert list(database.parent.glob("backups/*.db")) == []


# -- doctor


def test_the_doctor_ends_well_with_warnings_and_with_one_where_something_fails(
    config: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trader(config, "doctor", "--offline") == 0
    out = capsys.readouterr().out
    assert re.search(r"^ok    database: .+ sound", out, re.MULTILINE)
    assert re.search(r"^warn  back-ups: none in .+  -> `trader backup --config \S+`", out, re.MULTILINE)
    assert "exchange: bitget: not asked (--offline)" in out
    assert re.search(r"^\d+ looked at: 0 failed, \d+ with a warning$", out, re.MULTILINE)
    database.write_bytes(b"not a database" * 1_000)
    assert trader(config, "doctor", "--offline", "--deep") == 1
    assert re.search(r"^FAIL  database: .+ not an SQLite database", capsys.readouterr().out, re.MULTILINE)


def test_the_doctor_says_what_is_wrong_with_the_configuration_and_what_it_can_without(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text("utf-8") + "\nnonsense: 1\n", "utf-8")
    assert trader(config, "doctor", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert {line["name"]: line["level"] for line in told["lines"]} == {
        "interpreter": "ok",
        "libraries": "ok",
        "sqlite": "ok",
        "configuration": "FAIL",
    }


def test_the_doctor_takes_a_tapes_time_and_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, {"exchange": {"id": "synthetic", "synthetic": {"days": 1}}})
    assert trader(config, "init-db") == 0
    capsys.readouterr()
    assert trader(config, "doctor", "--json") == 0
    lines = {line["name"]: line for line in json.loads(capsys.readouterr().out)["lines"]}
    assert lines["exchange"]["seen"] == "synthetic: a tape: there is nobody to ask"
    assert "clock" not in lines


# -- config


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (
            {"execution": {"exit_policy": "fixedr"}},
            "exit_policy: fixedr",
            "execution.exit_policy: 'fixedr' is not known",
        ),
        (
            {"execution": {"exits": {"fixed": {"r": 1.5}}}},
            "r: 1.5",
            "execution.exits.fixed: 'fixed' is not known; did you mean 'fixed_r'?",
        ),
        (
            {"signals": {"setups": {"fibo": {}}}},
            "fibo: {}",
            "signals.setups.fibo: 'fibo' is not known; did you mean 'fibo_avwap'?",
        ),
        (
            {"signals": {"setups": {"fibo_avwap": {"piv_windo": 1}}}},
            "piv_windo: 1",
            "signals.setups.fibo_avwap.piv_windo: unknown parameter; did you mean 'piv_window'?",
        ),
        (
            {"signals": {"filters": {"trend_adxx": {"min": 15}}}},
            "min: 15",
            "signals.filters.trend_adxx: not a feature; did you mean 'trend_adx'?",
        ),
        (
            {"signals": {"filters": {"trend_adx": {"min": 15, "max": 10}}}},
            "min: 15",
            "signals.filters.trend_adx.min = 15: expected at most max, 10",
        ),
        (
            {"models": {"meta": {"estimator": "xgbost"}}},
            "estimator: xgbost",
            "models.meta.estimator: 'xgbost' is not known; did you mean 'xgboost'?",
        ),
        (
            {"models": {"meta": {"estimators": {"logistic": {"l22": 1.0}}}}},
            "l22: 1.0",
            "models.meta.estimators.logistic.l22: unknown parameter; did you mean 'l2'?",
        ),
        (
            {"exchange": {"id": "bitgett"}},
            "id: bitgett",
            "exchange.id = bitgett: not known to ccxt; did you mean 'bitget'?",
        ),
    ],
)
def test_what_the_engine_would_refuse_is_refused_with_its_place_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], line: str, told: str
) -> None:
    config = write_config(tmp_path / "wrong", change)
    number = [text.strip() for text in config.read_text("utf-8").splitlines()].index(line) + 1
    assert trader(config, "config", "check") == 2
    assert capsys.readouterr().err.startswith(f"error: config.yaml:{number}: {told}")
    assert trader(config, "doctor", "--offline") == 1
    assert f"FAIL  configuration: config.yaml:{number}: {told}" in capsys.readouterr().out
