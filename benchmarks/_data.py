"""What is measured on: synthetic or recorded candles, a configuration and a database in a folder.

The law: the same arguments give the same candles, whichever side reads them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks._measure import ROOT
from core import app
from core.adapters.markets.synthetic import instrument_of, make_world
from core.clock import MINUTE_MS, parse_time
from core.jobs import resample
from core.jobs._desk import Desk
from core.schema import Candles

__all__ = [
    "BTC", "EXCHANGE", "START_MS", "copy_database", "fill", "load_candles", "make_candles", "open_desk",
    "recorded_candles", "save_candles", "with_models", "write_config",
]  # fmt: skip

EXCHANGE = "synthetic"
BTC = "BTC/USDT:USDT"
START_MS = parse_time("2023-01-01")


def make_candles(days: int, symbol: str = BTC) -> Candles:
    """Return one-minute candles of a world with legs and pullbacks."""
    return make_world("edge", symbol, START_MS, days, seed=7).candles


def recorded_candles(symbol: str = "BTCUSDT") -> Candles | None:
    """Return a recorded year out of the folder ``TRADER_REALDATA`` names; None where there is none."""
    from core.adapters.markets.files import read_candles

    folder = os.environ.get("TRADER_REALDATA")
    found = sorted((Path(folder) / "candles").glob(f"*_{symbol}_1m_*.parquet")) if folder else []
    return read_candles(found[0]) if found else None


def save_candles(path: Path, candles: Candles) -> Path:
    """Write candles for the workers to read."""
    np.savez(path, **{f.name: getattr(candles, f.name) for f in fields(candles)})
    return path


def load_candles(path: str | Path) -> Candles:
    """Read what `save_candles` wrote."""
    with np.load(path) as stored:
        return Candles(*(_frozen(stored[f.name]) for f in fields(Candles)))


def _frozen(array: Any) -> Any:
    array.setflags(write=False)
    return array


def write_config(folder: Path, symbols: Sequence[str], timeframes: Sequence[str]) -> Path:
    """Write the shipped configuration for a synthetic market into a folder, models off; the database lies beside it."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["app"] |= {"data_dir": str(folder), "db_path": str(folder / "ohlcv.db")}
    config["app"] |= {"log_dir": str(folder / "logs"), "log_level": "ERROR"}
    config["exchange"] = {"id": EXCHANGE}
    config |= {"symbols": list(symbols), "timeframes": list(timeframes), "notify": {"console": False}}
    config["data"]["derived_timeframes"] = list(timeframes)
    config["models"]["meta"] |= {"enabled": False, "model_path": str(folder / "models")}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def open_desk(config: Path, market: Any = None) -> Desk:
    """Open a desk as a command would, on a market that is never asked unless one is given."""
    source = app.config_source(config, None, {})
    log = logging.getLogger("benchmarks")
    log.setLevel(logging.CRITICAL)
    return app.open_desk(source, log, market or app.offline_market(source.current))


def fill(config: Path, candles: Mapping[str, Candles], derived: bool) -> None:
    """Store minutes of symbols, and where asked for the longer candles made of them."""
    desk = open_desk(config)
    try:
        desk.writer.put_instruments([instrument_of(symbol) for symbol in candles])
        for symbol, run in candles.items():
            desk.writer.put_candles(EXCHANGE, symbol, "1m", run, 0)
            desk.writer.set_frontier(EXCHANGE, symbol, "1m", int(run.ts[-1]) + MINUTE_MS)
        if derived:
            asyncio.run(resample.run(desk, desk.market.now_ms()))
        desk.writer.checkpoint()
    finally:
        desk.writer.close()


def copy_database(config: Path, folder: Path) -> Path:
    """Copy a configuration, its database and its models into a fresh folder; return the new configuration."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = config.read_text(encoding="utf-8").replace(str(config.parent), str(folder))
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    shutil.copyfile(config.with_name("ohlcv.db"), folder / "ohlcv.db")
    if config.with_name("models").is_dir():
        shutil.copytree(config.with_name("models"), folder / "models")
    return folder / "config.yaml"


def with_models(config: Path, folder: Path) -> Path:
    """Copy a configuration and its database into a fresh folder, models on; return the new configuration."""
    path = copy_database(config, folder)
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    text["models"]["meta"]["enabled"] = True
    path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return path
