"""A database with candles of one symbol and what was in force when, and nothing decided yet: what scans begin from.

The model, its thresholds and its candles are those of `tests.explained`.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.jobs import retro
from core.jobs._desk import Desk, Report
from core.schema import Candles, Instrument
from core.store.reader import Reader
from tests.engine import merged, write_config
from tests.explained import BTC, DAYS, END_MS, EXCHANGE, TIMEFRAME, World, open_world
from tests.factories import resampled, walk

__all__ = ["MINUTES", "decided_rows", "fill_in", "put_candles", "undecided"]

MINUTES = walk(DAYS, seed=11)


def undecided(folder: Path, world: World, change: dict[str, Any] | None = None, in_force: bool = True) -> Path:
    """Write a configuration and such a database into a folder; return the configuration.

    `in_force`: with the world's model and thresholds; otherwise with its model's files alone.
    """
    plain = {
        "exchange": {"id": EXCHANGE},
        "symbols": [BTC],
        "timeframes": [TIMEFRAME],
        "app": {"log_level": "ERROR"},
        "notify": {"console": False, "late_minutes": 10_000},
        "models": {"meta": {"model_path": str(folder / "models")}},
    }
    config = write_config(folder, merged(plain, change or {}))
    shutil.copytree(world.config.parent / "models", folder / "models")
    known = Reader(world.database)
    with open_world(config) as desk:
        put_candles(desk, MINUTES)
        for row in known.models().drop(columns="state").to_dict("records"):
            desk.writer.put_model(card_json=known.model_card(row["version"]) or "", **{str(k): row[k] for k in row})
        if in_force:
            for row in known.reigns().to_dict("records"):
                desk.writer.crown(row["version"], row["since_ms"], row["reason"])
            for row in known.thresholds().to_dict("records"):
                desk.writer.put_thresholds(row["since_ms"], row["gating"], row["evidence"], row["origin"], row["note"])
    return config


def put_candles(desk: Desk, minutes: Candles) -> None:
    """Store minutes and what is made of them."""
    with desk.writer.transaction():
        desk.writer.put_instruments([Instrument(EXCHANGE, BTC, tick=0.1, lot=0.0001, min_notional=5.0)])
        for timeframe, candles in (("1m", minutes), (TIMEFRAME, resampled(minutes, TIMEFRAME))):
            desk.writer.put_candles(EXCHANGE, BTC, timeframe, candles, END_MS)
            desk.writer.set_frontier(EXCHANGE, BTC, timeframe, END_MS)


def fill_in(desk: Desk, **asked: Any) -> Report:
    """Scan all closes in retrospect."""
    request = retro.RetroRequest(0, END_MS, [BTC], [TIMEFRAME], **asked)
    return asyncio.run(retro.run(desk, END_MS, request))


def decided_rows(desk: Desk) -> pd.DataFrame:
    """Return signals by key, each with how often it was decided (`times`) and its vector (`f0`, `f1`, ...)."""
    signals = desk.reader.signals().sort_values("key").reset_index(drop=True)
    decisions = desk.reader.decisions(signals["id"].tolist())
    times = decisions.groupby("signal_id").size()
    assert desk.features is not None
    ids, vectors = desk.reader.features(desk.features.id, signals["id"].tolist())
    place = pd.Index(ids).get_indexer(pd.Index(signals["id"]))
    told = pd.DataFrame(np.where((place >= 0)[:, None], vectors[place], np.nan)).add_prefix("f")
    return pd.concat([signals.assign(times=times.reindex(signals["id"]).to_numpy()), told], axis=1)
