"""What a soak is played on: a database with a past, and the tape of the days to come.

The law: the past is filled in by the engine's own jobs, and the tape is a continuation of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import _data
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, floor_to, format_ms, parse_time
from core.jobs import retro
from core.schema import Candles

__all__ = ["LONGEST_MINUTES", "TIMEFRAMES", "Plan", "plan_of", "prepare", "rewritten"]

TIMEFRAMES = ("5m", "15m", "1h", "4h", "1d")
LONGEST_MINUTES = 1_440  # of the longest of them, in minutes: so far back are derived candles rebuilt

_MONDAY_MS = parse_time("2023-01-23")
_STUCK_MS = 3 * HOUR_MS
_CALM_MS = 3 * HOUR_MS
_GAPS_MADE_GOOD_MS = 28 * HOUR_MS  # the engine's last look for a missing minute comes after about a day


@dataclass(frozen=True, slots=True)
class Plan:
    """One soak, in plain values.

    Parameters
    ----------
    folder : str
        For everything that is written.
    symbols : list of str
    timeframes : list of str
    past_ms, start_ms, end_ms : int
        Where the stored past begins, and the live days begin and end, UTC ms.
    step_ms : int
        How far the market's clock moves between two cycles.
    faults : bool
        Whether anything goes wrong on purpose.
    """

    folder: str
    symbols: list[str]
    timeframes: list[str]
    past_ms: int
    start_ms: int
    end_ms: int
    step_ms: int = MINUTE_MS
    faults: bool = True

    @property
    def config(self) -> Path:
        return Path(self.folder) / "config.yaml"

    @property
    def database(self) -> Path:
        return Path(self.folder) / "ohlcv.db"

    @property
    def days(self) -> float:
        return (self.end_ms - self.start_ms) / DAY_MS

    @property
    def calm_ms(self) -> int:
        """From when on nothing goes wrong any more."""
        return self.end_ms - min(_CALM_MS, (self.end_ms - self.start_ms) // 4)

    @property
    def gaps_until_ms(self) -> int:
        return max(self.start_ms, self.end_ms - _GAPS_MADE_GOOD_MS)

    @property
    def stuck_ms(self) -> tuple[int, int]:
        """From when until when a reader hangs, market time."""
        from_ms = (self.start_ms + self.end_ms) // 2
        return from_ms, from_ms + min(_STUCK_MS, (self.end_ms - self.start_ms) // 8)

    def tape(self, place: int) -> Path:
        """Return where the minutes of a symbol lie."""
        return Path(self.folder) / f"tape-{place}.npz"

    def as_values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def plan_of(folder: Path, days: float, symbols: int, past_days: int, timeframes: Sequence[str] = TIMEFRAMES) -> Plan:
    """Return the plan of a soak: from a Monday on, or, when it is shorter than a week, over a Sunday evening.

    Examples
    --------
    >>> plan = plan_of(Path("soak"), 30, 20, 22)
    >>> format_ms(plan.start_ms), len(plan.symbols)
    ('2023-01-23 00:00 UTC', 20)
    """
    length_ms = max(floor_to(round(days * DAY_MS), MINUTE_MS), MINUTE_MS)
    start_ms = _MONDAY_MS
    if length_ms < 7 * DAY_MS:  # the weekly jobs are due on Sundays from 21:00 on
        start_ms -= DAY_MS if length_ms >= DAY_MS else 4 * HOUR_MS
    names = [f"S{number:02d}/USDT:USDT" for number in range(symbols)]
    past_ms = floor_to(start_ms, DAY_MS) - past_days * DAY_MS
    return Plan(str(folder), names, list(timeframes), past_ms, start_ms, start_ms + length_ms)


def rewritten(config: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change a configuration file and return its path."""
    plain = yaml.safe_load(config.read_text(encoding="utf-8"))
    change(plain)
    config.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return config


def prepare(plan: Plan, tell: Callable[[str], None]) -> None:
    """Write configuration, database and tape into the plan's folder.

    Parameters
    ----------
    plan : Plan
    tell : callable
        Given a line at each step.
    """
    folder = Path(plan.folder)
    config = _data.write_config(folder, plan.symbols, [name for name in plan.timeframes if name != "1d"])
    rewritten(config, lambda plain: _as_in_production(plain, plan))
    whole_days = -(-(plan.end_ms - plan.past_ms) // DAY_MS)
    tell(f"generating {len(plan.symbols)} symbols x {whole_days} days of a SYNTHETIC market")
    past: dict[str, Candles] = {}
    for place, symbol in enumerate(plan.symbols):
        candles = _data.make_world("edge", symbol, plan.past_ms, whole_days, seed=7).candles
        past[symbol] = candles.between(None, plan.start_ms)
        _data.save_candles(plan.tape(place), candles.between(plan.start_ms - HOUR_MS, plan.end_ms))
    tell(f"storing the past up to {format_ms(plan.start_ms)}")
    _data.fill(config, past, derived=True)
    del past
    tell("filling in its candidates and trades (retro scan)")
    desk = _data.open_desk(config)
    try:
        request = retro.RetroRequest(0, plan.start_ms, list(plan.symbols), list(plan.timeframes))
        told = asyncio.run(retro.run(desk, plan.start_ms, request))
        desk.writer.checkpoint()
    finally:
        desk.writer.close()
    tell(f"{told.counted()}; {len(plan.symbols)} symbols x {' '.join(plan.timeframes)}")


def _as_in_production(plain: dict[str, Any], plan: Plan) -> None:
    """Have models, weekly jobs, log files and every timeframe, as the shipped configuration has."""
    plain["models"]["meta"]["enabled"] = True
    plain["timeframes"], plain["data"]["derived_timeframes"] = list(plan.timeframes), list(plan.timeframes)
    plain["data"]["resample"]["lookback_minutes"] = LONGEST_MINUTES
    plain["backfill"]["start_date"] = format_ms(plan.past_ms)[:10]
    plain["app"]["log_level"] = "INFO"
