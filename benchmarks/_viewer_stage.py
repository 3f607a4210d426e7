"""What the viewer is measured on: two million minutes, fifty thousand candidates, a model, thresholds, runs of jobs.

The law: what can be had of the engine's own stages is had of them: candles are resampled, candidates found, judged
and played by its jobs. Only what it takes months to say is made up: what a walk-forward said, evidence, runs of jobs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks import _data
from benchmarks._learned import Learned, learned_from
from core.clock import DAY_MS, MINUTE_MS
from core.gate import Evidence, Slice
from core.jobs import retro
from core.jobs._desk import Desk
from core.jobs._gating import gating_text
from core.jobs._learning import estimator_of, publish
from core.schema import PREDICTIONS, conform
from core.store.reader import Reader
from core.training.card import golden_rows

__all__ = ["DAYS", "SIGNALS", "SYMBOLS", "ViewerStage", "prepare"]

DAYS, SIGNALS = 139, 50_000
SYMBOLS = tuple(
    f"{name}/USDT:USDT" for name in ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "TON", "PEPE")
)

_TIMEFRAMES = ("5m", "15m", "1h", "4h")
_SCANNED = ("1m", *_TIMEFRAMES)  # a minute's candidates make up the number
_JOBS = ("incremental_sync", "resample", "execute_trades", "scan_signals")
_LEDGER = "walk-forward"
_CHANCE = 0.385  # about the median of what this model says


@dataclass(frozen=True, slots=True)
class ViewerStage:
    """A database to look at.

    Parameters
    ----------
    config, database : Path
    counts : dict of str to int
        Rows by table, and ``minutes``.
    """

    config: Path
    database: Path
    counts: dict[str, int]

    @property
    def about(self) -> str:
        """What is in it, in words."""
        told = self.counts
        return (
            f"{told['candle']:,} candles, {told['signals']:,} signals, {told['trades']:,} trades, "
            f"{told['trade_events']:,} events, {told['predictions']:,} predictions, {told['job_runs']:,} runs of jobs"
        )


def prepare(
    folder: Path,
    days: int = DAYS,
    symbols: tuple[str, ...] = SYMBOLS,
    signals: int = SIGNALS,
    runs: int = 20_000,
    tell: Callable[[str], None] = lambda _line: None,
) -> ViewerStage:
    """Write the database into a folder.

    Parameters
    ----------
    folder : Path
    days : int
        Length of the history of each symbol.
    symbols : tuple of str
    signals : int
        At least so many candidates, as long as the candles hold so many.
    runs : int
        Of each of the minute's jobs.
    tell : callable
        Given a line at each step.
    """
    tell(f"learning a model from {days} days of {symbols[0]}")
    minutes = _data.make_candles(days)
    small = _data.write_config(folder / "one", symbols[:1], _TIMEFRAMES)
    _data.fill(small, {symbols[0]: minutes}, derived=True)
    made = learned_from(small, folder / "learned")
    tell(f"storing {days} days of {len(symbols)} symbols")
    config = _data.write_config(folder / "whole", symbols, _TIMEFRAMES)
    _models_on(config)
    _data.fill(config, {name: _data.make_candles(days, name) for name in symbols}, derived=True)
    desk = _data.open_desk(config)
    try:
        _crown(desk, made)
        _scan(desk, signals, tell)
        tell("writing predictions, thresholds and runs of jobs")
        _predictions(desk)
        _thresholds(desk)
        _runs(desk, runs)
        desk.writer.optimize()
        desk.writer.checkpoint()
        database = Path(desk.config.app.db_path)
    finally:
        desk.writer.close()
    told = Reader(database).summary()
    return ViewerStage(config, database, dict(told.tables))


def _models_on(config: Path) -> None:
    """Have a model judge, and a gate and limits that let most candidates through: there is to be an account to show."""
    plain = yaml.safe_load(config.read_text(encoding="utf-8"))
    meta = plain["models"]["meta"]
    meta["enabled"] = True
    meta["gating"] |= {"use_ev": False, "threshold": _CHANCE, "floors": {"min_ev_pct": 0.0, "threshold": _CHANCE}}
    plain["risk"]["limits"] |= {"max_open": 500, "max_open_per_symbol": 50, "max_daily_loss_pct": 100}
    plain["risk"]["limits"] |= {"stop_guard": {"stops": 1_000, "window_hours": 1, "pause_hours": 1}}
    config.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


def _crown(desk: Desk, made: Learned) -> None:
    card = {"golden": golden_rows(made.model, made.vectors), "n": len(made.vectors), "n_eff": float(len(made.vectors))}
    version, _ = publish(desk, made.model, estimator_of(desk), card, 0)
    desk.writer.crown(version, 0, "measured")


def _scan(desk: Desk, wanted: int, tell: Callable[[str], None]) -> None:
    """Let retro scan find, judge and play candidates, a timeframe at a time, until there are enough."""
    end_ms = desk.market.now_ms()
    for timeframe in reversed(_SCANNED):
        found = len(desk.reader.signals(columns=["id"]))
        if found >= wanted:
            return
        tell(f"{found:,} signals; scanning {timeframe}")
        for symbol in desk.config.symbols:
            request = retro.RetroRequest(0, end_ms, [symbol], [timeframe], jobs=1)
            asyncio.run(retro.run(desk, end_ms, request))
            if timeframe == "1m" and len(desk.reader.signals(columns=["id"])) >= wanted:
                return


def _predictions(desk: Desk) -> None:
    """Say of every candidate what a walk-forward might have said."""
    rows = desk.reader.signals(exchange=desk.exchange, columns=["id", "decided_ms", "entry", "sl", "tp1"])
    rng, n = np.random.default_rng(7), len(rows)
    rr = ((rows["tp1"] - rows["entry"]) / (rows["entry"] - rows["sl"])).abs().to_numpy()
    raw = np.clip(1.0 / (1.0 + rr) + rng.normal(0.0, 0.06, n), 0.02, 0.98)
    p = 0.9 * raw + 0.04
    value = p * rr - (1.0 - p)
    columns = {
        "signal_id": rows["id"],
        "ledger": _LEDGER,
        "model": _LEDGER,
        "train_max_t1": rows["decided_ms"] - DAY_MS,
    }
    columns |= {"p_geo": 1.0 / (1.0 + rr), "p_raw": raw, "p": p, "payoff": rr}
    columns |= {"ev_payoff_r": value, "ev_p_r": value - 0.02, "ev_r": value - 0.02}
    desk.writer.put_predictions(conform(pd.DataFrame(columns), PREDICTIONS))


def _thresholds(desk: Desk) -> None:
    """Put two dozen tunings on record, the last with a slice for every pair and timeframe."""
    end_ms = desk.market.now_ms()
    names = ["all", *_TIMEFRAMES, *(f"{symbol} {frame}" for symbol in desk.config.symbols for frame in _TIMEFRAMES)]
    numbers = {"n": 412, "n_eff": 300.0, "weeks": 40, "win_rate": 0.48, "lower_win": 0.45, "expires_ms": end_ms}
    poor = {**numbers, "mean_r": -0.11, "lower_r": -0.25, "threshold": 0.0, "certified": False, "speaks": True}
    slices = {name: Slice(name=name, **poor, why="mean not above 0") for name in names}  # type: ignore[arg-type]
    gating = gating_text(desk.config.models.meta.gating)
    for week in range(24, 0, -1):
        at_ms = end_ms - week * 7 * DAY_MS
        told = json.dumps(Evidence("ev", at_ms, slices).to_json())
        desk.writer.put_thresholds(max(0, at_ms), gating, told, "tune", "measured")


def _runs(desk: Desk, runs: int) -> None:
    """Put a fortnight of the minute's jobs on record."""
    end_ms, text = desk.market.now_ms(), "sync: candles 30, requests 10, failures 0, answer_ms 120, slowest_ms 240"
    with desk.writer.transaction():
        for minute in range(runs, 0, -1):
            at_ms = end_ms - minute * MINUTE_MS
            for place, job in enumerate(_JOBS):
                desk.writer.put_job_run(job, at_ms, at_ms + 20 + place, "ok", text if place == 0 else f"{job}: done 1")
