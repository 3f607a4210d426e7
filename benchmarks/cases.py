"""What is measured, against what, and the bar for it.

The law: a bar is a ratio inside one run. A figure that misses it is printed as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from benchmarks import _data
from benchmarks._measure import Side, Worker, interleaved, median
from benchmarks._stage import TIMEFRAMES, Stage, prepare
from benchmarks._trades import made_candidates, made_signals
from benchmarks.models import gate, learn
from benchmarks.plain import ORDER
from benchmarks.results import Bar, Row, duration
from benchmarks.whole import cycle, retro, startup
from core.clock import MINUTE_MS, timeframe_ms

__all__ = ["ALSO_RECORDED", "CASES", "Stage", "prepare"]


def ingest(stage: Stage) -> list[Row]:
    """Store a year, then the same year again."""
    given = {"candles": str(stage.candles), "folder": stage.room("ingest")}
    sides = {
        "ours": Side("benchmarks.ours:ingest", given),
        "wide": Side("benchmarks.plain:ingest", {**given, "wide": True}),
        "narrow": Side("benchmarks.plain:ingest", {**given, "wide": False}),
    }
    told = interleaved(sides, 5)
    ours, wide, narrow = (median(told[name]) for name in sides)
    again, log = median(told["ours"], "again_s"), median(told["ours"], "wal_bytes")
    return [
        Row(
            "ingest a year: rows, blocks, upsert",
            f"{duration(ours)} against {duration(wide)} (executemany of the same columns)",
            ours / wide,
            Bar(0.9, at_least=False),
            {"ours_s": ours, "executemany_s": wide},
        ),
        Row(
            "... against a narrower table",
            f"{duration(narrow)} (executemany of prices and volume only)",
            ours / narrow,
            None,
            {"executemany_s": narrow},
        ),
        Row(
            "the same year again, unchanged",
            f"{duration(again)}; the log grows by {log:,.0f} bytes",
            log,
            Bar(0.0, at_least=False, unit=" bytes"),
            {"again_s": again},
        ),
    ]


def load(stage: Stage) -> list[Row]:
    """Read a year."""
    database = str(stage.whole.with_name("ohlcv.db"))
    plain = {"candles": str(stage.candles), "folder": stage.room("load")}
    told = interleaved(
        {"ours": Side("benchmarks.ours:load", {"database": database}), "plain": Side("benchmarks.plain:load", plain)}, 7
    )
    ours, theirs = median(told["ours"]), median(told["plain"])
    shown = f"{duration(ours)} against {duration(theirs)} (pandas.read_sql)"
    rows = [Row("load a year of minutes", shown, theirs / ours, Bar(30.0), {"ours_s": ours, "read_sql_s": theirs})]
    if sys.platform == "linux":
        worker = Worker(Side("benchmarks.ours:load_memory", {"database": database}))
        peak = worker()
        worker.close()
        value = peak["peak_bytes"] / peak["data_bytes"]
        shown = f"{peak['peak_bytes'] / 2**20:.1f} MB at the peak for {peak['data_bytes'] / 2**20:.1f} MB of candles"
        rows.append(Row("... memory", shown, value, Bar(1.5, at_least=False), peak))
    return rows


def resample(stage: Stage) -> list[Row]:
    """Make and store four timeframes."""
    lengths = [timeframe_ms(name) // MINUTE_MS for name in TIMEFRAMES]
    ours = {"config": str(stage.minutes), "folder": str(stage.folder / "resampled")}
    plain = {"candles": str(stage.candles), "folder": stage.room("resample"), "minutes": lengths}
    sides = {"ours": Side("benchmarks.ours:resample", ours), "plain": Side("benchmarks.plain:resample", plain)}
    told = interleaved(sides, 5)
    mine, theirs = median(told["ours"]), median(told["plain"])
    shown = f"{duration(mine)} against {duration(theirs)} (read_sql, pandas, executemany)"
    figures = {"ours_s": mine, "plain_s": theirs}
    return [Row("resample a year to 5m 15m 1h 4h and store", shown, mine / theirs, Bar(0.45, at_least=False), figures)]


def scan(stage: Stage) -> list[Row]:
    """Decide closes: per candle."""
    ours = {"candles": str(stage.candles), "config": str(stage.whole), "timeframe": "5m"}
    plain = {"candles": str(stage.candles), "minutes": 5}
    sides = {
        "ours": Side("benchmarks.ours:scan", ours),
        "numpy": Side("benchmarks.plain:scan", {**plain, "atr": "lfilter", "sample": 1_000}),
        "ta": Side("benchmarks.plain:scan", {**plain, "atr": "ta", "sample": 100}),
    }
    told = interleaved(sides, 5)
    mine, stage_us = median(told["ours"], "us"), median(told["ours"], "stage_us")
    window, ta = median(told["numpy"], "us"), median(told["ta"], "us")
    signals = median(told["ours"], "signals")
    return [
        Row(
            "scan, per candle: ATR, pivots, legs, AVWAP, plan",
            f"{mine:.3f} us against {window:.0f} us (a numpy window of 300, ATR in C)",
            window / mine,
            Bar(500.0),
            {"ours_us": mine, "numpy_us": window},
        ),
        Row("... with ta's ATR", f"{ta:,.0f} us", ta / mine, None, {"ta_us": ta}),
        Row(
            "... the whole stage: sizes, regime, words, identities",
            f"{stage_us:.2f} us a candle, {signals:,.0f} signals",
            window / stage_us,
            None,
            {"stage_us": stage_us},
        ),
    ]


def simulate(stage: Stage, trades: int = 100_000) -> list[Row]:
    """Play trades of about 130 candles."""
    year = _data.load_candles(stage.candles)
    signals = made_signals(year, trades).assign(side=lambda frame: np.where(frame["direction"] == "long", 1, -1))
    orders = stage.folder / "orders.npz"
    np.savez(orders, **{name: signals[name].to_numpy() for name in ORDER})
    given = {"candles": str(stage.candles)}
    sides = {
        "ours": Side("benchmarks.ours:simulate", {**given, "trades": trades}),
        "plain": Side("benchmarks.plain:simulate", {**given, "orders": str(orders), "sample": 1_000}),
    }
    told = interleaved(sides, 5)
    kernel, whole = median(told["ours"]) / trades, median(told["ours"], "stage_s") / trades
    theirs = median(told["plain"], "us") / 1e6
    each, differ = (
        median(told["ours"], "candles_each"),
        median(told["ours"], "sum_pct") - median(told["plain"], "sum_pct"),
    )
    agree = f"results and excursions agree to {differ:.1g} %"
    return [
        Row(
            f"simulate, trades of {each:.0f} candles",
            f"{duration(kernel)} a trade against {duration(theirs)} (a loop over numpy slices); {agree}",
            theirs / kernel,
            Bar(80.0),
            {"kernel_s": kernel, "plain_s": theirs, "differ_pct": differ},
        ),
        Row("... trades a second", f"{1 / kernel:,.0f}", 1 / kernel, Bar(1e6, unit="/s"), {"candles_each": each}),
        Row(
            "... the whole stage, frames in, trades and events out",
            f"{duration(whole)} a trade, {1 / whole:,.0f} trades/s",
            theirs / whole,
            None,
            {"stage_s": whole},
        ),
    ]


def features(stage: Stage) -> list[Row]:
    """Make the feature vectors of a year's candidates."""
    given = stage.folder / "candidates.npz"
    np.savez(given, **made_candidates(_data.load_candles(stage.candles), "15m"))
    shared = {"candles": str(stage.candles), "given": str(given)}
    sides = {
        "ours": Side("benchmarks.ours:features", {**shared, "timeframe": "15m"}),
        "plain": Side("benchmarks.plain_features:features", {**shared, "minutes": 15}),
    }
    told = interleaved(sides, 7)
    mine, theirs = median(told["ours"]), median(told["plain"])
    rows, columns = median(told["ours"], "rows"), median(told["ours"], "columns")
    return [
        Row(
            f"features: {columns:.0f} columns of a year's candidates on 15m",
            f"{duration(mine)} against {duration(theirs)} (pandas, ta) for {rows:,.0f} candidates",
            mine / theirs,
            Bar(0.3, at_least=False),
            {"ours_s": mine, "plain_s": theirs, "rows": rows},
        )
    ]


CASES: dict[str, Callable[[Stage], list[Row]]] = {
    "ingest": ingest,
    "load": load,
    "resample": resample,
    "scan": scan,
    "features": features,
    "simulate": simulate,
    "retro": retro,
    "gate": gate,
    "learn": learn,
    "cycle": cycle,
    "startup": startup,
}

ALSO_RECORDED = ("load", "scan", "retro")
"""Cases that are measured on recorded candles too, where there are some: what they cost depends on the market."""
