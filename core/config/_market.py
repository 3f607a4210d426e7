"""Sections about where candles come from and where they are kept.

The law: these keys say what to fetch and store; none of them changes what a stored candle means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, SecretStr

from core.clock import parse_time
from core.config._types import (
    ExchangeId,
    FrozenMap,
    HomePath,
    Moment,
    Name,
    SecretUrl,
    Section,
    Symbol,
    TapePath,
    Timeframe,
    Unique,
    Url,
    Zone,
    key,
    refuse,
)

__all__ = [
    "App",
    "Backfill",
    "Backups",
    "Data",
    "Exchange",
    "Incremental",
    "Replay",
    "Resample",
    "Retention",
    "Synthetic",
]

_SYSTEM_FOLDERS = tuple(Path(folder) for folder in ("/dev", "/proc", "/sys", "/etc", "/boot", "/run"))


def _database(path: Path) -> Path:
    """Refuse what SQLite would take, but not as the one durable file this engine needs."""
    text = path.as_posix()
    in_system = any(path.is_relative_to(folder) for folder in _SYSTEM_FOLDERS)
    # WAL needs shared memory: on a network share it corrupts, and in memory nothing would last.
    if path.suffix not in (".db", ".sqlite", ".sqlite3") or in_system or text.startswith("//") or "\\\\" in text:
        raise refuse("a file on a local disk that ends in .db, .sqlite or .sqlite3, such as data/ohlcv.db")
    if _is_folder(path):
        raise refuse("a file; this is a folder")
    return path


def _is_folder(path: Path) -> bool:
    """Say whether a path is seen to be a folder; one that nobody may look at is for whoever opens it to refuse."""
    try:
        return path.is_dir()
    except OSError:
        return False


class Retention(Section):
    """How long rows are kept that are no part of the record; docs/maintenance.md lists every table."""

    runs_days: int = key(14, "Runs of jobs that went well.", "days", ge=1, le=3650)
    failed_runs_days: int = key(90, "Runs of jobs that failed.", "days", ge=1, le=3650)
    alerts_days: int = key(90, "Alerts that were delivered, refused or left out.", "days", ge=7, le=3650)


class Backups(Section):
    """Back-ups into the folder `backups` of `app.data_dir`, made once a day by the scheduler."""

    enabled: bool = key(True, "Make one each day.")
    daily: int = key(7, "The newest of each of so many days is kept.", "back-ups", ge=1, le=366)
    weekly: int = key(4, "The newest of each of so many weeks is kept.", "back-ups", ge=0, le=520)


class App(Section):
    """Where files are kept and how times are shown."""

    data_dir: HomePath = key(Path("data"), "Folder of databases, back-ups and the lock.")
    db_path: Annotated[HomePath, AfterValidator(_database)] = key(
        Path("data/ohlcv.db"), "The database; a file on a local disk, never a network share."
    )
    timezone: Zone = key("UTC", "Display only; every schedule is UTC.")
    log_dir: HomePath = key(Path("data/logs"), "Folder of the rotated log files.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = key("INFO", "The least important message that is logged.")
    log_json: bool = key(False, "One JSON object a line instead of text.")
    retention: Retention = Retention()
    backups: Backups = Backups()

    @property
    def backup_dir(self) -> Path:
        """Folder of the scheduler's back-ups."""
        return self.data_dir / "backups"

    @property
    def log_file(self) -> Path:
        """The engine's log; older ones lie beside it."""
        return self.log_dir / "trader.log"

    watchdog_minutes: float = key(
        3.0,
        "The process ends with exit code 70 when no cycle has finished for so long; 0: never.",
        "minutes",
        ge=0,
        le=1440,
    )
    ping_url: SecretUrl = key(
        SecretStr(""), "Asked after each good cycle, with /fail behind it after a bad one; keep it in `.env`."
    )


