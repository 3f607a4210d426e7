"""What the doctor sees of the database and of what keeps it: soundness, log, candles, alerts, jobs, back-ups, model.

The law: every question is a reader's; ages are told against the machine's clock, or the newest minute of a tape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from core.checks._lines import Line, ok, wrong
from core.checks.health import HealthRequest, check_health
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, format_duration, format_ms
from core.config import Config
from core.results.health import HealthFacts
from core.store import artefacts
from core.store.backups import listed
from core.store.lock import is_held
from core.store.looks import log_of, unsound
from core.store.reader import Reader
from core.training.card import model_from_files

__all__ = [
    "alert_lines",
    "backup_lines",
    "candle_lines",
    "database_lines",
    "job_lines",
    "log_lines",
    "model_lines",
    "scheduler_lines",
    "threshold_lines",
]

_LOG_BYTES = 64_000_000
_LATE_MS = 5 * MINUTE_MS
_WAITING_MS = 15 * MINUTE_MS
_BACKUP_MS = 2 * DAY_MS
_SHOWN = 5


def database_lines(reader: Reader, deep: bool) -> Iterator[Line]:
    """Look whether the file is sound."""
    faults = unsound(reader.path, deep)
    size = reader.path.stat().st_size
    how = "integrity_check" if deep else "quick_check; --deep compares every index too"
    seen = "; ".join(faults) if faults else f"{reader.path}: {size / 1e6:,.1f} MB, sound ({how})"
    mend = "stop the engine and restore a back-up: `trader backup --list`, `trader restore FILE`"
    yield wrong(bool(faults), "FAIL", "database", seen, mend)


def log_lines(reader: Reader) -> Iterator[Line]:
    """Look at the write-ahead log, and at who keeps it from being emptied."""
    log = log_of(reader.path)
    runs = reader.job_runs("db_checkpoint", limit=1)
    last = f"; last emptied: {runs['detail'].iloc[0]}" if len(runs) else ""
    who = ", ".join(map(str, log.readers))
    seen = f"{log.bytes / 1e6:.1f} MB{last}" + (f"; a question is open in {who}" if who else "")
    mend = f"end {who or 'viewers and SQL tools that read this file'}; it shrinks by itself then"
    yield wrong(log.bytes > _LOG_BYTES, "warn", "write-ahead log", seen, mend)


def scheduler_lines(database: Path, zone: str, now_ms: int) -> Iterator[Line]:
    """Look whether the engine runs, and what its heartbeat says."""
    engine = check_health(HealthRequest(database, (), zone=zone), now_ms).findings[0]
    if is_held(database):
        mend = "look at its log; where it stands still, end it and start it again"
        yield wrong(not engine.ok, "FAIL", "scheduler", f"running: {engine.told}", mend)
        return
    mend = "start it: `python scheduler_run.py`; what is due is made good"
    yield Line("warn", "scheduler", f"not running: {engine.told.split('; start it')[0]}", mend)


def candle_lines(reader: Reader, facts: HealthFacts, config: Config, exchange: str, now_ms: int) -> Iterator[Line]:
    """Look how far each symbol has come, what is missing and what was refused."""
    followed = list(facts.frontiers)
    behind = {symbol: now_ms - up_to_ms for symbol, up_to_ms in facts.frontiers.items() if up_to_ms is not None}
    none = [symbol for symbol in followed if symbol not in behind]
    late = sorted((symbol for symbol in behind if behind[symbol] > _LATE_MS), key=lambda symbol: -behind[symbol])
    seen = f"{len(behind)} of {len(followed)} followed symbols have candles of {exchange}"
    if behind:
        seen += f", the newest complete up to {format_ms(now_ms - min(behind.values()), config.app.timezone)}"
    if facts.off:
        seen += f"; off: {_some(sorted(facts.off))}"
    if none:
        yield Line("warn", "candles", f"{seen}; none of {_some(none)}", "fetch them: `python download_data.py`")
    elif late:
        told = _some([f"{symbol} {format_duration(behind[symbol])}" for symbol in late])
        mend = "run the engine: it catches up by itself; where it runs, see its log and `trader symbols list`"
        yield Line("warn", "candles", f"{seen}; behind: {told}", mend)
    else:
        yield ok("candles", seen)
    yield _gap_line(reader, exchange, followed, config.data.base_timeframe)
    yield _quarantine_line(reader, exchange, now_ms)


def _gap_line(reader: Reader, exchange: str, symbols: list[str], base: str) -> Line:
    states = {symbol: Counter(reader.gaps(exchange, symbol, base)["state"]) for symbol in symbols}
    open_, confirmed = ({s: n[state] for s, n in states.items() if n[state]} for state in ("open", "confirmed"))
    told = [f"{symbol} {count}" for symbol, count in open_.items()]
    seen = (
        f"{sum(open_.values())} minutes missing and asked for again, {sum(confirmed.values())} the exchange never had"
    )
    seen += f"; missing: {_some(told)}" if told else ""
    mend = "nothing, where the engine runs: it asks again; else `python download_data.py`"
    return wrong(bool(open_), "warn", "gaps", seen, mend)


def _quarantine_line(reader: Reader, exchange: str, now_ms: int) -> Line:
    rows = reader.quarantine(exchange, limit=20_000)
    fresh = rows[rows["last_seen_ms"] > now_ms - DAY_MS]
    seen = f"{len(rows)} refused candles on record, {len(fresh)} seen within a day"
    if len(fresh):
        counts = Counter(zip(fresh["symbol"], fresh["reason"], strict=True)).most_common()
        seen += f": {_some([f'{symbol} {reason} {count}' for (symbol, reason), count in counts])}"
    return wrong(len(fresh) > 0, "warn", "quarantine", seen, "the exchange sends rows that cannot be candles; watch it")


def alert_lines(reader: Reader, now_ms: int) -> Iterator[Line]:
    """Look how long alerts have been waiting, and whether any was refused."""
    waiting, refused = reader.outbox(state="queued"), reader.outbox(state="failed")
    fresh = refused[refused["marked_ms"] > now_ms - DAY_MS]
    age_ms = now_ms - int(waiting["created_ms"].min()) if len(waiting) else 0
    seen = f"{len(waiting)} waiting" + (f", the oldest for {format_duration(age_ms)}" if len(waiting) else "")
    seen += f"; {len(fresh)} refused within a day" if len(fresh) else ""
    errors = [text for text in [*waiting["error"], *fresh["error"]] if text]
    seen += f" ({errors[-1]})" if errors else ""
    is_wrong = age_ms > _WAITING_MS or len(fresh) > 0
    yield wrong(
        is_wrong, "warn", "alerts", seen, "see the line of the channel; waiting ones leave once it can be reached"
    )


def job_lines(facts: HealthFacts) -> Iterator[Line]:
    """Look which jobs failed when they last ran."""
    bad = {name: run for name, run in facts.jobs.items() if run.failed_in_a_row}
    if not bad:
        yield ok("jobs", f"{len(facts.jobs)} on record, each went well when it last ran")
    for name, run in bad.items():
        times = f"{run.failed_in_a_row} times in a row" if run.failed_in_a_row > 1 else "when it last ran"
        seen = f"{name} failed {times}, {format_ms(run.last_ms)}: {_short(run.detail)}"
        yield Line("warn", "jobs", seen, "see what it says, and the log; it is tried again")


def backup_lines(config: Config, database: Path, now_ms: int) -> Iterator[Line]:
    """Look how old the newest back-up is."""
    there = listed(Path(config.app.backup_dir), database)
    patterns = (f"{database.name}.before-restore-*", f"{database.name}.restoring*")
    aside = sorted(path for pattern in patterns for path in database.parent.glob(pattern))
    if there:
        age_ms = now_ms - there[-1].taken_ms
        seen = f"{len(there)} in {config.app.backup_dir}, {sum(one.bytes for one in there) / 1e9:,.2f} GB"
        seen += f", the newest {format_duration(age_ms)} old"
    else:
        age_ms, seen = _BACKUP_MS + 1, f"none in {config.app.backup_dir}"
    mend = "`trader backup` makes one now; the scheduler makes one a day where app.backups.enabled is true"
    yield wrong(age_ms > _BACKUP_MS, "warn", "back-ups", seen, mend)
    if aside:
        size = sum(path.stat().st_size for path in aside)
        seen = f"{len(aside)} files that restores left, {size / 1e9:,.2f} GB: {_some([path.name for path in aside])}"
        yield Line("warn", "old databases", seen, "delete them once the one in use has proved right")


def model_lines(reader: Reader, config: Config) -> Iterator[Line]:
    """Look whether the model in force can be used."""
    if not config.models.meta.enabled:
        yield ok("model", "none is asked for (models.meta.enabled is false)")
        return
    reigns = reader.reigns()
    version = str(reigns["version"].iloc[-1]) if len(reigns) else ""
    if not version:
        yield ok("model", "none is in force: signals are UNGATED")
        return
    sha256 = str(reader.models().set_index("version").loc[version, "sha256"])
    folder = Path(config.models.meta.model_path)
    model_from_files(version, artefacts.load(folder, version, sha256))  # what does not verify raises
    yield ok("model", f"{version} is in force, its files verify and its golden rows are predicted as when it was made")


def threshold_lines(config: Config, now_ms: int) -> Iterator[Line]:
    """Look for thresholds whose time is over, or soon will be."""
    pairs = config.models.meta.gating.per_pair_tf
    ends = {
        f"{symbol} {timeframe}": one.expires_ms
        for symbol, timeframes in pairs.items()
        for timeframe, one in timeframes.items()
        if one.expires_ms is not None
    }
    over = sorted(name for name, end_ms in ends.items() if end_ms <= now_ms)
    soon = [name for name, end_ms in ends.items() if now_ms < end_ms <= now_ms + 48 * HOUR_MS]
    seen = f"{sum(map(len, pairs.values()))} of their own by symbol and timeframe, {len(over)} expired"
    seen += f" ({_some(over)})" if over else ""
    seen += f", {len(soon)} expire within two days" if soon else ""
    yield wrong(
        bool(over), "warn", "thresholds", seen, "`python tune_thresholds.py` looks for new ones; each week by itself"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}..."
