"""A record of a generated market goes on with what it was made of, and with nothing else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from core import app
from core.cli import main
from core.config import ConfigSource
from core.store.reader import Reader
from core.store.writer import Writer
from tests.engine import trader, write_config

NOTE = "made:synthetic"


def configured(folder: Path, **made: Any) -> Path:
    synthetic = {"world": "walk", "seed": 7, "start": "2024-01-01", "days": 1, **made}
    return write_config(
        folder,
        {
            "exchange": {"id": "synthetic", "synthetic": synthetic},
            "symbols": ["BTC/USDT:USDT"],
            "backfill": {"start_date": "2024-01-01"},
        },
    )


@pytest.fixture
def played(tmp_path: Path) -> Path:
    """Return the folder of a record that began with a random walk."""
    assert trader(configured(tmp_path), "run", "--once") == 0
    assert len(Reader(tmp_path / "ohlcv.db").series())
    return tmp_path


@pytest.mark.parametrize(
    "made",
    [{"world": "edge"}, {"world": "fat"}, {"seed": 8}, {"start": "2024-01-02"}],
    ids=lambda made: next(iter(made)),
)
def test_another_market_does_not_go_on_with_the_record(played: Path, made: dict[str, Any], capsys) -> None:
    before = Reader(played / "ohlcv.db").series()
    assert trader(configured(played, **made), "run", "--once") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    (name,) = made
    was = {"world": "walk", "seed": "7", "start": "2024-01-01T00:00"}
    assert f"were made with world walk, seed 7, start {was['start']};" in line
    assert f"go on with exchange.synthetic.{name} = {was[name]} " in line
    assert f"(TRADER__EXCHANGE__SYNTHETIC__{name.upper()}={was[name]})" in line
    assert Reader(played / "ohlcv.db").series().equals(before)


def test_the_same_market_goes_on_however_long_and_however_written(played: Path) -> None:
    same = configured(played, days=2, start="2024-01-01T00:00", p_star=0.7, speed=0.0)
    assert trader(same, "run", "--once") == 0


def test_what_the_line_says_helps(played: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    other = configured(played, world="edge", seed=9)
    assert trader(other, "run", "--once") == 2
    inside = capsys.readouterr().err.split("(")[1].split(")")[0]
    for variable in inside.split():
        monkeypatch.setenv(*variable.split("="))
    assert trader(other, "run", "--once") == 0


def test_the_planted_edge_is_part_of_its_world_alone(tmp_path: Path) -> None:
    assert trader(configured(tmp_path, world="edge", p_star=0.8), "run", "--once") == 0
    assert trader(configured(tmp_path, world="edge", p_star=0.6), "run", "--once") == 2


def test_what_only_reads_the_record_does_not_mind(played: Path) -> None:
    other = configured(played, world="edge")
    noted = Reader(played / "ohlcv.db").meta(NOTE)
    for command in ("scan-signals", "retro-scan", "analyze-results", "funnel"):
        arguments = ["--out", str(played / "curve.csv")] if command == "analyze-results" else []
        assert trader(other, command, *arguments) == 0
    assert Reader(played / "ohlcv.db").meta(NOTE) == noted


def test_a_record_without_a_note_is_taken_for_the_configured_market(played: Path) -> None:
    with Writer(played / "ohlcv.db") as writer, writer.transaction():
        writer._connection.execute("DELETE FROM meta WHERE key = ?", (NOTE,))
    assert trader(configured(played, world="fat"), "run", "--once") == 0
    assert trader(configured(played), "run", "--once") == 2


def test_a_database_without_candles_takes_any_market(tmp_path: Path) -> None:
    for world in ("walk", "edge"):
        source = ConfigSource(configured(tmp_path, world=world), {})
        app.open_desk(source, logging.getLogger("test")).writer.close()
    assert '"world": "edge"' in (Reader(tmp_path / "ohlcv.db").meta(NOTE) or "")


def test_the_demo_notes_the_world_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    config = configured(tmp_path, world="walk", days=6)
    monkeypatch.setenv("TRADER__EXCHANGE__SYNTHETIC__WORLD", "edge")
    monkeypatch.setenv("TRADER__MODELS__META__MODEL_PATH", str(tmp_path / "models"))
    (tmp_path / "config.tiny.yaml").write_text("{}\n")
    # six days teach nothing, and learning says so
    assert main(["demo", "--config", str(config), "--profile", "tiny", "--world", "walk", "--seconds", "1"]) != 0
    monkeypatch.setenv("TRADER__EXCHANGE__SYNTHETIC__WORLD", "edge")
    assert main(["run", "--once", "--config", str(config)]) == 2
    assert "were made with world walk" in capsys.readouterr().err
