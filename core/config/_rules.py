"""What keys demand of each other, and what is allowed but worth a word.

The law: a rule that two keys break is an error before anything runs; a warning never stops anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from core.clock import MINUTE_MS, timeframe_ms
from core.errors import nearest

if TYPE_CHECKING:
    from core.config.model import Config

__all__ = ["Broken", "broken_rules", "config_warnings"]

_STOP_LEVEL = 0.786
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WEEK_MINUTES = 7 * 24 * 60
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Broken(NamedTuple):
    """A key, its value (None where showing it helps nobody) and what another key demands of it."""

    key: str
    value: Any
    demand: str


def broken_rules(config: Config) -> list[Broken]:
    """Return every rule between keys that the configuration breaks, in a fixed order."""
    parts = (_market_rules, _data_rules, _signal_rules, _trade_rules, _gate_rules, _telegram_rules)
    return [broken for part in parts for broken in part(config)]


def _market_rules(config: Config) -> Iterator[Broken]:
    exchange, replay = config.exchange, config.exchange.replay
    if exchange.id == "replay" and replay.path is None:
        if not replay.files:
            yield Broken("exchange.replay.path", None, "missing; exchange.id is replay: expected candles to play")
        for symbol in config.symbols:
            if replay.files and symbol not in replay.files:
                yield Broken("exchange.replay.files", None, f"expected an entry for {symbol}, or exchange.replay.path")
    if replay.start_ms is not None and replay.end_ms is not None and replay.end_ms <= replay.start_ms:
        yield Broken("exchange.replay.end", replay.end, f"expected later than start, {replay.start}")


def _data_rules(config: Config) -> Iterator[Broken]:
    data = config.data
    for timeframe in data.derived_timeframes:
        if timeframe_ms(timeframe) <= timeframe_ms(data.base_timeframe):
            yield Broken("data.derived_timeframes", timeframe, f"expected longer than {data.base_timeframe}")
    stored = (data.base_timeframe, *data.derived_timeframes)
    for timeframe in config.timeframes:
        if timeframe not in stored:
            yield Broken("timeframes", timeframe, f"expected one that is stored ({', '.join(stored)}); "
                         "add it to data.derived_timeframes")  # fmt: skip
    longest = max((timeframe_ms(timeframe) // MINUTE_MS for timeframe in data.derived_timeframes), default=1)
    if data.resample.lookback_minutes < longest:
        yield Broken("data.resample.lookback_minutes", data.resample.lookback_minutes,
                     f"expected at least {longest}, the longest derived timeframe")  # fmt: skip


def _signal_rules(config: Config) -> Iterator[Broken]:
    signals, fibo = config.signals, config.signals.fibo
    if fibo.tp2_ext <= fibo.tp1_ext:
        yield Broken("signals.fibo.tp2_ext", fibo.tp2_ext, f"expected more than tp1_ext, {fibo.tp1_ext:g}")
    if fibo.stop_at == "level" and fibo.entry_level >= _STOP_LEVEL:
        yield Broken("signals.fibo.entry_level", fibo.entry_level,
                     f"expected less than {_STOP_LEVEL}, where stop_at: level puts the stop")  # fmt: skip
    if 2 * fibo.piv_window >= signals.lookback_candles:
        yield Broken("signals.fibo.piv_window", fibo.piv_window,
                     f"expected less than half of signals.lookback_candles, {signals.lookback_candles}")  # fmt: skip

    for name, bounds in signals.filters.items():
        if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
            yield Broken(f"signals.filters.{name}.min", bounds.min, f"expected at most max, {bounds.max:g}")


def _trade_rules(config: Config) -> Iterator[Broken]:
    risk, trail, period = config.risk, config.execution.trail, config.signals.atr_period
    if risk.mode not in risk.risk_pct_by_mode:
        known = sorted(risk.risk_pct_by_mode)
        hint = nearest(risk.mode, known)
        suffix = f"; {hint}" if hint.startswith("did you mean") else ""
        yield Broken("risk.mode", risk.mode, f"expected one of {', '.join(known)}{suffix}")
    if trail.atr_period != period:
        yield Broken("execution.trail.atr_period", trail.atr_period,
                     f"expected {period}, signals.atr_period: the signal's own ATR is used")  # fmt: skip
    for name, params in config.signals.setups.items():
        if params.get("atr_period", period) != period:
            yield Broken(f"signals.setups.{name}.atr_period", params["atr_period"],
                         f"expected {period}, signals.atr_period: stop and trail use one ATR")  # fmt: skip


def _gate_rules(config: Config) -> Iterator[Broken]:
    gating, execution = config.models.meta.gating, config.execution
    for name in ("min_ev_pct", "threshold"):
        value, floor = getattr(gating, name), getattr(gating.floors, name)
        if value < floor:
            yield Broken(f"models.meta.gating.{name}", value, f"expected at least floors.{name}, {floor:g}")
    both = gating.costs_mode is not None and "costs_mode" in execution.model_fields_set
    if both and gating.costs_mode != execution.costs_mode:
        yield Broken("models.meta.gating.costs_mode", gating.costs_mode,
                     f"expected {execution.costs_mode}, execution.costs_mode; keep one of the two")  # fmt: skip
    for symbol, by_timeframe in gating.per_pair_tf.items():
        for timeframe, entry in by_timeframe.items():
            if entry.min_ev_pct is None and entry.threshold is None:
                yield Broken(f"models.meta.gating.per_pair_tf.{symbol}.{timeframe}", None,
                             "expected min_ev_pct, threshold or both")  # fmt: skip


def _telegram_rules(config: Config) -> Iterator[Broken]:
    telegram = config.notify.telegram
    if telegram.base_url is not None:
        parts = urlsplit(telegram.base_url)
        # Telegram's addresses carry the token: in clear text it may not leave this machine.
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            yield Broken("notify.telegram.base_url", telegram.base_url, "expected https, or http on 127.0.0.1")
    if not telegram.enabled:
        return
    token = telegram.bot_token.get_secret_value()
    if not token:
        yield Broken(
            "notify.telegram.bot_token", None, "missing; Telegram is enabled: put TELEGRAM_BOT_TOKEN into .env"
        )
    elif not _TOKEN.fullmatch(token):
        yield Broken("notify.telegram.bot_token", "***", "expected a token such as 123456:ABC-def from @BotFather")
    if not telegram.chat_id:
        yield Broken("notify.telegram.chat_id", None, "missing; Telegram is enabled: put TELEGRAM_CHAT_ID into .env")


def config_warnings(config: Config) -> list[str]:
    """Return what works but is probably not meant, one line each, without any secret."""
    return [*_secret_warnings(config), *_cost_warnings(config), *_gate_warnings(config)]


def _secret_warnings(config: Config) -> Iterator[str]:
    token, ping_url = config.notify.telegram.bot_token, config.app.ping_url
    for key, secret, variable in (
        ("notify.telegram.bot_token", token, "TELEGRAM_BOT_TOKEN"),
        ("app.ping_url", ping_url, "TRADER__APP__PING_URL"),
    ):
        origin = config.origins.get(key)
        if origin is not None and origin.kind == "file" and secret.get_secret_value():
            yield f"{origin}: {key}: a secret in a shared file; move it to {variable} in .env"
        if origin is not None and origin.kind == "dotenv" and _is_open_to_all(config.home / origin.name):
            yield f"{origin}: everybody on this machine can read the file; run `chmod 600 {origin.name}`"


def _is_open_to_all(path: Path) -> bool:
    """Say whether everybody on this machine may read a file; Windows has no such rights."""
    try:
        return os.name != "nt" and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False  # gone since it was read


def _cost_warnings(config: Config) -> Iterator[str]:
    fees = config.signals.fees
    for name, value in (("taker_pct", fees.taker_pct), ("maker_pct", fees.maker_pct)):
        if 0 < value < 0.002:
            yield f"signals.fees.{name} = {value:g}: this is percent; {value * 100:g} was probably meant"
    if fees.assume_maker and config.execution.costs_mode != "auto":
        yield f"signals.fees.assume_maker: no effect while execution.costs_mode is {config.execution.costs_mode}"


def _gate_warnings(config: Config) -> Iterator[str]:
    gating = config.models.meta.gating
    for symbol, by_timeframe in gating.per_pair_tf.items():
        for timeframe in by_timeframe:
            if symbol not in config.symbols or timeframe not in config.timeframes:
                yield f"models.meta.gating.per_pair_tf.{symbol}.{timeframe}: not scanned, so without effect"
    auto = config.auto
    if auto.enabled and auto.weekly_tune.enable and (auto.weekly_tune.mode == "ev") != gating.use_ev:
        yield (
            f"auto.weekly_tune.mode = {auto.weekly_tune.mode}: the gate decides by "
            f"{'expected value' if gating.use_ev else 'p(win)'}, so what is tuned has no effect"
        )
    jobs = (auto.weekly_train, auto.weekly_calibrate, auto.weekly_tune)
    train, calibrate, tune = (_DAYS.index(job.day_of_week) * 1440 + job.hour_utc * 60 + job.minute for job in jobs)
    in_order = (calibrate - train) % _WEEK_MINUTES <= (tune - train) % _WEEK_MINUTES
    if auto.enabled and all(job.enable for job in jobs) and not in_order:
        yield "auto: expected training before calibration before tuning; each works on what the one before left"
