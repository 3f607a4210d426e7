"""Where the viewer reads: which database, and its answers kept until the file changes.

The law: only what is shown or about to be is read, each question opens and closes the database, and an answer is kept
under the file's size and time of change, so that a new row is seen at the next refresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.config import Config, load_config, profile_overlays
from core.dashboard._snapshot import Snapshot, snapshot_of
from core.dashboard._source_record import heads_at, rows_at
from core.errors import TraderError
from core.schema import SIGNALS, Candles
from core.store.reader import Reader

__all__ = [
    "Snapshot",
    "Source",
    "candles_of",
    "events_of",
    "exchanges_of",
    "find_source",
    "heads_of",
    "newest_signals",
    "policies_of",
    "read_ahead",
    "recorded_policies",
    "rows_of",
    "series_of",
    "signal_of",
    "signals_between",
    "snapshot_of",
    "synthetic",
    "trades_of",
]

_KEPT_S = 600  # an answer nobody asks for any more leaves memory after this many seconds
_LISTED_COLUMNS = [name for name in SIGNALS if name not in ("plan", "rationale")]


@dataclass(frozen=True, slots=True)
class Source:
    """What the viewer was pointed at.

    Parameters
    ----------
    path : pathlib.Path
        The database.
    profile : str
        Name of the configuration's overlay; ``""`` without one.
    config : Config or None
        None when there is no usable one.
    problem : str
        Why there is no configuration, in one line; ``""`` when there is one.
    """

    path: Path
    profile: str = ""
    config: Config | None = None
    problem: str = ""

    @property
    def zone(self) -> str:
        """Time zone for display."""
        return self.config.app.timezone if self.config else "UTC"

    @property
    def capital_usd(self) -> float | None:
        """Start of the paper account; None when there is no configuration to say it."""
        return self.config.risk.capital_usd if self.config else None

    @property
    def tape(self) -> bool:
        """Whether the configured market plays a tape, whose clock is not the wall's."""
        return self.config is not None and self.config.exchange.is_tape

    @property
    def first_symbol(self) -> str:
        """The first configured symbol; ``""`` without a configuration."""
        return self.config.symbols[0] if self.config else ""

    @property
    def models(self) -> Path:
        """The folder of model versions."""
        return Path(self.config.models.meta.model_path if self.config else "models/meta")


def find_source(environ: Mapping[str, str]) -> Source:
    """Find the database the environment and the configuration name.

    Parameters
    ----------
    environ : mapping
        ``TRADER_DB`` is the database's path and wins; else ``app.db_path`` of the configuration ``TRADER_CONFIG``
        (``config.yaml``) under the overlay ``config.<TRADER_PROFILE>.yaml`` beside it.

    Raises
    ------
    ConfigError
        There is no usable configuration and no ``TRADER_DB``.
    """
    base = Path(environ.get("TRADER_CONFIG") or "config.yaml")
    profile = environ.get("TRADER_PROFILE", "")
    named = environ.get("TRADER_DB")
    try:
        config = load_config(base, environ, profile_overlays(base, profile))
    except TraderError as error:
        if not named:
            raise
        return Source(Path(named), profile, problem=str(error))
    return Source(Path(named or config.app.db_path), profile, config)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def series_of(snapshot: Snapshot) -> pd.DataFrame:
    """Return the stored series: exchange, symbol, timeframe and how far each is complete."""
    return Reader(Path(snapshot.path)).series()


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def synthetic(snapshot: Snapshot, exchange: str) -> bool:
    """Say whether an exchange's candles were generated."""
    return Reader(Path(snapshot.path)).meta(f"synthetic:{exchange}") == "1"


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def newest_signals(
    snapshot: Snapshot, exchange: str, symbol: str | None, timeframe: str | None, limit: int
) -> pd.DataFrame:
    """Return the newest signals, newest first, of one series or of all, without their long texts."""
    reader = Reader(Path(snapshot.path))
    return reader.signals(exchange=exchange, symbol=symbol, timeframe=timeframe, limit=limit, columns=_LISTED_COLUMNS)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def signals_between(
    snapshot: Snapshot, exchange: str, symbol: str, timeframe: str, start_ms: int, end_ms: int
) -> pd.DataFrame:
    """Return id, candle, direction and chance of the signals of a series decided in ``[start_ms, end_ms)``."""
    return Reader(Path(snapshot.path)).signals(
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe,
        start_ms=start_ms,
        end_ms=end_ms,
        columns=["id", "ts_ms", "direction", "ml_p"],
    )


