"""Commands that prove: check lookahead, check warmup, parity.

The law: they read and change nothing; a proof that fails ends with exit code 1 and says where.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np
from tqdm import tqdm

from core import app
from core.checks import parity as parity_check
from core.checks._subjects import MINUTES_MS, Market, Subject, subjects
from core.checks.lookahead import Leak, find_leaks
from core.checks.warmup import ColdStart, find_cold_starts
from core.cli._bench import bench_of
from core.cli._open import chosen, database, source_of, span
from core.clock import DAY_MS, MINUTE_MS, floor_to, format_ms, parse_time, timeframe_ms
from core.config import Config
from core.errors import TraderError
from core.indicators.resample import resample
from core.jobs._candidates import scan_rules
from core.schema import Instrument
from core.store.reader import Reader

__all__ = ["check", "parity"]

SYNTHETIC_DAYS = 240
SYNTHETIC_SYMBOLS = 3
_SYNTHETIC_START_MS = parse_time("2024-01-01")
_SHOWN = 10

Fault = Leak | ColdStart


def check(arguments: argparse.Namespace) -> int:
    """Look for anything that changes with the future, or for declared warm-ups that are too short."""
    config = source_of(arguments).current
    costs = app.build_costs(config)
    setups, rules = app.build_setups(config, costs), scan_rules(config, costs)
    played = app.build_exit_policy(config), app.build_rules(config)
    markets = _generated(config, arguments) if arguments.synthetic else _stored(config, arguments)
    features = app.build_features(config)
    there = [subject for market in markets for subject in subjects(market, setups, rules, *played, features)]
    is_lookahead = arguments.action == "lookahead"
    asked = [subject for subject in there if is_lookahead or subject.warmup is not None]
    every = [subject for subject in asked if is_lookahead or len(subject.candles) > (subject.warmup or 0)]
    faults: dict[str, list[tuple[Subject, Fault]]] = {subject.name: [] for subject in every}
    with tqdm(every, unit="part", desc=f"check {arguments.action}", dynamic_ncols=True, disable=None) as bar:
        for number, subject in enumerate(bar):
            bar.set_postfix_str(f"{subject.name} {subject.series}", refresh=False)
            rng = np.random.default_rng([arguments.seed, number])
            faults[subject.name] += [(subject, fault) for fault in _faults(arguments, subject, rng)]
    for name, found in faults.items():
        places = len({subject.series for subject in every if subject.name == name})
        print(f"{name:<20}{places} series, {arguments.cuts} cuts each: {_verdict(arguments.action, len(found))}")
    ended = _ended(arguments.action, [one for found in faults.values() for one in found])
    left_out = [name for name in dict.fromkeys(subject.name for subject in asked) if name not in faults]
    if left_out or not every:
        told = ", ".join(left_out) or "any part"
        raise TraderError(f"check {arguments.action}: no series is longer than the warm-up of {told}; not compared")
    return ended


def _faults(arguments: argparse.Namespace, subject: Subject, rng: np.random.Generator) -> Sequence[Fault]:
    if arguments.action == "lookahead":
        return find_leaks(subject.compute, subject.candles, arguments.cuts, rng)
    assert subject.warmup is not None  # the others are left out
    return find_cold_starts(subject.compute, subject.candles, subject.warmup, arguments.cuts, rng)


def _verdict(action: str, faults: int) -> str:
    if not faults:
        return "clean"
    return f"{faults} values {'look ahead' if action == 'lookahead' else 'depend on older candles'}"


def _ended(action: str, faults: Sequence[tuple[Subject, Fault]]) -> int:
    for subject, fault in faults[:_SHOWN]:
        print(f"  {_told(subject, fault)}")
    if len(faults) > _SHOWN:
        print(f"  and {len(faults) - _SHOWN} more")
    if faults:
        raise TraderError(f"check {action}: {_verdict(action, len(faults))}; the first: {_told(*faults[0])}")
    return 0


def _told(subject: Subject, fault: Fault) -> str:
    whose = f"{fault.candidate} at " if fault.candidate else ""
    where = f"{subject.name} {subject.series}: {fault.field} of {whose}candle {format_ms(fault.ts_ms)}"
    if isinstance(fault, Leak):
        return f"{where} is {fault.whole}, and {fault.cut} when cut after {format_ms(fault.cut_ms)} ({fault.how})"
    return f"{where} is {fault.whole}, and {fault.warm} after {subject.warmup} candles of warm-up"


def _stored(config: Config, arguments: argparse.Namespace) -> Iterator[Market]:
    """Yield the stored candles of each symbol."""
    reader, exchange, base = Reader(database(config)), app.recorded_as(config), config.data.base_timeframe
    symbols = chosen(arguments.symbols, list(config.symbols), "symbol")
    timeframes = chosen(arguments.timeframes, list(config.data.derived_timeframes), "timeframe")
    stored = reader.series()
    stored = stored[(stored["exchange"] == exchange) & (stored["last_ms"] > 0)].set_index(["symbol", "timeframe"])
    if not any((symbol, timeframe) in stored.index for symbol in symbols for timeframe in timeframes):
        raise TraderError(
            f"database {reader.path}: holds no {' '.join(timeframes)} candle of {exchange} to check; fetch some with "
            "`python download_data.py`, or check generated ones with --synthetic"
        )
    instruments = reader.instruments(exchange)
    for symbol in symbols:
        if (symbol, base) not in stored.index:
            continue
        end_ms = int(stored["last_ms"].to_dict()[symbol, base]) + MINUTE_MS
        yield Market(
            instruments.get(symbol) or Instrument(exchange, symbol),
            reader.candles(exchange, symbol, base, end_ms - MINUTES_MS, end_ms),
            {
                timeframe: reader.candles(exchange, symbol, timeframe)
                for timeframe in timeframes
                if (symbol, timeframe) in stored.index
            },
        )


def _generated(config: Config, arguments: argparse.Namespace) -> Iterator[Market]:
    """Yield generated candles of some symbols, each from another world."""
    from core.adapters.markets.synthetic import WORLDS, instrument_of, make_world

    symbols = chosen(arguments.symbols, list(config.symbols), "symbol")
    timeframes = chosen(arguments.timeframes, list(config.data.derived_timeframes), "timeframe")
    for symbol, world in zip(
        symbols if arguments.symbols else symbols[:SYNTHETIC_SYMBOLS], cycle(WORLDS), strict=False
    ):
        minutes = make_world(world, symbol, _SYNTHETIC_START_MS, SYNTHETIC_DAYS, arguments.seed).candles
        end_ms = floor_to(int(minutes.ts[-1]) + MINUTE_MS, DAY_MS)
        longer = {timeframe: resample(minutes, timeframe_ms(timeframe), 0, end_ms) for timeframe in timeframes}
        yield Market(instrument_of(symbol), minutes, longer)


def parity(arguments: argparse.Namespace) -> int:
    """Make recorded live decisions again, and explain what differs."""
    config = source_of(arguments).current
    start_ms, end_ms = span(arguments)
    costs = app.build_costs(config)
    reader, exchange = Reader(database(config)), app.recorded_as(config)
    recorded = reader.series()
    recorded = recorded[(recorded["exchange"] == exchange) & (recorded["scanned_ms"] > 0)]
    symbols = chosen(arguments.symbols, sorted({*config.symbols, *recorded["symbol"]}), "symbol")
    timeframes = chosen(arguments.timeframes, sorted({*config.timeframes, *recorded["timeframe"]}), "timeframe")
    kept = recorded[recorded["symbol"].isin(symbols) & recorded["timeframe"].isin(timeframes)]
    request = parity_check.ParityRequest(
        exchange=exchange,
        series=list(zip(kept["symbol"], kept["timeframe"], strict=True)),
        base=config.data.base_timeframe,
        setups=app.build_setups(config, costs),
        rules=scan_rules(config, costs),
        bench=bench_of(config, reader, costs),
        start_ms=start_ms,
        end_ms=end_ms,
        is_part=any((arguments.start, arguments.end, arguments.symbols, arguments.timeframes)),
    )
    with tqdm(unit="series", desc="parity", dynamic_ncols=True, disable=None) as bar:

        def progress(done: int, total: int, symbol: str) -> None:
            bar.total = total
            bar.set_postfix_str(symbol, refresh=False)
            bar.update(done - bar.n)

        report = parity_check.run(reader, request, progress)
    print(report)
    for finding in report.findings if arguments.explain else ():
        print(f"  {finding}")
    if report.unexplained:
        first = next(finding for finding in report.findings if not finding.is_explained)
        raise TraderError(f"parity: {report.unexplained} unexplained; the first: {first}")
    return 0
