"""Sections about plans and how they are played: signals, risk, execution.

The law: percentages are percent (0.06 is 0.06 %), fractions lie in 0..1, candles are of the signal's
timeframe unless the unit says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.config._types import FrozenMap, Name, Params, Section, SomeFrozenMap, key

__all__ = [
    "Avwap",
    "Bounds",
    "Evaluation",
    "Execution",
    "Fees",
    "Fibo",
    "Limits",
    "Risk",
    "Signals",
    "StopGuard",
    "Trail",
]


class Fibo(Section):
    """The Fibonacci plan of a pullback into an impulse leg."""

    piv_window: int = key(5, "A pivot is the extreme of this many candles on either side.", "candles", ge=1, le=100)
    anchors_to_consider: int = key(3, "How many of the newest legs are alive.", "legs", ge=1, le=50)
    entry_level: float = key(0.618, "Retracement of the leg at which the limit order waits.", "fraction", gt=0, lt=1)
    tp1_ext: float = key(1.272, "First target, measured from the leg's start.", "leg lengths", gt=1, le=10)
    tp2_ext: float = key(1.618, "Second target, beyond the first.", "leg lengths", gt=1, le=10)
    min_leg_atr: float = key(3.0, "Smallest leg.", "ATR", ge=0, le=100)
    max_distance_atr: float = key(3.0, "How far the close may be from the entry.", "ATR", gt=0, le=100)
    stop_at: Literal["swing", "level"] = key(
        "swing", "The stop lies beyond the leg's start, or beyond its 0.786 retracement."
    )


class Avwap(Section):
    """The volume-weighted average price anchored at the leg's start."""

    use: bool = key(True, "Refuse a candidate whose close lies on the wrong side of it.")


class Fees(Section):
    """The exchange's fee rates."""

    taker_pct: float = key(0.06, "Fee of a fill that takes liquidity.", "percent", ge=0, le=5)
    maker_pct: float = key(0.02, "Fee of a resting limit order; negative for a rebate.", "percent", ge=-1, le=5)
    assume_maker: bool = key(False, "True is `costs_mode: maker` wherever `execution.costs_mode` is auto.")


class Evaluation(Section):
    """How results are added up."""

    usd_per_trade: float = key(100.0, "Stake of every trade in equal-stake results.", "USD", gt=0, le=1e9)


class Bounds(Section):
    """Between which values a feature must lie."""

    min: float | None = key(None, "Least value.", "the feature's", ge=-1e9, le=1e9)
    max: float | None = key(None, "Greatest value.", "the feature's", ge=-1e9, le=1e9)


class Signals(Section):
    """What makes a candidate."""

    setups: SomeFrozenMap[Name, Params] = key(
        {"fibo_avwap": {}},
        "The rules that are run, each with parameters that override the keys below.",
    )
    lookback_candles: int = key(300, "A leg older than this is dead.", "candles", ge=20, le=10_000)
    atr_period: int = key(14, "Period of Wilder's ATR.", "candles", ge=2, le=500)
    atr_mult_sl: float = key(1.5, "Room behind the level of the stop: half of this many ATRs.", "ATR", ge=0, le=20)
    fibo: Fibo = Fibo()
    avwap: Avwap = Avwap()
    rr_min: float = key(1.0, "Least reward to risk at the first target.", "R", ge=0, le=100)
    min_tp_net_pct: float = key(
        0.3, "Least distance from entry to the first target after fees.", "percent", ge=0, le=100
    )
    fees: Fees = Fees()
    slippage_pct: float = key(0.02, "How much worse every taker fill is.", "percent", ge=0, le=5)
    validity_candles: int = key(60, "How long the entry may take to fill.", "candles", ge=1, le=10_000)
    bar_policy: Literal["conservative", "optimistic"] = key(
        "conservative", "Which comes first when one minute touches stop and target: the stop, or the target."
    )
    filters: FrozenMap[Name, Bounds] = key(
        {}, "Features (docs/features.md) outside of whose bounds a candidate is refused, whatever the model says."
    )
    evaluation: Evaluation = Evaluation()


