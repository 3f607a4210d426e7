"""A tape played through the live jobs and a retro scan over the same candles write the same rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.store.reader import Reader
from tests.engine import differences, record, trader, write_config

SYMBOLS = ["BTC/USDT:USDT", "ETH/USDT:USDT"]


def synthetic(step: str, days: int) -> dict[str, object]:
    return {
        "exchange": {
            "id": "synthetic",
            "synthetic": {
                "world": "edge",
                "p_star": 0.8,
                "seed": 11,
                "start": "2024-01-01",
                "days": days,
                "step": step,
            },
        },
        "symbols": SYMBOLS,
        "timeframes": ["5m", "15m", "1h", "4h"],
        "notify": {"console": False},
    }


def play_live(folder: Path, step: str, days: int) -> Path:
    """Play the whole tape through the scheduler into a new database; return it."""
    config = write_config(folder, synthetic(step, days))
    assert trader(config, "run") == 0
    return folder / "ohlcv.db"


def scan_in_retrospect(folder: Path, played: Path, days: int) -> Path:
    """Carry the candles of one database to another through files, and scan them there."""
    config = write_config(folder, synthetic("1m", days))
    files = folder / "candles"
    source = write_config(folder / "source", {**synthetic("1m", days), "app": {"db_path": str(played)}})
    assert trader(source, "download-data", "--export", str(files)) == 0
    assert trader(config, "init-db") == 0
    assert trader(config, "download-data", "--import", str(files)) == 0
    copy_instruments(played, folder / "ohlcv.db")
    assert trader(config, "retro-scan") == 0
    return folder / "ohlcv.db"


def copy_instruments(one: Path, other: Path) -> None:
    """Candle files know no tick sizes: give the second database the first one's."""
    from core.store.writer import Writer

    with Writer(other) as writer:
        writer.put_instruments(list(Reader(one).instruments("synthetic").values()))


@pytest.mark.parametrize("step", ["1m", "15m"])
def test_live_and_retro_write_the_same_signals_trades_and_events(tmp_path: Path, step: str) -> None:
    days = 3 if step == "1m" else 12
    played = play_live(tmp_path / "live", step, days)
    scanned = scan_in_retrospect(tmp_path / "retro", played, days)

    for one, other in zip(record(played), record(scanned), strict=True):
        assert len(one) > 10
        assert differences(one, other) == []


def test_a_second_retro_scan_changes_nothing(tmp_path: Path) -> None:
    played = play_live(tmp_path / "live", "15m", 8)
    scanned = scan_in_retrospect(tmp_path / "retro", played, 8)
    before = record(scanned)
    assert trader(tmp_path / "retro" / "config.yaml", "retro-scan") == 0
    for one, other in zip(before, record(scanned), strict=True):
        assert one.equals(other)
