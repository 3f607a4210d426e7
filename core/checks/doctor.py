"""The doctor: everything that has to be right for the engine to be left alone, one line each.

The law: it changes nothing and sends nothing, and one thing that cannot be looked at keeps no other from being.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.checks import _doctor_machine as machine
from core.checks import _doctor_store as kept
from core.checks._lines import Line, looked, ok
from core.clock import monotonic_s, wall_now_ms
from core.config import Config, config_warnings
from core.errors import CredentialsError, MarketUnavailable, NotifierError, NotifierUnavailable, TraderError
from core.ports import Market, Notifier
from core.results.health import HealthFacts
from core.store.reader import Reader
from core.store.vitals import read_vitals

__all__ = ["Line", "Patient", "examine", "examine_machine"]

_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Parameters
    ----------
    config : Config
    reader : Reader
    exchange : str
        The exchange rows are recorded under.
    now_ms : int
        The machine's time; the newest minute of a tape.
    market : Market or None
        One that may be asked; None where nobody is to be.
    notifiers : dict of str to Notifier
        By channel name; looked at without sending anything.
    deep : bool
        Compare every index of the database with its table.
    """

    config: Config
    reader: Reader
    exchange: str
    now_ms: int
    market: Market | None = None
    notifiers: Mapping[str, Notifier] = field(default_factory=dict)
    deep: bool = False


def examine_machine() -> list[Line]:
    """Return what can be said without a configuration."""
    return [*looked("interpreter", machine.version_lines), *looked("sqlite", machine.sqlite_lines)]


async def examine(patient: Patient) -> list[Line]:
    """Return every line, in a fixed order.

    Parameters
    ----------
    patient : Patient
    """
    config, reader, now_ms = patient.config, patient.reader, patient.now_ms
    found = examine_machine()
    found += looked("configuration", lambda: _configuration(config))
    found += looked("disk", lambda: machine.disk_lines(config))
    found += looked("folders", lambda: machine.folder_lines(config))
    if not _is_missing(reader.path):
        found += _each(_store_looks(patient))
    else:
        mend = "create it: `python init_db.py`; or name another in app.db_path, or another --profile"
        found.append(Line("FAIL", "database", f"{reader.path} does not exist", mend))
    found += looked("back-ups", lambda: kept.backup_lines(config, reader.path, now_ms))
    found += looked("thresholds", lambda: kept.threshold_lines(config, now_ms))
    found += await _exchange(patient)
    for name, notifier in sorted(patient.notifiers.items()):
        found.append(await _channel(name, notifier))
    if "telegram" not in patient.notifiers:
        is_on = config.notify.telegram.enabled
        found.append(ok("telegram", "not asked (--offline)" if is_on else "off (notify.telegram.enabled is false)"))
    return found


def _is_missing(database: Path) -> bool:
    """Say whether there is no database; where nobody may look, each look tells."""
    try:
        return not database.exists()
    except OSError:
        return False


def _store_looks(patient: Patient) -> Sequence[tuple[str, Callable[[], Iterable[Line]]]]:
    config, reader, now_ms = patient.config, patient.reader, patient.now_ms
    base, path = config.data.base_timeframe, reader.path

    def facts() -> HealthFacts:
        return read_vitals(path, patient.exchange, base, tuple(patient.notifiers), now_ms, config.symbols)

    return (
        ("database", lambda: kept.database_lines(reader, patient.deep)),
        ("write-ahead log", lambda: kept.log_lines(reader)),
        ("scheduler", lambda: kept.scheduler_lines(path, config.app.timezone, wall_now_ms())),
        ("candles", lambda: kept.candle_lines(reader, facts(), config, patient.exchange, now_ms)),
        ("alerts", lambda: kept.alert_lines(reader, now_ms)),
        ("jobs", lambda: kept.job_lines(facts())),
        ("model", lambda: kept.model_lines(reader, config)),
    )


def _each(looks: Sequence[tuple[str, Callable[[], Iterable[Line]]]]) -> list[Line]:
    return [line for name, look in looks for line in looked(name, look)]


def _configuration(config: Config) -> Iterable[Line]:
    warnings = config_warnings(config)
    yield ok("configuration", f"valid, {len(config.symbols)} symbols, {' '.join(config.timeframes)}")
    for text in warnings:
        seen, _, mend = text.rpartition("; ")
        yield Line("warn", "configuration", seen or mend, mend if seen else "docs/configuration.md explains the key")


async def _exchange(patient: Patient) -> list[Line]:
    """Ask the exchange for its symbols and its time."""
    market, config = patient.market, patient.config
    if market is None:
        why = "a tape: there is nobody to ask" if config.exchange.is_tape else "not asked (--offline)"
        return [ok("exchange", f"{config.exchange.id}: {why}")]
    began_s = monotonic_s()
    try:
        async with asyncio.timeout(_ANSWER_S):
            listed = await market.load_markets()
    except TimeoutError:
        listed, problem = {}, f"{market.exchange}: no answer within {_ANSWER_S:g} s"
    except TraderError as error:
        listed, problem = {}, str(error)
        if not isinstance(error, MarketUnavailable):
            return [Line("FAIL", "exchange", problem, "check exchange.id and exchange.base_url")]
    if not listed:
        mend = "check the network, a proxy or a firewall; the engine goes on by itself once it answers"
        return [Line("FAIL", "exchange", problem, mend)]
    took_ms = (monotonic_s() - began_s) * 1000
    lines = [ok("exchange", f"{market.exchange} answers, {len(listed)} symbols in {took_ms:.0f} ms")]
    unknown = [symbol for symbol in config.symbols if symbol not in listed]
    if unknown:
        mend = "take them out of symbols in config.yaml, or `trader symbols pause SYMBOL`"
        lines.append(Line("warn", "exchange", f"does not list {', '.join(unknown)}", mend))
    ahead_ms = market.now_ms() - patient.now_ms - round(took_ms)
    return [*lines, machine.clock_line(ahead_ms)]


async def _channel(name: str, notifier: Notifier) -> Line:
    """Ask a messenger whether it could deliver."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            await notifier.check()
    except TimeoutError:
        return Line("warn", name, f"no answer within {_ANSWER_S:g} s", "check the network; its alerts wait")
    except NotifierUnavailable as error:
        return Line("warn", name, str(error), "check the network; its alerts wait")
    except (CredentialsError, NotifierError) as error:
        return Line("FAIL", name, str(error), "see docs/alerts.md; its alerts wait")
    return ok(name, "can deliver (nothing was sent)")
