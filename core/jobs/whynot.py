"""Job `whynot`: why a close has no signal.

The law: the same candles, the same warm-up and the same rule as the scan's are asked, so the answer is what the scan
saw; where something was decided after all, that is explained instead.
"""

from __future__ import annotations

import pandas as pd

from core.clock import floor_to, format_ms, timeframe_ms
from core.errors import UsageError, nearest
from core.jobs._book import instrument_of
from core.jobs._console import console
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court
from core.jobs.why import facts_of, moment_of
from core.ports import ExplainingSetup, Setup
from core.results.why import why_words
from core.results.whynot import Looked, Silence, decided_words, whynot_words

__all__ = ["run", "whynot_html"]

_LATE_STEPS = 2  # a newest close older than this is stale
_RETRO = "`python retro_scan.py` decides closes of the past"


async def run(desk: Desk, now_ms: int, symbol: str, timeframe: str, at_ms: int | None = None) -> Report:
    """Explain why there was no signal.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    symbol, timeframe : str
    at_ms : int, optional
        A moment; the last close at or before it is asked about. The newest without it.

    Raises
    ------
    UsageError
        The symbol is not known, the timeframe is none, or the moment lies ahead or before the candles.
    """
    return Report("whynot", text=console(whynot_html(desk, now_ms, symbol, timeframe, at_ms)))


def whynot_html(desk: Desk, now_ms: int, symbol: str, timeframe: str, at_ms: int | None = None) -> str:
    """Explain why there was no signal, as HTML with ``<b>`` and ``<code>`` only; see `run`."""
    step = timeframe_ms(timeframe)
    known = {*desk.config.symbols, *_stored_symbols(desk)}
    if symbol not in known:
        raise UsageError(f"symbol '{symbol}' is neither configured nor stored; {nearest(symbol, known)}")
    if at_ms is not None and at_ms > now_ms:
        raise UsageError(f"time {format_ms(at_ms)} lies ahead: the market's time is {format_ms(now_ms)}")
    series = (desk.exchange, symbol, timeframe)
    moment = moment_of(desk, now_ms, desk.exchange)
    first_ms, frontier_ms = desk.reader.first_ms(*series), desk.reader.frontier(*series)
    if first_ms is None or frontier_ms is None:
        told = (*_not_followed(desk, symbol, timeframe), _no_candles(desk, symbol, timeframe))
        return whynot_words(Silence(symbol, timeframe, 0, told, ()), moment)
    close_ms = frontier_ms if at_ms is None else floor_to(at_ms, step)
    if close_ms < first_ms + step:
        raise UsageError(
            f"time {format_ms(close_ms)} lies before the candles of {symbol} {timeframe}: the first one closes at "
            f"{format_ms(first_ms + step)}"
        )
    signals = desk.reader.signals(
        exchange=desk.exchange, symbol=symbol, timeframe=timeframe, start_ms=close_ms, end_ms=close_ms + 1
    )
    if len(signals):
        facts = facts_of(desk, signals, Court(desk))
        return decided_words(close_ms, [why_words(one, moment) for one in facts], moment)
    obstacles = (
        *_not_followed(desk, symbol, timeframe),
        *_stale(desk, timeframe, close_ms, frontier_ms, now_ms, at_ms is None),
    )
    if not obstacles and close_ms == frontier_ms and not _is_scanned(desk, symbol, timeframe, close_ms):
        obstacles = ("This close is not scanned yet: `python scan_signals.py` decides it.",)
    looked = tuple(look for setup in desk.setups if (look := _look(desk, setup, symbol, timeframe, close_ms)))
    if not looked:
        missing = () if close_ms > frontier_ms else (_missing(desk, symbol, timeframe, close_ms),)
        obstacles = (*obstacles, *missing)
    elif close_ms < frontier_ms and any(look.found for look in looked):
        obstacles = (*obstacles, f"This close was never decided with the rules in force: {_RETRO}.")
    return whynot_words(Silence(symbol, timeframe, close_ms, obstacles, looked), moment)


