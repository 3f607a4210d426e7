"""What a user waits for: a retro scan as a process, the live minute, the help of a command.

The law: a whole process is timed from its start to its end; the live minute without the market's own part.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import _data
from benchmarks._learned import Learned, learned, learned_from
from benchmarks._measure import ROOT, Round, Sample, Side, interleaved, median, run_process, take_turns
from benchmarks._stage import TIMEFRAMES, Stage
from benchmarks.results import Bar, Row, duration
from core.cli import _HOME as COMMANDS
from core.clock import DAY_MS, MINUTE_MS, timeframe_ms
from core.jobs import retro as retro_job

__all__ = ["cycle", "heavy_imports", "retro", "startup"]

CYCLE_TIMEFRAMES = ("5m", "15m", "30m", "1h", "4h")
HEAVY = ("numpy", "pandas", "ccxt", "xgboost", "numba", "pydantic")


def retro(stage: Stage) -> list[Row]:
    """Scan whole histories in a process of its own, database to database."""
    symbols = [_data.BTC, "ETH/USDT:USDT", "SOL/USDT:USDT"]
    several = _data.write_config(stage.folder / "several", symbols, TIMEFRAMES)
    year = _data.load_candles(stage.candles)
    others = {symbol: _data.make_candles(stage.days, symbol) for symbol in symbols[1:]}
    _data.fill(several, {_data.BTC: year, **others}, derived=True)
    quarter = str(int(year.ts[0]) + stage.days * DAY_MS // 4)
    made, in_force = learned(stage)

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
            "judged": side(in_force),
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
        _judged(told["judged"], made, one),
    ]


def _judged(told: list[Sample], made: Learned, without_s: float) -> Row:
    took, cpu, peak = (median(told, name) for name in ("s", "cpu_s", "peak_mb"))
    n, stored = made.candidates, f"{made.candidates:,} vectors of {len(made.model.columns)}, judged and stored"
    return Row(
        "... with features and a model in force",
        f"{duration(took)} ({duration(cpu)} of processor), {peak:.0f} MB; {stored}",
        took / without_s,
        figures={"s": took, "cpu_s": cpu, "peak_mb": peak, "candidates": n},
    )


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
    judged = learned_from(config, stage.folder / "cycle-judged", now_ms)
    sides = {
        "ours": Side("benchmarks.ours:cycle", {**given, "config": str(config)}),
        "plain": Side("benchmarks.plain_cycle:cycle", plain),
        "judged": Side("benchmarks.ours:cycle", {**given, "config": str(judged.config)}),
    }
    told = interleaved(sides, minutes)
    mine, theirs, with_model = (sum(sample["s"] for sample in told[name]) / minutes for name in sides)
    worst, worst_judged = (max(sample["s"] for sample in told[name]) for name in ("ours", "judged"))
    shown = f"{duration(mine)} a minute against {duration(theirs)} (pandas, ta, executemany); worst {duration(worst)}"
    work = f"live cycle, {symbols} symbols x {len(CYCLE_TIMEFRAMES)} timeframes"
    figures = {"ours_s": mine, "plain_s": theirs, "worst_s": worst}
    signals = sum(sample["signals"] for sample in told["judged"])
    shown_judged = f"{duration(with_model)} a minute; worst {duration(worst_judged)}; {signals:.0f} candidates judged"
    figures_judged = {"s": with_model, "worst_s": worst_judged, "signals": signals}
    return [
        Row(work, shown, theirs / mine, Bar(30.0), figures),
        Row("... with features and a model in force", shown_judged, theirs / with_model, figures=figures_judged),
    ]


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
    told = take_turns({name: _started(line) for name, line in commands.items()}, 5)
    times = {name: median(samples) for name, samples in told.items()}
    bare = times.pop("bare")
    slowest = max(times, key=lambda name: times[name])
    shown = f"{duration(times[slowest])} ({slowest}) against {duration(bare)} (python -c 'import argparse')"
    heavy = sorted({module for name in COMMANDS for module in heavy_imports(name)})
    return [
        Row("--help of any command", shown, times[slowest] / bare, Bar(3.0, at_least=False), {**times, "bare": bare}),
        Row("... imports", ", ".join(heavy) or f"none of {', '.join(HEAVY)}", len(heavy), Bar(0.0, False, " modules")),
    ]


def _started(command: list[str]) -> Round:
    return lambda: run_process(command, ROOT)


def heavy_imports(command: str) -> list[str]:
    code = (
        "import sys\nfrom core.cli import main\ntry: main([sys.argv[1], '--help'])\n"
        f"except SystemExit: print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, command], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stderr.split()
