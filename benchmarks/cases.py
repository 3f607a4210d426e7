"""What is measured, against what, and the bar for it.

The law: a bar is a ratio inside one run. A figure that misses it is printed as it is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import _data
from benchmarks._measure import ROOT, Sample, Side, Worker, interleaved, median, run_process, take_turns
from benchmarks._trades import made_signals
from benchmarks.plain import ORDER
from benchmarks.results import Bar, Row, duration
from core.cli import _HOME as COMMANDS
from core.clock import DAY_MS, MINUTE_MS, timeframe_ms
from core.jobs import retro as retro_job

__all__ = ["CASES", "Stage", "prepare"]

TIMEFRAMES = ("5m", "15m", "1h", "4h")
CYCLE_TIMEFRAMES = ("5m", "15m", "30m", "1h", "4h")
HEAVY = ("numpy", "pandas", "ccxt", "xgboost", "numba", "pydantic")


@dataclass(frozen=True)
class Stage:
    """What is prepared before anything is measured.

    Parameters
    ----------
    folder : Path
        For everything that is written.
    days : int
        Length of the history.
    candles : Path
        Its minutes, for the workers to read.
    minutes, whole : Path
        Configurations beside a database with the minutes, and one with the longer candles too.
    about : str
        What the candles are.
    """

    folder: Path
    days: int
    candles: Path
    minutes: Path
    whole: Path
    about: str

    def room(self, name: str) -> str:
        """Return a folder of that name."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return str(path)


