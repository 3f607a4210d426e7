"""A8 and A9: every candidate is played whatever the gate says, and every cost counts against it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd

from core.estimators.xgboost import XGBoost
from core.execution.costs import CostModel
from core.features import feature_set
from core.gate import Evidence, GateRules, Model
from core.pipeline import ask, judge, plan_columns, take
from core.schema import ACCOUNT_ROWS, FloatArray, conform
from core.training.dataset import training_rows
from core.training.fit import fit_model
from tests.meta.bars import opened, sizes
from tests.meta_worlds import Made, Place, make, terms

SMALL = Place("edge", seed=1, days=365, symbols=2)
WHOLE = Place("edge", seed=1)
NEVER_EV = 1e6  # percent of notional


@sizes("place", SMALL, WHOLE)
def test_with_the_gate_shut_outcomes_grow_one_for_one_with_candidates(place: Place) -> None:
    with opened("A8") as bars:
        made = make(place)
        model = fit_model(made.dataset(), XGBoost(trees=30), terms().fit).model("shut")
        opinions = ask(model, made.signals, made.vectors, terms().costs)
        shut = GateRules(evidence="require", min_ev_pct=NEVER_EV)
        decisions = judge(made.signals, opinions, shut, Evidence(), alarm=True, enabled=True)
        taken = take(_account_rows(made, decisions))
        bars.most("candidates passed", int((decisions["verdict"] == "PASS").sum()), 0, "{:.0f}")
        bars.most("trades taken", int(taken["taken"].sum()), 0, "{:.0f}")
        bars.holds("one trade a candidate", made.trades["signal_id"].tolist() == made.signals["id"].tolist())
        late = made.signals["decided_ms"].max() - 30 * 86_400_000
        waiting = made.trades["status"].isin(["PENDING", "OPEN"]).to_numpy() & (made.signals["decided_ms"] < late)
        bars.most("older than 30 days without an outcome", int(waiting.sum()), 0, "{:.0f}")
        learned = training_rows(made.signals, made.trades, terms().costs)
        closed = int((made.trades["status"] == "CLOSED").sum())
        bars.most(f"closed trades that teach nothing, of {closed}", closed - len(learned), 0, "{:.0f}")


def _account_rows(made: Made, decisions: pd.DataFrame) -> pd.DataFrame:
    both = {**made.trades, **{name: made.signals[name] for name in ACCOUNT_ROWS if name in made.signals}}
    frame = pd.DataFrame({**both, "verdict": decisions["verdict"], "settled": 0, "taken": 0, "blocked_by": ""})
    return conform(frame, ACCOUNT_ROWS)


@sizes("place", SMALL, WHOLE)
def test_value_never_rises_with_a_fee(place: Place) -> None:
    with opened("A9") as bars:
        made, costs = make(place), terms().costs
        model = fit_model(made.dataset(), XGBoost(), terms().fit).model("m")
        for name in ("maker_pct", "taker_pct", "slippage_pct"):
            dearer = [replace(costs, **{name: getattr(costs, name) + more}) for more in (0.0, 0.005, 0.02, 0.1, 0.5)]
            values = [_value(made, model, one) for one in dearer]
            most = max(float((after - before).max()) for before, after in itertools.pairwise(values))
            bars.most(f"largest rise of EV with {name}, R", most, 0.0, "{:.1e}")
            bars.least(
                f"share of candidates whose EV falls with {name}", np.mean(values[-1] < values[0]), 1.0, "{:.2f}"
            )


def _value(made: Made, model: Model, costs: CostModel) -> FloatArray:
    """Return the expected value of each candidate under other costs, in its features as in its plan."""
    at, vectors = feature_set().columns.index("geo_cost_r"), made.vectors.copy()
    vectors[:, at] = plan_columns(made.signals, costs)["cost_r"]
    if costs == terms().costs:
        np.testing.assert_allclose(vectors, made.vectors, rtol=1e-12)
    return ask(model, made.signals, vectors, costs)["ev_r"].to_numpy()


@sizes("place", SMALL, WHOLE)
def test_every_exit_pays_what_a_hand_would_add_up(place: Place) -> None:
    with opened("A9") as bars:
        made = make(place)
        worst = _by_hand(made).groupby("exit_reason")["gap"].agg(["max", "size"])
        for reason in ("SL", "TP1_TRAIL", "TP", "TIMEOUT"):
            n = int(worst["size"].get(reason, 0))
            gap = float(worst["max"].get(reason, np.inf))
            bars.most(f"{reason}: largest gap to the sum of its events, R, {n} trades", gap, 1e-9, "{:.1e}")


def _by_hand(made: Made) -> pd.DataFrame:
    """Add up fills, exits, fees and funding of each closed trade from its events, and compare with its result."""
    costs = terms().costs
    trades = made.trades[made.trades["status"] == "CLOSED"].set_index("signal_id")
    signals = made.signals.set_index("id").loc[trades.index]
    events = made.events[made.events["signal_id"].isin(trades.index)]
    side = np.where(signals["direction"] == "long", 1.0, -1.0)
    side = pd.Series(side, trades.index)
    fill = events[events["kind"] == "FILL"].set_index("signal_id")["price"]
    at = events["signal_id"]
    price, entry = events["price"].to_numpy(), at.map(fill).to_numpy()
    sign, fraction = at.map(side).to_numpy(), events["fraction"].to_numpy()
    kind = events["kind"].to_numpy(object)
    leaves = ~np.isin(kind, ["FILL", "FUNDING"])
    gross = np.where(leaves, 100.0 * sign * (price - entry) / entry * fraction, 0.0)
    rate = np.where(events["source"] == "maker", costs.maker_pct, costs.taker_pct)
    fee = np.where(kind == "FUNDING", 0.0, rate * fraction * price / entry)
    funding = np.where(kind == "FUNDING", sign * np.nan_to_num(events["rate_pct"].to_numpy()) * fraction, 0.0)
    pnl = pd.Series(gross - fee - funding, at.to_numpy()).groupby(level=0).sum().loc[trades.index]
    risk_pct = 100.0 * (signals["entry"] - signals["sl"]).abs() / signals["entry"]
    return pd.DataFrame({"exit_reason": trades["exit_reason"], "gap": (pnl / risk_pct - trades["r_multiple"]).abs()})
