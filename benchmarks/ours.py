"""Our side of each comparison, through the same functions the engine runs.

The law: what is prepared anew for each round is not timed; what a user would wait for is.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from benchmarks import _data
from benchmarks._measure import Round, Sample
from benchmarks._trades import made_signals
from core.adapters.markets.replay import ReplayMarket, Tape
from core.adapters.markets.synthetic import instrument_of
from core.clock import MINUTE_MS, timeframe_ms
from core.execution import book
from core.execution.costs import CostModel
from core.execution.funding import no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.exits.tp1_be_trail import Tp1BeTrail
from core.features import Outcomes, Plans, View, feature_set
from core.indicators.fibo import PullbackRules, find_pullbacks
from core.indicators.legs import LegRules, Prices
from core.indicators.resample import resample as resample_candles
from core.indicators.swings import swing_pivots
from core.indicators.volatility import wilder_atr
from core.jobs import cycle as cycle_job
from core.jobs import resample as resample_job
from core.jobs._candidates import scan_rules
from core.pipeline import scan as scan_stage
from core.pipeline import simulate as simulate_stage
from core.store.reader import Reader
from core.store.writer import Writer

__all__ = ["cycle", "features", "ingest", "load", "load_memory", "resample", "scan", "simulate"]


def ingest(candles: str, folder: str) -> Round:
    """Store a year of minutes in an empty database, then hand in the same year again."""
    year, path = _data.load_candles(candles), Path(folder) / "ours.db"
    series = (_data.EXCHANGE, _data.BTC, "1m")

    def once() -> Sample:
        remove(path)
        with Writer(path) as writer:
            began = perf_counter()
            writer.put_candles(*series, year, 0)
            writer.set_frontier(*series, int(year.ts[-1]) + MINUTE_MS)
            took = perf_counter() - began
            writer.checkpoint()
            log = path.with_name(path.name + "-wal")
            before = log.stat().st_size
            began = perf_counter()
            writer.put_candles(*series, year, 1)
            again = perf_counter() - began
            return {"s": took, "again_s": again, "wal_bytes": log.stat().st_size - before}

    return once


def load(database: str) -> Round:
    """Read a year of minutes."""
    reader = Reader(Path(database))

    def once() -> Sample:
        began = perf_counter()
        candles = reader.candles(_data.EXCHANGE, _data.BTC, "1m")
        return {"s": perf_counter() - began, "rows": len(candles)}

    return once


def load_memory(database: str) -> Round:
    """Read a year of minutes once, and measure how far memory rises above what it was."""
    reader = Reader(Path(database))
    reader.candles(_data.EXCHANGE, _data.BTC, "1m", _data.START_MS, _data.START_MS + MINUTE_MS)

    def once() -> Sample:
        before = _memory_bytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        began = perf_counter()
        candles = reader.candles(_data.EXCHANGE, _data.BTC, "1m")
        took = perf_counter() - began
        data = sum(getattr(candles, name).nbytes for name in candles.__slots__)
        return {"s": took, "peak_bytes": _memory_bytes("VmHWM") - before, "data_bytes": data}

    return once


def _memory_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def resample(config: str, folder: str) -> Round:
    """Make four timeframes of a stored year of minutes, and store them."""

    def once() -> Sample:
        desk = _data.open_desk(_data.copy_database(Path(config), Path(folder)))
        try:
            began = perf_counter()
            report = asyncio.run(resample_job.run(desk, desk.market.now_ms()))
            return {"s": perf_counter() - began, "rows": report.counts["candles"]}
        finally:
            desk.writer.close()

    return once


def scan(candles: str, config: str, timeframe: str) -> Round:
    """Decide every close of a year: the kernels alone, and the whole stage with its rows and words."""
    minutes = _data.load_candles(candles)
    step = timeframe_ms(timeframe)
    year = resample_candles(minutes, step, int(minutes.ts[0]), int(minutes.ts[-1]) + MINUTE_MS)
    desk = _data.open_desk(Path(config))
    setup, rules, instrument = desk.setups[0], scan_rules(desk.config, desk.costs), instrument_of(_data.BTC)
    desk.writer.close()
    window, leg_rules, pullback_rules = _kernel_rules(setup.params(), instrument.tick)
    period = setup.params()["atr_period"]

    def once() -> Sample:
        began = perf_counter()
        atr = wilder_atr(year.high, year.low, year.close, period)
        pivots, sides = swing_pivots(year.high, year.low, window)
        prices = Prices(year.high, year.low, year.close, year.volume, atr)
        found = find_pullbacks(prices, pivots, sides, leg_rules, pullback_rules, 0)
        kernels = perf_counter() - began
        began = perf_counter()
        signals = scan_stage(year, instrument, timeframe, setup, rules)
        stage = perf_counter() - began
        us = 1e6 / len(year)
        counts = {"candles": len(year), "plans": len(found.t), "signals": len(signals)}
        return {"s": kernels, "us": kernels * us, "stage_us": stage * us, **counts}

    return once


def _kernel_rules(params: dict[str, float], tick: float | None) -> tuple[int, LegRules, PullbackRules]:
    draw = ("min_leg_atr", "entry_level", "tp1_ext", "tp2_ext")
    legs = LegRules(
        int(params["anchors_to_consider"]), *(params[name] for name in draw), np.nan if tick is None else tick
    )
    window, stop_atr = int(params["piv_window"]), params["atr_mult_sl"] / 2.0
    lookback, far = int(params["lookback_candles"]), params["max_distance_atr"]
    return window, legs, PullbackRules(window, lookback, far, 1.0, stop_atr, params["rr_min"], True)


def features(candles: str, given: str, timeframe: str) -> Round:
    """Make the vectors of a year's candidates; `given` holds plans, funding and outcomes."""
    minutes, step = _data.load_candles(candles), timeframe_ms(timeframe)
    year = resample_candles(minutes, step, int(minutes.ts[0]), int(minutes.ts[-1]) + MINUTE_MS)
    with np.load(given) as stored:
        columns = {name: stored[name] for name in stored.files}
    around = {name: columns.pop(name) for name in ("known_ms", "r", "funding")}
    signals, outcomes = pd.DataFrame(columns), Outcomes(around["known_ms"], around["r"])
    at, whole = np.searchsorted(year.ts, columns["ts_ms"]), feature_set()

    def once() -> Sample:
        began = perf_counter()
        view = View(year, at, Plans.of(signals), timeframe, _costs(), year, around["funding"], outcomes)
        vectors = whole.compute(view)
        took = perf_counter() - began
        return {"s": took, "rows": len(vectors), "sum": float(np.nansum(vectors)), "columns": len(whole.columns)}

    return once