def _stored_symbols(desk: Desk) -> set[str]:
    series = desk.reader.series()
    return set(series.loc[series["exchange"] == desk.exchange, "symbol"])


def _not_followed(desk: Desk, symbol: str, timeframe: str) -> list[str]:
    """Return what keeps a series from being scanned at all, each with what to do."""
    told, config = [], desk.config
    off = desk.reader.symbols_off(desk.exchange)
    if symbol not in config.symbols:
        told.append(f"{symbol} is not followed: add it to `symbols` in the configuration.")
    for row in off[off["symbol"] == symbol].to_dict("records"):
        since = format_ms(int(row["since_ms"]), config.app.timezone)
        told.append(f"{symbol} is switched off since {since} ({row['reason']}): `trader symbols resume {symbol}`.")
    if timeframe not in config.timeframes:
        stored = (config.data.base_timeframe, *config.data.derived_timeframes)
        also = "" if timeframe in stored else " and to `data.derived_timeframes`"
        told.append(f"{timeframe} is not scanned: add it to `timeframes`{also} in the configuration.")
    return told


def _no_candles(desk: Desk, symbol: str, timeframe: str) -> str:
    minutes = desk.reader.first_ms(desk.exchange, symbol, desk.config.data.base_timeframe)
    if minutes is None:
        return f"No candles of {symbol} are stored: `python download_data.py --symbols {symbol}` fetches them."
    return f"No {timeframe} candles of {symbol} are made yet: `python scan_signals.py` makes them of the minutes."


def _stale(desk: Desk, timeframe: str, close_ms: int, frontier_ms: int, now_ms: int, is_newest: bool) -> list[str]:
    """Return how far a series lags behind where that keeps a close from being decided, with what to do."""
    step, zone = timeframe_ms(timeframe), desk.config.app.timezone
    if close_ms > frontier_ms or (is_newest and now_ms - frontier_ms >= _LATE_STEPS * step):
        late = (now_ms - frontier_ms) // step
        return [
            f"The series is stale: it is complete up to {format_ms(frontier_ms, zone)}, {late} closes behind, and a "
            "scan waits for what is missing. Is the engine running? `python scheduler_run.py`"
        ]
    return []


def _is_scanned(desk: Desk, symbol: str, timeframe: str, close_ms: int) -> bool:
    scanned_ms = desk.reader.scanned(desk.exchange, symbol, timeframe)
    return scanned_ms is not None and scanned_ms >= close_ms


def _missing(desk: Desk, symbol: str, timeframe: str, close_ms: int) -> str:
    step, base = timeframe_ms(timeframe), desk.config.data.base_timeframe
    gaps = desk.reader.gaps(desk.exchange, symbol, base)
    inside = gaps[(gaps["ts_ms"] >= close_ms - step) & (gaps["ts_ms"] < close_ms) & (gaps["state"] != "filled")]
    told = f"There is no candle of this close: {len(inside)} of its minutes are missing at the exchange"
    confirmed = int((inside["state"] == "confirmed").sum())
    mend = "asked for again from time to time" if confirmed < len(inside) else "given up after several tries"
    return f"{told}, {mend}." if len(inside) else "There is no candle of this close: `python db_inspect.py` shows gaps."


def _look(desk: Desk, setup: Setup, symbol: str, timeframe: str, close_ms: int) -> Looked | None:
    """Ask a setup about a close; None where there is no candle of it."""
    step = timeframe_ms(timeframe)
    candles = desk.reader.last_candles(desk.exchange, symbol, timeframe, setup.warmup + 1, close_ms - step + 1)
    first = len(candles) - 1
    if first < 0 or int(candles.ts[first]) != close_ms - step:
        return None
    instrument = instrument_of(desk, symbol)
    found: pd.DataFrame = setup.find(candles, instrument, timeframe, first)
    refused = None
    if isinstance(setup, ExplainingSetup):
        refused = tuple(setup.why_not(candles, instrument, timeframe, first))
    return Looked(setup.name, refused, tuple(found["rationale"].tolist()))
