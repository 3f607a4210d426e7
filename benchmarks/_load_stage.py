"""What a load test starts from: a database with history, a model in force, unfinished trades, and the exchange's tape.

The law: the history is filled in by the engine's own jobs, under the exchange's name, and every size gets the same
model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import _data
from benchmarks._learned import Learned, learned_from, put_in_force
from benchmarks._soak_stage import rewritten
from benchmarks.whole import CYCLE_TIMEFRAMES
from core.adapters.markets.synthetic import instrument_of
from core.clock import DAY_MS, parse_time
from core.jobs import resample, retro

__all__ = ["EXCHANGE", "HISTORY_DAYS", "TIMEFRAMES", "TURN_MS", "LoadStage", "learn", "prepare"]

EXCHANGE = "bitget"
TIMEFRAMES = CYCLE_TIMEFRAMES
TURN_MS = parse_time("2023-01-17")
"""The turn of a day, when all timeframes close and funding is settled."""

HISTORY_DAYS = 17  # what 4h candles are described by reaches back 96 of them
FILLED_DAYS = 2  # of it with candidates and trades: those that may be unfinished
_LEARN_SYMBOLS = 8
_WIDE_OPEN_P = 0.2
_TAPE_DAYS = 1  # what the exchange shows of the past


@dataclass(frozen=True, slots=True)
class LoadStage:
    """One size, in plain values.

    Parameters
    ----------
    folder : str
    symbols : list of str
    start_ms : int
        Up to when history is stored, UTC ms.
    """

    folder: str
    symbols: list[str]
    start_ms: int

    @property
    def config(self) -> Path:
        return Path(self.folder) / "config.yaml"

    @property
    def tapes(self) -> list[str]:
        return [str(Path(self.folder) / f"tape-{place}.npz") for place in range(len(self.symbols))]

    def as_values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def learn(folder: Path, history_days: int = HISTORY_DAYS) -> Learned:
    """Learn a model from some symbols' history."""
    stage = _stored(folder / "learn", _LEARN_SYMBOLS, TURN_MS, history_days)
    return learned_from(stage.config, folder / "learned", stage.start_ms)


def prepare(
    folder: Path,
    count: int,
    start_ms: int,
    made: Learned,
    tell: Callable[[str], None],
    history_days: int = HISTORY_DAYS,
) -> LoadStage:
    """Write what a size needs into a folder.

    Parameters
    ----------
    folder : Path
    count : int
        Symbols.
    start_ms : int
        Up to when history is stored; the exchange's tape goes on for a day.
    made : Learned
        The model.
    tell : callable
        Given a line at each step.
    history_days : int
    """
    tell(f"{count} symbols: storing {history_days} days of history")
    stage = _stored(folder, count, start_ms, history_days)
    rewritten(stage.config, _with_models)
    put_in_force(made, stage.config)
    tell(f"{count} symbols: filling in {FILLED_DAYS} days of candidates and trades")
    desk = _data.open_desk(stage.config)
    try:
        request = retro.RetroRequest(start_ms - FILLED_DAYS * DAY_MS, start_ms, stage.symbols, TIMEFRAMES)
        told = asyncio.run(retro.run(desk, start_ms, request))
        desk.writer.checkpoint()
    finally:
        desk.writer.close()
    tell(f"{count} symbols: {told.counted()}")
    return stage


def _stored(folder: Path, count: int, start_ms: int, history_days: int) -> LoadStage:
    symbols = [f"L{number:03d}/USDT:USDT" for number in range(count)]
    stage = LoadStage(str(folder), symbols, start_ms)
    rewritten(_data.write_config(folder, symbols, TIMEFRAMES), lambda plain: plain.update(exchange={"id": EXCHANGE}))
    past_ms = TURN_MS - history_days * DAY_MS
    desk = _data.open_desk(stage.config)
    try:
        desk.writer.put_instruments([replace(instrument_of(symbol), exchange=EXCHANGE) for symbol in symbols])
        for path, symbol in zip(stage.tapes, symbols, strict=True):
            whole = _data.make_world("edge", symbol, past_ms, history_days + _TAPE_DAYS, seed=7).candles
            desk.writer.put_candles(EXCHANGE, symbol, "1m", whole.between(None, start_ms), start_ms)
            desk.writer.set_frontier(EXCHANGE, symbol, "1m", start_ms)
            _data.save_candles(Path(path), whole.between(start_ms - DAY_MS, None))
        asyncio.run(resample.run(desk, start_ms))
        desk.writer.checkpoint()
    finally:
        desk.writer.close()
    return stage


def _with_models(plain: dict[str, Any]) -> None:
    """Have a model judge, and a gate and limits that let most candidates through: there is to be much to announce."""
    meta = plain["models"]["meta"]
    meta["enabled"] = True
    floors = {**meta["gating"]["floors"], "threshold": _WIDE_OPEN_P}
    meta["gating"] |= {"use_ev": False, "threshold": _WIDE_OPEN_P, "floors": floors}
    limits = plain["risk"]["limits"]
    limits |= {"max_open": 500, "max_open_per_symbol": 20, "cooldown_candles": 0, "max_daily_loss_pct": 100}
    limits["stop_guard"] |= {"stops": 1_000}