@st.cache_data(ttl=_KEPT_S, max_entries=16, show_spinner=False)
def signal_of(snapshot: Snapshot, signal_id: int) -> pd.DataFrame:
    """Return one signal, or no row."""
    return Reader(Path(snapshot.path)).signals(ids=[signal_id])


@st.cache_data(ttl=_KEPT_S, max_entries=16, show_spinner=False)
def trades_of(snapshot: Snapshot, signal_ids: tuple[int, ...]) -> pd.DataFrame:
    """Return the trades of some signals, under every exit policy."""
    return Reader(Path(snapshot.path)).trades(signal_ids=list(signal_ids))


@st.cache_data(ttl=_KEPT_S, max_entries=16, show_spinner=False)
def events_of(snapshot: Snapshot, signal_id: int, exit_policy: str) -> pd.DataFrame:
    """Return what happened to one trade, in order."""
    return Reader(Path(snapshot.path)).events(signal_id=signal_id, exit_policy=exit_policy)


@st.cache_data(ttl=_KEPT_S, max_entries=8, show_spinner=False)
def candles_of(
    snapshot: Snapshot,
    exchange: str,
    symbol: str,
    timeframe: str,
    count: int,
    span: tuple[int, int] | None = None,
    until_ms: int | None = None,
) -> Candles:
    """Return the newest `count` candles, or those of a span of time, at most `count`; none from `until_ms` on."""
    reader = Reader(Path(snapshot.path))
    if span is None:
        return reader.last_candles(exchange, symbol, timeframe, count, until_ms)
    found = reader.candles(
        exchange, symbol, timeframe, span[0], span[1] if until_ms is None else min(span[1], until_ms)
    )
    return found.slice(max(0, len(found) - count))


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def exchanges_of(snapshot: Snapshot) -> list[str]:
    """Return the exchanges that have rows, the one with the newest signal first."""
    reader = Reader(Path(snapshot.path))
    names = sorted(reader.series()["exchange"].unique())
    newest = reader.signals(limit=1, columns=["exchange"])
    first = [str(name) for name in newest["exchange"]]
    return first + [str(name) for name in names if name not in first]


def heads_of(snapshot: Snapshot, exchange: str) -> pd.DataFrame:
    """Return every signal of an exchange without its long texts; nobody may change the frame."""
    return heads_at(snapshot, exchange)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def recorded_policies(snapshot: Snapshot) -> list[str]:
    """Return every exit policy on record, the first recorded first."""
    return list(Reader(Path(snapshot.path)).exit_policies())


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def policies_of(snapshot: Snapshot, exchange: str) -> list[str]:
    """Return the exit policies that have trades on an exchange, the newest first."""
    return Reader(Path(snapshot.path)).policies_on(exchange)


def read_ahead(environ: Mapping[str, str]) -> None:
    """Read the record of the exchange that is shown first before anybody waits for it; what fails, a page will tell."""
    with suppress(TraderError):
        source = find_source(environ)
        snapshot, reader = snapshot_of(source.path), Reader(source.path)
        for exchange in exchanges_of(snapshot)[:1]:
            for exit_policy in reader.policies_on(exchange)[:1]:
                rows_at(snapshot, exchange, reader.newest_plan(exchange), exit_policy)


def rows_of(snapshot: Snapshot, exchange: str, plan_hash: str, exit_policy: str) -> pd.DataFrame:
    """Return the result rows of one plan under one exit policy; nobody may change the frame."""
    return rows_at(snapshot, exchange, plan_hash, exit_policy)