def prepare(folder: Path, days: int) -> Stage:
    """Make candles and databases; recorded candles where ``TRADER_REALDATA`` names some."""
    year, about = _data.recorded_candles(), "a recorded year of BTC/USDT"
    if year is None:
        year, about = _data.make_candles(days), f"{days} synthetic days"
    candles = _data.save_candles(folder / "candles.npz", year)
    configs = [_data.write_config(folder / name, [_data.BTC], TIMEFRAMES) for name in ("minutes", "whole")]
    for config, derived in zip(configs, (False, True), strict=True):
        _data.fill(config, {_data.BTC: year}, derived)
    return Stage(folder, len(year) // 1_440, candles, *configs, about)


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
    return [
        Row("resample a year to 5m 15m 1h 4h and store", shown, mine / theirs, Bar(0.45, at_least=False), figures)
    ]


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
    each, differ = median(told["ours"], "candles_each"), median(told["ours"], "sum_pct") - median(told["plain"], "sum_pct")
    agree = f"both sides' first 1,000 trades agree to {abs(differ):.1g} %"
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


def retro(stage: Stage) -> list[Row]:
    """Scan whole histories in a process of its own, database to database."""
    symbols = [_data.BTC, "ETH/USDT:USDT", "SOL/USDT:USDT"]
    several = _data.write_config(stage.folder / "several", symbols, TIMEFRAMES)
    year = _data.load_candles(stage.candles)
    others = {symbol: _data.make_candles(stage.days, symbol) for symbol in symbols[1:]}
    _data.fill(several, {_data.BTC: year, **others}, derived=True)
    quarter = str(int(year.ts[0]) + stage.days * DAY_MS // 4)

    def side(config: Path, *options: str) -> Callable[[], Sample]:
        def once() -> Sample:
            copied = _data.copy_database(config, stage.folder / "retro")
            command = [sys.executable, "retro_scan.py", "--config", str(copied), *options]
            return run_process(command, ROOT)

        return once

    told = take_turns(
        {
            "one": side(stage.whole),
            "minutes": side(stage.minutes),
            "three": side(several),
            "quarter": side(stage.whole, "--end", quarter),
        },
        5,
    )
    one, minutes, three = (median(told[name]) for name in ("one", "minutes", "three"))
    peak, short, cpu = median(told["one"], "peak_mb"), median(told["quarter"], "peak_mb"), median(told["one"], "cpu_s")
    further = (three - one) / 2
    figures = {"s": one, "cpu_s": cpu, "peak_mb": peak, "further_s": further, "from_minutes_s": minutes}
    return [
        Row(
            "retro_scan.py, one symbol-year, whole process",
            f"{duration(one)} ({duration(cpu)} of processor), {peak:.0f} MB",
            figures=figures,
        ),
        Row("... when the longer candles are still to be made", duration(minutes)),
        Row("... each further symbol-year in the same process", duration(further)),
        Row("... peak memory of a quarter of the year", f"{short:.0f} MB", peak / short),
    ]


def cycle(stage: Stage, symbols: int = 50, minutes: int = 15) -> list[Row]:
    """Run the live minute over the turn of a day, when every timeframe closes."""
    days = min(stage.days, 20)
    names = [f"C{number:02d}/USDT:USDT" for number in range(symbols)]
    tape = {name: _data.make_candles(days + 1, name) for name in names}
    now_ms = _data.START_MS + days * DAY_MS - (minutes // 2 + 1) * MINUTE_MS
    config = _data.write_config(stage.folder / "cycle", names, CYCLE_TIMEFRAMES)
    _data.fill(config, {name: run.between(None, now_ms) for name, run in tape.items()}, derived=True)
    trades = _scan_past(config, names, now_ms, stage.folder / "trades.json")
    files = [str(_data.save_candles(stage.folder / f"tape-{i}.npz", tape[name])) for i, name in enumerate(names)]
    given = {"candles": files, "symbols": names, "start_ms": now_ms}
    lengths = {name: timeframe_ms(name) // MINUTE_MS for name in CYCLE_TIMEFRAMES}
    plain = {**given, "folder": stage.room("cycle-plain"), "timeframes": lengths, "trades": str(trades)}
    sides = {
        "ours": Side("benchmarks.ours:cycle", {**given, "config": str(config)}),
        "plain": Side("benchmarks.plain_cycle:cycle", plain),
    }
    told = interleaved(sides, minutes)
    mine, theirs = (sum(sample["s"] for sample in told[name]) / minutes for name in ("ours", "plain"))
    worst = max(sample["s"] for sample in told["ours"])
    shown = f"{duration(mine)} a minute against {duration(theirs)} (pandas, ta, executemany); worst {duration(worst)}"
    work = f"live cycle, {symbols} symbols x {len(CYCLE_TIMEFRAMES)} timeframes"
    figures = {"ours_s": mine, "plain_s": theirs, "worst_s": worst}
    return [Row(work, shown, theirs / mine, Bar(30.0), figures)]


def _scan_past(config: Path, symbols: list[str], now_ms: int, path: Path) -> Path:
    """Fill in what the past gave, so that there are trades to play on; write down those unfinished."""
    desk = _data.open_desk(config)
    try:
        request = retro_job.RetroRequest(0, now_ms, symbols, CYCLE_TIMEFRAMES)
        asyncio.run(retro_job.run(desk, now_ms, request))
        trades = desk.reader.trades(status=["PENDING", "OPEN"])
        signals = desk.reader.signals(ids=trades["signal_id"].tolist()).set_index("id").loc[trades["signal_id"]]
        kept = signals[["symbol", "direction", "entry", "tp1"]].reset_index(drop=True)
        rows = trades[["signal_id", "status", "stop", "next_ms"]].reset_index(drop=True).join(kept)
        path.write_text(json.dumps(rows.to_dict("records")), encoding="utf-8")
        return path
    finally:
        desk.writer.close()


def startup(_stage: Stage) -> list[Row]:
    """Ask every command for its help."""
    commands = {name: [sys.executable, "-m", "core", name, "--help"] for name in COMMANDS}
    commands["bare"] = [sys.executable, "-c", "import argparse"]
    told = take_turns({name: lambda command=line: run_process(command, ROOT) for name, line in commands.items()}, 5)
    times = {name: median(samples) for name, samples in told.items()}
    bare = times.pop("bare")
    slowest = max(times, key=lambda name: times[name])
    shown = f"{duration(times[slowest])} ({slowest}) against {duration(bare)} (python -c 'import argparse')"
    heavy = sorted({module for name in COMMANDS for module in _heavy_imports(name)})
    return [
        Row("--help of any command", shown, times[slowest] / bare, Bar(3.0, at_least=False), {**times, "bare": bare}),
        Row("... imports", ", ".join(heavy) or f"none of {', '.join(HEAVY)}", len(heavy), Bar(0.0, False, " modules")),
    ]


def _heavy_imports(command: str) -> list[str]:
    import subprocess

    code = (
        "import sys\nfrom core.cli import main\ntry: main([sys.argv[1], '--help'])\n"
        f"except SystemExit: print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stderr.split()


CASES: dict[str, Callable[[Stage], list[Row]]] = {
    "ingest": ingest,
    "load": load,
    "resample": resample,
    "scan": scan,
    "simulate": simulate,
    "retro": retro,
    "cycle": cycle,
    "startup": startup,
}