class Replay(Section):
    """A tape of recorded candles, played as if live (`exchange.id: replay`)."""

    # `as` is a word of Python: its attribute is `as_`.
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    path: TapePath | None = key(None, 'Candles to play: a Parquet or CSV file, a folder of them, or `"db:PATH"`.')
    as_: Name = key("replay", "The exchange its rows are recorded under.", alias="as")
    start: Moment | None = key(None, "First moment played; the tape's first candle when empty.", "UTC")
    end: Moment | None = key(None, "Moment at which it ends; the tape's last candle when empty.", "UTC")
    speed: float = key(
        0.0, "Pace; 0 is as fast as the pipeline keeps up.", "market seconds a second", ge=0, le=1_000_000
    )
    step: Timeframe = key("1m", "How far the clock moves at once; larger steps give the same rows.", "timeframe")
    files: FrozenMap[Symbol, HomePath] = key({}, "Which file or folder holds which symbol, where names do not say.")

    @property
    def start_ms(self) -> int | None:
        """First moment played, UTC milliseconds."""
        return None if self.start is None else parse_time(self.start)

    @property
    def end_ms(self) -> int | None:
        """Moment at which it ends, UTC milliseconds."""
        return None if self.end is None else parse_time(self.end)


class Synthetic(Section):
    """Generated candles, played as if live (`exchange.id: synthetic`); every figure made of them says so."""

    world: Literal["walk", "fat", "edge"] = key("walk", "A random walk, a fat-tailed one, or one with a planted edge.")
    p_star: float = key(0.8, "In world edge: P(leg's high before its low) at a decision.", "probability", gt=0, lt=1)
    seed: int = key(7, "Seed of the generator: the same seed gives the same candles.", ge=0, le=2**63 - 1)
    days: int = key(540, "Length of the tape.", "days", ge=1, le=3650)
    start: Moment = key("2023-01-01", "First moment of the tape.", "UTC")
    speed: float = key(
        0.0, "Pace; 0 is as fast as the pipeline keeps up.", "market seconds a second", ge=0, le=1_000_000
    )
    step: Timeframe = key("1m", "How far the clock moves at once; larger steps give the same rows.", "timeframe")

    @property
    def start_ms(self) -> int:
        """First moment of the tape, UTC milliseconds."""
        return parse_time(self.start)


class Exchange(Section):
    """The market candles come from."""

    id: ExchangeId = key("bitget", "Any exchange ccxt knows, or `replay`, or `synthetic`.")
    rate_limit_ms: int = key(
        50, "Time between two requests; never below what ccxt knows of the exchange.", "milliseconds", ge=0, le=60_000
    )
    base_url: Url | None = key(None, "Asked instead of the exchange's own address: a proxy or a loopback server.")
    replay: Replay = Replay()
    synthetic: Synthetic = Synthetic()

    @property
    def is_tape(self) -> bool:
        """Whether `id` names candles that are played instead of an exchange."""
        return self.id in ("replay", "synthetic")


class Resample(Section):
    """How derived candles are kept up to date."""

    lookback_minutes: int = key(
        720, "Derived candles are rebuilt at most this far back without being asked.", "minutes", ge=1, le=525_600
    )


class Data(Section):
    """Which candles are stored."""

    base_timeframe: Literal["1m"] = key(
        "1m", "What is fetched; trades are played minute by minute, so only 1m will do.", "timeframe"
    )
    derived_timeframes: Unique[Timeframe] = key(
        ("5m", "15m", "1h", "4h"), "Made of the stored minutes; all longer than the base.", "timeframes"
    )
    resample: Resample = Resample()


class Backfill(Section):
    """The first fill of an empty database (`download_data.py`)."""

    start_date: Moment = key("2024-01-01", "The earliest candle asked for.", "UTC")
    batch_limit: int = key(200, "Page size; Bitget's history answers at most 200.", "candles a request", ge=1, le=5000)

    @property
    def start_ms(self) -> int:
        """The earliest candle asked for, UTC milliseconds."""
        return parse_time(self.start_date)


class Incremental(Section):
    """The sync of every cycle."""

    overlap_candles: int = key(3, "Fetched again each time, to see late revisions.", "minutes", ge=0, le=1000)
    run_seconds: int = key(60, "Pace of the cycle.", "seconds", ge=1, le=120)
