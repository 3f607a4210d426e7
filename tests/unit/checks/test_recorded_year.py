"""The checks on a recorded year: nothing looks ahead, and the declared warm-ups are enough."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.engine import trader, write_config

FOLDER = os.environ.get("TRADER_REALDATA", "")
SYMBOL = "BTC/USDT"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="TRADER_REALDATA names no folder of recorded candles"),
]


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a database with 2023 of one symbol, resampled."""
    home = tmp_path_factory.mktemp("year")
    candles = home / "candles"
    candles.mkdir()
    for path in sorted((Path(FOLDER) / "candles").glob("binance_BTCUSDT_1m_*.parquet")):
        (candles / path.name).symlink_to(path)
    recorded = {
        "exchange": {"id": "replay", "replay": {"path": str(candles), "as": "binance"}},
        "symbols": [SYMBOL],
        "notify": {"console": False},
        "app": {"log_level": "ERROR"},
    }
    config = write_config(home, recorded)
    assert trader(config, "download-data", "--import", str(candles)) == 0
    assert trader(config, "scan-signals") == 0  # resamples what is stored
    return config


@pytest.mark.parametrize("action", ["lookahead", "warmup"])
def test_the_year_is_clean(year: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    assert trader(year, "check", action, "--timeframes", "15m", "1h", "4h", "--cuts", "60") == 0
    told = capsys.readouterr().out
    with capsys.disabled():
        print(f"\ncheck {action}: {time.perf_counter() - began:.0f} s\n{told}")
    assert "fibo_avwap          3 series, 60 cuts each: clean" in told
    assert told.count("clean") == len(told.splitlines())
