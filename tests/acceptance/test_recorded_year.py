"""The engine on a recorded year: import, resampling laws, retro scan, and the same stretch played live."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from core.clock import DAY_MS, MINUTE_MS, parse_time, timeframe_ms
from core.indicators.resample import resample
from core.store.reader import Reader
from tests.engine import differences, record, trader, write_config

FOLDER = os.environ.get("TRADER_REALDATA", "")
SYMBOLS = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "ARB/USDT"]
ROWS = {"BTC/USDT": 80, "ETH/USDT": 80, "SOL/USDT": 81, "ARB/USDT": 1290}  # minutes known to be missing
DERIVED = ("5m", "15m", "1h", "4h")

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER, reason="TRADER_REALDATA names no folder of recorded candles"),
]


def recorded(path: Path | str, **replay: object) -> dict[str, object]:
    return {
        "exchange": {"id": "replay", "replay": {"path": str(path), "as": "binance", **replay}},
        "symbols": SYMBOLS,
        "timeframes": ["15m", "1h", "4h"],
        "notify": {"console": False},
        "app": {"log_level": "ERROR"},
        "auto": {"enabled": False},  # a model of this very year would judge the one side only
    }


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with 2023 of four symbols, imported and resampled; its configuration's path."""
    home = tmp_path_factory.mktemp("year")
    candles = home / "candles"
    candles.mkdir()
    for path in sorted((Path(FOLDER) / "candles").glob("binance_*_1m_*.parquet")):
        (candles / path.name).symlink_to(path)
    config = write_config(home, recorded(candles))
    began = time.perf_counter()
    assert trader(config, "download-data", "--import", str(candles)) == 0
    took = time.perf_counter() - began
    rows = sum(len(Reader(home / "ohlcv.db").candles("binance", symbol, "1m").ts) for symbol in SYMBOLS)
    print(f"\nimported {rows:,} rows in {took:.1f} s: {rows / took:,.0f} rows/s")
    assert trader(config, "scan-signals") == 0  # resamples what is stored
    return config


def test_the_year_is_stored_with_its_known_gaps_and_nothing_invented(year: Path) -> None:
    reader = Reader(year.parent / "ohlcv.db")
    for symbol, missing in ROWS.items():
        candles = reader.candles("binance", symbol, "1m")
        frontier = reader.frontier("binance", symbol, "1m")
        assert frontier == parse_time("2024-01-01")
        gaps = reader.gaps("binance", symbol, "1m")
        assert set(gaps["state"]) == {"confirmed"}
        assert len(gaps) == missing
        assert len(candles) + missing == (frontier - int(candles.ts[0])) // MINUTE_MS
        assert not np.isin(gaps["ts_ms"].to_numpy(), candles.ts).any()


def test_recomputing_any_derived_candle_of_the_year_gives_the_stored_row(year: Path) -> None:
    reader = Reader(year.parent / "ohlcv.db")
    for symbol in SYMBOLS:
        minutes = reader.candles("binance", symbol, "1m")
        for timeframe in DERIVED:
            stored = reader.candles("binance", symbol, timeframe)
            again = resample(minutes, timeframe_ms(timeframe), 0, parse_time("2024-01-01"))
            for name in ("ts", "open", "high", "low", "close", "volume", "taker_volume", "n_minutes"):
                assert np.array_equal(getattr(stored, name), getattr(again, name), equal_nan=True), (symbol, timeframe)


def test_the_volume_of_each_day_is_the_same_in_every_timeframe(year: Path) -> None:
    reader = Reader(year.parent / "ohlcv.db")
    for symbol in SYMBOLS:
        sums = []
        for timeframe in ("1m", "5m", "15m", "1h"):
            candles = reader.candles("binance", symbol, timeframe)
            sums.append(np.bincount((candles.ts - parse_time("2023-01-01")) // DAY_MS, candles.volume, 365))
        for other in sums[1:]:
            np.testing.assert_allclose(other, sums[0], rtol=1e-12)


def stretch(year: Path, home: Path, start: str, end: str) -> Path:
    """Export a stretch of the year to files; return their folder."""
    folder = home / "stretch"
    assert trader(year, "download-data", "--export", str(folder), "--start", start, "--end", end) == 0
    return folder


def scanned_and_played(home: Path, folder: Path, step: str) -> tuple[Path, Path]:
    """Scan a stretch in retrospect, and play it through the live jobs; return both databases."""
    retro = write_config(home / "retro", recorded(folder))
    assert trader(retro, "download-data", "--import", str(folder)) == 0
    began = time.perf_counter()
    assert trader(retro, "retro-scan") == 0
    retro_s = time.perf_counter() - began
    live = write_config(home / "live", recorded(folder, step=step))
    began = time.perf_counter()
    assert trader(live, "run") == 0
    print(f"\nretro scan {retro_s:.1f} s; played live in steps of {step}: {time.perf_counter() - began:.0f} s")
    assert trader(live, "parity") == 0
    return retro.parent / "ohlcv.db", live.parent / "ohlcv.db"


@pytest.mark.parametrize(
    ("start", "end", "step", "least"),
    [
        pytest.param("2023-03-20", "2023-03-27", "15m", 100, id="a week with the halt, in steps of 15m"),
        pytest.param("2023-03-20", "2023-03-27", "1m", 100, id="the same week in steps of 1m", marks=pytest.mark.slow),
        pytest.param("2023-01-01", "2024-01-01", "15m", 5000, id="the year in steps of 15m", marks=pytest.mark.slow),
    ],
)
def test_the_live_jobs_and_the_retro_scan_write_the_same_rows(
    year: Path, tmp_path: Path, start: str, end: str, step: str, least: int
) -> None:
    retro, live = scanned_and_played(tmp_path, stretch(year, tmp_path, start, end), step)
    for name, one, other in zip(("signals", "trades", "events"), record(retro), record(live), strict=True):
        print(f"{name}: {len(one):,} rows, differences {len(differences(one, other))}")
        assert len(one) >= least
        assert differences(one, other) == []