def simulate(candles: str, trades: int) -> Round:
    """Play trades of about 130 candles: the kernel alone, and the whole stage from frames to frames."""
    year = _data.load_candles(candles)
    signals = made_signals(year, trades)
    policy, rules, costs = Tp1BeTrail(), ExecutionRules(), _costs()
    pending = book.new_trades(signals, "tp1_be_trail@00000000", rules)
    runs = [Run(year, int(year.ts[-1]) + MINUTE_MS, no_marks())]
    which, tick = np.zeros(trades, dtype=np.int64), np.full(trades, np.nan)
    inside: list[float] = []
    kernel = book.play_trades

    def timed(*tables: object) -> object:
        began = perf_counter()
        result = kernel(*tables)
        inside.append(perf_counter() - began)
        return result

    book.play_trades = timed

    def once() -> Sample:
        began = perf_counter()
        after, _ = simulate_stage(pending, signals, policy, runs, which, tick, rules, costs)
        took = perf_counter() - began
        return {"s": inside[-1], "stage_s": took, **_told(after, signals)}

    return once


def _costs() -> CostModel:
    return CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)


def _told(after: pd.DataFrame, signals: pd.DataFrame) -> Sample:
    lasted = np.maximum(after["closed_ms"], after["next_ms"]).to_numpy() - signals["decided_ms"].to_numpy()
    first = after.iloc[: min(len(after), 1_000)]
    sums = {"sum_pct": "pnl_pct", "best_pct": "mfe_pct", "worst_pct": "mae_pct"}
    return {
        "trades": len(after),
        "candles_each": float(lasted.mean()) / MINUTE_MS,
        **{name: float(first[column].sum()) for name, column in sums.items()},
    }


def cycle(config: str, candles: list[str], symbols: list[str], start_ms: int) -> Round:
    """Run the live cycle minute after minute; a round is one minute, the market's own part aside."""
    tape = Tape.of(
        {symbol: _data.load_candles(path) for symbol, path in zip(symbols, candles, strict=True)},
        {symbol: instrument_of(symbol) for symbol in symbols},
    )
    market = ReplayMarket(tape, _data.EXCHANGE, start_ms=start_ms, synthetic=True)
    desk = _data.open_desk(Path(config), market)
    loop = asyncio.new_event_loop()

    def once() -> Sample:
        now_ms = loop.run_until_complete(market.advance())
        assert now_ms is not None
        began = perf_counter()
        reports = loop.run_until_complete(cycle_job.run(desk, now_ms))
        took = perf_counter() - began
        assert all(report.ok for report in reports), [str(report) for report in reports]
        counts = {name: count for report in reports for name, count in report.counts.items()}
        kept = ("closes", "signals", "moved")
        return {"s": took, "minute": now_ms // MINUTE_MS % 1_440, **{name: counts.get(name, 0) for name in kept}}

    return once


def remove(path: Path) -> None:
    """Delete a database with what lies beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
