"""What the page of health reads: the heartbeat, the vitals, the jobs, the gaps, the files.

The law: bounded questions and file sizes; nothing is counted row by row.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import wall_now_ms
from core.config import Config
from core.dashboard._shared import View
from core.dashboard._source import Snapshot, series_of
from core.ingest.traffic import error_rate, mean_answer_ms, read_traffic
from core.results.board import next_weekly_ms
from core.results.health import Finding, health_of
from core.store import backups
from core.store.heartbeat import Heartbeat, heartbeat_path, read_heartbeat
from core.store.looks import sqlite_version
from core.store.reader import Reader
from core.store.vitals import read_vitals

__all__ = [
    "Beat",
    "answers_of",
    "backups_of",
    "beat_of",
    "due_of",
    "findings_of",
    "gaps_of",
    "runs_of",
    "sizes_of",
    "versions",
]

_RUNS = 6_000  # newest rows of job_runs looked at: about ten hours of a live engine, more of a quiet one
_LIBRARIES = ("numpy", "pandas", "numba", "xgboost-cpu", "xgboost", "scikit-learn", "apsw", "ccxt", "streamlit")


@dataclass(frozen=True, slots=True)
class Beat:
    """What is known of the engine's process.

    Parameters
    ----------
    beat : Heartbeat or None
        None where the engine has never run on this database.
    age_ms : int
        Since it was written.
    alive : bool
        Whether it is young enough.
    """

    beat: Heartbeat | None
    age_ms: int = 0
    alive: bool = False


def beat_of(view: View) -> Beat:
    """Return the engine's last heartbeat; never kept, since it says whether the engine is alive now."""
    beat = read_heartbeat(heartbeat_path(Path(view.snapshot.path)))
    if beat is None:
        return Beat(None)
    age_ms = max(0, wall_now_ms() - beat.machine_ms)
    return Beat(beat, age_ms, beat.state == "running" and age_ms <= beat.limit_s * 1000)


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def runs_of(snapshot: Snapshot) -> pd.DataFrame:
    """Return the newest runs of jobs, newest first."""
    return Reader(Path(snapshot.path)).job_runs(limit=_RUNS)


def findings_of(view: View, beat: Beat) -> list[Finding]:
    """Return what a look at the database finds, at the market's time now."""
    now_ms = _market_now(view, beat)
    config = view.source.config
    channels = _channels(config)
    symbols = tuple(config.symbols) if config else ()
    facts = read_vitals(Path(view.snapshot.path), view.exchange, "1m", channels, now_ms, symbols)
    return health_of(facts, view.source.zone)


def _market_now(view: View, beat: Beat) -> int:
    """Return market time: the machine's for a live market, else where the tape stands."""
    if beat.beat is not None and beat.beat.mode == "live":
        return beat.beat.market_ms + beat.age_ms
    series = series_of(view.snapshot)
    frontier = series.loc[series["exchange"] == view.exchange, "frontier_ms"].max()
    return int(frontier) if np.isfinite(frontier) else wall_now_ms()


def _channels(config: Config | None) -> tuple[str, ...]:
    if config is None:
        return ("console", "telegram")
    switched = {"console": config.notify.console, "telegram": config.notify.telegram.enabled}
    return tuple(name for name, on in switched.items() if on)


def due_of(view: View, beat: Beat) -> dict[str, int]:
    """Return when jobs are due next, UTC ms of market time, as far as the configuration says."""
    config = view.source.config
    if config is None:
        return {}
    now_ms = _market_now(view, beat)
    weekly = (
        ("auto_train", config.auto.weekly_train),
        ("auto_calibrate", config.auto.weekly_calibrate),
        ("auto_tune", config.auto.weekly_tune),
    )
    return {
        name: next_weekly_ms(now_ms, job.day_of_week, job.hour_utc, job.minute)
        for name, job in weekly
        if config.auto.enabled and job.enable
    }


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def gaps_of(snapshot: Snapshot, exchange: str) -> pd.DataFrame:
    """Return each series of an exchange: symbol, timeframe, frontier_ms, open, confirmed, filled minutes."""
    reader = Reader(Path(snapshot.path))
    series, counts = reader.series(), reader.gap_counts()
    wide = counts[counts["exchange"] == exchange].pivot_table(
        index=["symbol", "timeframe"], columns="state", values="n", aggfunc="sum", fill_value=0
    )
    wide = wide.reindex(columns=["open", "confirmed", "filled"], fill_value=0)
    mine = series.loc[series["exchange"] == exchange, ["symbol", "timeframe", "frontier_ms"]]
    told = mine.merge(wide.reset_index(), on=["symbol", "timeframe"], how="left")
    return told.fillna({"open": 0, "confirmed": 0, "filled": 0, "frontier_ms": 0})


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def answers_of(snapshot: Snapshot) -> pd.DataFrame:
    """Return by quarter of an hour how the exchange answered: time, requests, answer_ms, slowest_ms, error (share)."""
    runs = runs_of(snapshot)
    mine = runs[runs["job"] == "incremental_sync"]
    lines = []
    for quarter, part in mine.groupby(mine["started_ms"] // 900_000, sort=True):
        traffic = read_traffic(part["detail"])
        if traffic.requests:
            mean_ms, error = mean_answer_ms(traffic), error_rate(traffic)
            lines.append((int(str(quarter)) * 900_000, traffic.requests, mean_ms, traffic.slowest_ms, error))
    return pd.DataFrame(lines, columns=["ts_ms", "requests", "answer_ms", "slowest_ms", "error"])


def sizes_of(view: View) -> dict[str, int]:
    """Return sizes in bytes: database, write-ahead log."""
    path = Path(view.snapshot.path)
    log = path.with_name(f"{path.name}-wal")
    return {"database": path.stat().st_size, "wal": log.stat().st_size if log.exists() else 0}


def backups_of(view: View) -> list[backups.Backup]:
    """Return the back-ups that are there, the newest first."""
    config = view.source.config
    folder = Path(config.app.backup_dir) if config else Path(view.snapshot.path).parent / "backups"
    return backups.listed(folder, Path(view.snapshot.path))[::-1]


def versions() -> dict[str, str]:
    """Return what runs here."""
    found = {"python": sys.version.split()[0], "sqlite": sqlite_version()}
    for name in ("trader-ai", *_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
