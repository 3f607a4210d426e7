"""Sections about the model, the weekly jobs, the machine and the messages.

The law: nothing here changes a plan or its outcome; it decides what is let through, when, and who hears of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict

from core.clock import parse_time
from core.config._types import (
    FrozenMap,
    HomePath,
    Moment,
    Name,
    Params,
    Section,
    Symbol,
    Timeframe,
    Unique,
    Url,
    key,
    refuse,
)

__all__ = [
    "Auto",
    "Calibration",
    "Compute",
    "Floors",
    "Gating",
    "Meta",
    "Models",
    "Notify",
    "PairThresholds",
    "SendOn",
    "Telegram",
    "Thresholds",
    "WeeklyCalibrate",
    "WeeklyJob",
    "WeeklyTune",
]

Regime = Literal["trend", "range", "vol_low", "vol_normal", "vol_high"]
CostsMode = Literal["auto", "maker", "taker"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_CHAT_EXPECTED = "a chat's number such as 123456789 or -1001234567890, or @channel"


def _model_folder(path: Path) -> Path:
    if path.suffix in (".pkl", ".pickle", ".joblib"):
        raise refuse("a folder of model versions such as models/meta", "pickled models are never loaded")
    return path


def _chat_text(value: object) -> object:
    return str(value) if type(value) is int else value


def _chat(value: str) -> str:
    if not re.fullmatch(r"(-?[0-9]+|@[A-Za-z][A-Za-z0-9_]{3,})?", value):
        raise refuse(_CHAT_EXPECTED)
    return value


class Calibration(Section):
    """How raw scores become probabilities."""

    enabled: bool = key(True, "Use the calibrated probability.")
    method: Literal["auto", "platt", "isotonic", "none"] = key("auto", "How it is fitted.")


class Thresholds(Section):
    """Thresholds of one slice, over the general ones."""

    min_ev_pct: float | None = key(None, "Least expected value.", "percent of notional", ge=-100, le=100)
    threshold: float | None = key(None, "Least p(win).", "probability", ge=0, le=1)


class PairThresholds(Thresholds):
    """Thresholds of one symbol and timeframe, for a while."""

    expires: Moment | None = key(None, "Moment from which they no longer count.", "UTC")

    @property
    def expires_ms(self) -> int | None:
        """Moment from which they no longer count, UTC milliseconds."""
        return None if self.expires is None else parse_time(self.expires)


class Floors(Section):
    """No threshold, wherever it comes from, goes below these."""

    min_ev_pct: float = key(0.0, "Least expected value.", "percent of notional", ge=-100, le=100)
    threshold: float = key(0.40, "Least p(win).", "probability", ge=0, le=1)


class Gating(Section):
    """What the gate lets through."""

    use_ev: bool = key(True, "Decide by expected value after costs; false: by p(win).")
    min_ev_pct: float = key(0.0, "Least expected value that passes.", "percent of notional", ge=-100, le=100)
    threshold: float = key(0.45, "Least p(win) that passes when `use_ev` is false.", "probability", ge=0, le=1)
    costs_mode: CostsMode | None = key(None, "Another name of `execution.costs_mode`; the two may not disagree.")
    evidence: Literal["off", "show", "require"] = key(
        "show", "What a slice without certified evidence does: nothing, a line in the message, or refuse."
    )
    target_winrate_pct: float = key(60.0, "The win rate aimed at when tuning by p(win).", "percent", gt=0, lt=100)
    min_closed_samples: int = key(60, "Least evidence of a slice.", "effective samples", ge=1, le=1_000_000)
    window_days: int = key(365, "How far back evidence is looked for.", "days", ge=1, le=3650)
    floors: Floors = Floors()
    per_pair_tf: FrozenMap[Symbol, FrozenMap[Timeframe, PairThresholds]] = key(
        {}, "Thresholds by symbol and timeframe; written by tune_thresholds.py."
    )
    per_regime: FrozenMap[Regime, Thresholds] = key(
        {}, "Thresholds by regime: trend, range, vol_low, vol_normal, vol_high."
    )


class Meta(Section):
    """The model that says how likely a candidate is to win."""

    enabled: bool = key(True, "Ask the model; false: every candidate is UNGATED.")
    model_path: Annotated[HomePath, AfterValidator(_model_folder)] = key(
        Path("models/meta"), "Folder of model versions."
    )
    min_signals_for_training: int = key(
        200, "Least finished signals before a model is fitted.", "effective samples", ge=1, le=1_000_000
    )
    estimator: Name = key("xgboost", "What learns p(win): a file of core/estimators.")
    estimators: FrozenMap[Name, Params] = key({}, "Parameters by estimator; those left out are its own.")
    calibration: Calibration = Calibration()
    gating: Gating = Gating()


class Models(Section):
    """Models."""

    meta: Meta = Meta()


class WeeklyJob(Section):
    """A job that runs once a week."""

    enable: bool = key(True, "Run it.")
    day_of_week: Weekday = key("sun", "The day.", "UTC")
    hour_utc: int = key(21, "The hour.", "UTC", ge=0, le=23)
    minute: int = key(0, "The minute.", "UTC", ge=0, le=59)


class WeeklyCalibrate(WeeklyJob):
    """The weekly calibration."""

    minute: int = key(30, "The minute.", "UTC", ge=0, le=59)


def _tuned(value: object) -> object:
    """Return what is tuned; ``pwin`` is another name of ``p``."""
    return "p" if value == "pwin" else value


class WeeklyTune(WeeklyJob):
    """The weekly tuning of thresholds."""

    mode: Annotated[Literal["ev", "p"], BeforeValidator(_tuned)] = key(
        "ev", "Tune the least expected value, or the least p(win)."
    )
    hour_utc: int = key(22, "The hour.", "UTC", ge=0, le=23)


class Auto(Section):
    """The weekly jobs, UTC."""

    enabled: bool = key(True, "Run the weekly jobs at all.")
    weekly_train: WeeklyJob = WeeklyJob()
    weekly_calibrate: WeeklyCalibrate = WeeklyCalibrate()
    weekly_tune: WeeklyTune = WeeklyTune()


class Compute(Section):
    """The machine."""

    backend: Literal["local", "dask"] = key("local", "Where retro scans and tuning run.")
    jobs: int = key(2, "Processes at once.", "processes", ge=1, le=1024)


class SendOn(Section):
    """Which events are told."""

    new_signal: bool = key(True, "A new signal that passed.")
    trade_update: bool = key(True, "Filled, target hit, expired or cancelled.")
    closed_trade: bool = key(True, "A trade closed.")
    weekly_summary: bool = key(True, "The week in figures.")


class Telegram(Section):
    """Messages to a Telegram chat."""

    enabled: bool = key(False, "Send messages.")
    bot_token: SecretStr = key(SecretStr(""), "The bot's token; keep it in TELEGRAM_BOT_TOKEN in `.env`.")
    chat_id: Annotated[
        str,
        BeforeValidator(_chat_text),
        AfterValidator(_chat),
        Field(json_schema_extra={"x-expected": _CHAT_EXPECTED}),
    ] = key("", "Where messages go; also TELEGRAM_CHAT_ID.")
    allowed_user_ids: Annotated[Unique[Annotated[int, Field(gt=0)]], Strict(False)] = key(
        (), "Who may command the bot; nobody until listed.", "Telegram user ids"
    )
    base_url: Url | None = key(None, "Asked instead of api.telegram.org; https, or http on this machine.")
    send_on: SendOn = SendOn()
    summary_hour_utc: int = key(23, "The hour of Sunday at which the weekly summary is made.", "UTC", ge=0, le=23)
    daily_heartbeat: bool = key(False, "Also say once a day that the engine runs, with the day in figures.")
    heartbeat_hour_utc: int = key(7, "The hour at which that is said.", "UTC", ge=0, le=23)


class Notify(Section):
    """Who is told what."""

    late_minutes: int = key(10, "Alerts for closes older than this are left out.", "minutes", ge=1, le=10_080)
    console: bool = key(True, "Also print messages where the scheduler runs.")
    telegram: Telegram = Telegram()
