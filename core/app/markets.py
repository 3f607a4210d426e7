"""Which market a configuration names: an exchange, a tape, a generated one, or one that is never asked.

The law: whoever is given a market does not know which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.app._made import expect_same_made
from core.clock import timeframe_ms
from core.config import Config
from core.errors import ConfigError
from core.ports import Market
from core.store.reader import Reader

if TYPE_CHECKING:
    from core.adapters.markets.replay import Tape

__all__ = ["check_market", "offline_market", "open_market", "recorded_as"]


def open_market(config: Config, reader: Reader) -> Market:
    """Return the market `exchange.id` names.

    A tape goes on where the database's record of it ends, so that a second start resumes the first.

    Raises
    ------
    ConfigError
        It cannot be opened as configured, or the record is of a market that was generated otherwise.
    """
    exchange = config.exchange
    if exchange.id == "synthetic":
        from core.adapters.markets.replay import ReplayMarket
        from core.adapters.markets.synthetic import make_tape

        expect_same_made(config, reader)
        made = exchange.synthetic
        return ReplayMarket(
            make_tape(made.world, config.symbols, made.start_ms, made.days, made.seed, made.p_star),
            exchange.id,
            start_ms=max(made.start_ms, _resumed_ms(reader, exchange.id, config.symbols)),
            speed=made.speed,
            step_ms=timeframe_ms(made.step),
            synthetic=True,
        )
    if exchange.id == "replay":
        from core.adapters.markets.replay import ReplayMarket

        played = exchange.replay
        return ReplayMarket(
            _tape(config),
            played.as_,
            start_ms=max(played.start_ms or 0, _resumed_ms(reader, played.as_, config.symbols)),
            end_ms=played.end_ms,
            speed=played.speed,
            step_ms=timeframe_ms(played.step),
        )
    from core.adapters.markets.ccxt import CcxtMarket

    return CcxtMarket(exchange.id, exchange.rate_limit_ms, exchange.base_url)


def check_market(config: Config) -> None:
    """Raise `ConfigError` where `exchange.id` names no market."""
    if not config.exchange.is_tape:
        from core.adapters.markets.ccxt import require_known

        require_known(config.exchange.id)


def offline_market(config: Config, exchange: str = "", reader: Reader | None = None) -> Market:
    """Return a market that is never asked, under whose name a command's rows are recorded.

    Where a tape is played its time is the newest that the database of `reader` holds, else the machine's.
    """
    from core.adapters.markets.offline import OfflineMarket

    name = exchange or recorded_as(config)
    at_ms = _played_ms(reader, name) if reader and config.exchange.is_tape else None
    return OfflineMarket(name, synthetic=config.exchange.id == "synthetic", at_ms=at_ms or None)


def recorded_as(config: Config) -> str:
    """Return the exchange rows are recorded under."""
    return config.exchange.replay.as_ if config.exchange.id == "replay" else config.exchange.id


def _tape(config: Config) -> Tape:
    """Return the tape a replay plays: files, or the candles of a database."""
    from core.adapters.markets import files

    if config.tape_database is None:
        return files.read_tape(config.tape_path, config.exchange.replay.files, config.symbols)
    return _stored_tape(Reader(config.tape_database), config)


def _stored_tape(reader: Reader, config: Config) -> Tape:
    """Return what a database holds of the configured symbols, of the exchange named or of the only one."""
    from core.adapters.markets.replay import Tape

    series = reader.series()
    stored = sorted(set(series.loc[series["timeframe"] == config.data.base_timeframe, "exchange"]))
    wanted = config.exchange.replay.as_
    if wanted not in stored and len(stored) != 1:
        told = ", ".join(stored) or "none"
        raise ConfigError(f"exchange.replay.as = {wanted}: expected an exchange of the database; it holds {told}")
    exchange = wanted if wanted in stored else stored[0]
    candles = {symbol: reader.candles(exchange, symbol, config.data.base_timeframe) for symbol in config.symbols}
    funding = {symbol: reader.funding(exchange, symbol) for symbol in config.symbols}
    return Tape.of(
        {symbol: run for symbol, run in candles.items() if len(run)},
        reader.instruments(exchange),
        {symbol: rates for symbol, rates in funding.items() if len(rates)},
    )


def _played_ms(reader: Reader, exchange: str) -> int:
    """Return the newest time a tape has been played to; 0 where there is nothing of it."""
    if not reader.path.exists():
        return 0
    series = reader.series()
    mine = series.loc[series["exchange"] == exchange, "frontier_ms"]
    return int(mine.max()) if len(mine) else 0


def _resumed_ms(reader: Reader, exchange: str, symbols: Sequence[str]) -> int:
    """Return the time up to which the database already holds the minutes of some symbols; 0 when it holds none."""
    series = reader.series()
    off = set(reader.symbols_off(exchange)["symbol"])  # a paused symbol does not hold the tape back
    played = [symbol for symbol in symbols if symbol not in off]
    mine = series[(series["exchange"] == exchange) & (series["timeframe"] == "1m") & series["symbol"].isin(played)]
    return int(mine["frontier_ms"].min()) if len(mine) else 0