class StopGuard(Section):
    """A pause after many stops."""

    stops: int = key(4, "This many stops inside the window pause new trades.", "stops", ge=1, le=1000)
    window_hours: float = key(24.0, "The window.", "hours", gt=0, le=8760)
    pause_hours: float = key(12.0, "The pause.", "hours", ge=0, le=8760)


class Limits(Section):
    """What is not taken, whatever the gate says."""

    max_open: int = key(5, "Most taken trades at once, pending ones included.", "trades", ge=1, le=10_000)
    max_open_per_symbol: int = key(2, "The same for one symbol.", "trades", ge=1, le=10_000)
    cooldown_candles: int = key(2, "Wait after a stop on the same symbol and timeframe.", "candles", ge=0, le=10_000)
    stop_guard: StopGuard = StopGuard()
    max_daily_loss_pct: float = key(
        3.0, "Realised loss of a UTC day after which nothing more is taken.", "percent of capital", gt=0, le=100
    )


class Risk(Section):
    """Size, leverage and limits of the paper account."""

    capital_usd: float = key(10_000.0, "The paper account.", "USD", gt=0, le=1e12)
    mode: str = key("normal", "Which row of `risk_pct_by_mode` is in force.")
    risk_pct_by_mode: SomeFrozenMap[Name, Annotated[float, Field(gt=0, le=100)]] = key(
        {"conservative": 0.25, "normal": 0.5, "aggressive": 1.0},
        "Lost at most when a trade is stopped, before costs.",
        "percent of capital",
    )
    max_leverage: float = key(10.0, "Most leverage of a trade.", "times", ge=1, le=125)
    liquidation_buffer: float = key(
        0.5, "How much further away than the stop the liquidation price lies.", "stop distances", ge=0, le=10
    )
    maintenance_margin_pct: float = key(0.5, "The exchange's maintenance margin.", "percent", ge=0, le=50)
    limits: Limits = Limits()

    @property
    def risk_pct(self) -> float:
        """Risk of a trade under the mode in force, percent of capital."""
        return self.risk_pct_by_mode[self.mode]


class Trail(Section):
    """The stop that follows price after the first target."""

    use: bool = key(True, "Whether the stop trails.")
    method: Literal["atr", "pct"] = key("atr", "What `atr_mult` counts: ATRs of the signal, or percent of price.")
    atr_period: int = key(14, "Must equal `signals.atr_period`: the signal's own ATR is used.", "candles", ge=2, le=500)
    atr_mult: float = key(1.0, "Distance behind the best price so far.", "ATR, or percent", gt=0, le=100)


class Execution(Section):
    """How a plan is played, minute by minute."""

    exit_policy: Name = key("tp1_be_trail", "The rule by which positions are left.")
    exits: FrozenMap[Name, Params] = key({}, "Parameters by exit policy; they override the keys of this section.")
    costs_mode: Literal["auto", "maker", "taker"] = key(
        "auto", "Fee rate: by the kind of order, or one rate for every fill."
    )
    entry_delay_candles: int = key(1, "Time before an order can be there.", "minutes", ge=0, le=1440)
    fill: Literal["touch", "through"] = key(
        "touch", "A resting order fills when price touches it, or only when it trades through."
    )
    cancel_if_missed: bool = key(True, "Cancel an entry that has not filled when price reaches the first target.")
    tp1_fraction: float = key(0.5, "Part of the position that leaves at the first target.", "fraction", gt=0, le=1)
    move_sl_to_be_on_tp1: bool = key(True, "Move the stop to the fill price after the first target.")
    trail: Trail = Trail()
    max_hold_candles: int = key(96, "Longest holding; 0 is no limit.", "candles", ge=0, le=100_000)
    funding_rate_pct: float = key(
        0.01, "Paid where no recorded rate exists; perpetuals only.", "percent per settlement", ge=-5, le=5
    )
