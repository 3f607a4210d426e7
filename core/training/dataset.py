"""What models learn from: one row per filled and finished candidate, with its features.

The law: a row's outcome is what an account would have got after all costs, and every row weighs what it is unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.errors import ModelError, TraderError
from core.execution.costs import CostModel
from core.pipeline import plan_columns
from core.ports import Sample
from core.schema import FloatArray, FrameSpec, IntArray, conform, frame_of
from core.schema.learning import TRAINING_ROWS
from core.training.splits import n_eff, uniqueness

__all__ = ["PLAN_ROWS", "Candidates", "Dataset", "plan_rows", "require_enough", "training_rows"]

_IDENTITY = ("signal_id", "decided_ms", "timeframe", "direction")
_PLAN = ("stop_frac", "rr1", "rr2", "cost_r")

PLAN_ROWS: FrameSpec = MappingProxyType({name: TRAINING_ROWS[name] for name in (*_IDENTITY, *_PLAN)})
"""What a model must know of a plan, besides its features, to say what it is worth."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Candidates to be judged, filled or not.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `PLAN_ROWS`.
    vectors : float64 array, shape (n, k)
        Their features.
    """

    rows: pd.DataFrame
    vectors: FloatArray

    def take(self, where: IntArray) -> Candidates:
        """Return some of them."""
        return Candidates(self.rows.iloc[where].reset_index(drop=True), self.vectors[where])


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Finished candidates, oldest decision first; `Dataset.of` builds and checks one.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `schema.TRAINING_ROWS`.
    vectors : float64 array, shape (n, k)
        Features; NaN where an optional one is not known.
    columns : tuple of str
        Their names, in order.
    weights : float64 array, shape (n,)
        Uniqueness of each row.
    """

    rows: pd.DataFrame
    vectors: FloatArray
    columns: tuple[str, ...]
    weights: FloatArray

    @classmethod
    def of(
        cls, rows: pd.DataFrame, vectors: FloatArray, columns: Sequence[str], required: Sequence[str] = ()
    ) -> Dataset:
        """Build a dataset.

        Parameters
        ----------
        rows : pandas.DataFrame
            Columns `schema.TRAINING_ROWS`, in any order.
        vectors : float64 array, shape (n, k)
            Row by row with `rows`.
        columns : sequence of str
            Names of the features, in order.
        required : sequence of str
            Features without which a candidate is not judged; rows that lack one are left out here, too.

        Raises
        ------
        ModelError
            Vectors and columns do not belong together, a required feature is no column, a feature is infinite, or an
            outcome is not a finite number.
        """
        names, values = tuple(columns), np.asarray(vectors, dtype=np.float64)
        _check_vectors(values, names, len(rows), required)
        table = conform(rows, TRAINING_ROWS)
        _check_outcomes(table)
        needed = values[:, [names.index(name) for name in required]]
        known = np.asarray(np.isfinite(needed).all(axis=1))
        order = np.lexsort((table["signal_id"].to_numpy(), table["decided_ms"].to_numpy()))
        kept = order[known[order]]
        table = table.iloc[kept].reset_index(drop=True)
        return cls(table, np.ascontiguousarray(values[kept]), names, _uniqueness(table))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_eff(self) -> float:
        """Effective number of rows."""
        return n_eff(self.weights)

    def ints(self, name: str) -> IntArray:
        """Return a column of whole numbers."""
        return self.rows[name].to_numpy(dtype=np.int64)

    def floats(self, name: str) -> FloatArray:
        """Return a column of numbers."""
        return self.rows[name].to_numpy(dtype=np.float64)

    def sample(self, where: IntArray) -> Sample:
        """Return what an estimator learns from, of the rows at those positions."""
        return Sample(
            vectors=self.vectors[where],
            columns=self.columns,
            won=self.floats("won")[where],
            gross_r=self.floats("gross_r")[where],
            weights=self.weights[where],
        )

    def take(self, where: IntArray) -> Dataset:
        """Return the rows at those positions as a dataset that knows of no other: weighed anew."""
        rows = self.rows.iloc[where].reset_index(drop=True)
        return Dataset(rows, self.vectors[where], self.columns, _uniqueness(rows))

    def candidates(self) -> Candidates:
        """Return the rows as candidates to be judged."""
        return Candidates(conform(self.rows, PLAN_ROWS), self.vectors)


def require_enough(dataset: Dataset, min_n_eff: float) -> None:
    """Refuse a dataset that nothing can be learned from.

    Raises
    ------
    TraderError
        Too few effective rows yet, or all with the same outcome.
    """
    if dataset.n_eff < min_n_eff:
        raise TraderError(
            f"training rows: {len(dataset)} closed trades, {dataset.n_eff:.0f} effective; expected at least "
            f"{min_n_eff:g} effective (models.meta.min_signals_for_training)"
        )
    won = dataset.floats("won")
    if len(won) == 0 or won.min() == won.max():
        which = "none" if len(won) == 0 else ("won" if won[0] else "lost")
        raise TraderError(f"training rows: all {len(won)} closed trades {which}; expected winners and losers")


def plan_rows(signals: pd.DataFrame, costs: CostModel) -> pd.DataFrame:
    """Return what is to be known of plans to judge them.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    costs : CostModel

    Returns
    -------
    pandas.DataFrame
        Columns `PLAN_ROWS`, row by row with `signals`.
    """
    columns = {
        "signal_id": signals["id"].to_numpy(dtype=np.int64),
        "decided_ms": signals["decided_ms"].to_numpy(dtype=np.int64),
        "timeframe": signals["timeframe"].array,
        "direction": signals["direction"].array,
        **plan_columns(signals, costs),
    }
    return frame_of(columns, len(signals), PLAN_ROWS)


def training_rows(signals: pd.DataFrame, trades: pd.DataFrame, costs: CostModel) -> pd.DataFrame:
    """Return the rows a model learns from: candidates that filled and are finished.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    trades : pandas.DataFrame
        Columns `schema.TRADES`, of one exit policy; taken or not does not matter.
    costs : CostModel

    Returns
    -------
    pandas.DataFrame
        Columns `schema.TRAINING_ROWS`, by decided_ms, then signal_id.

    Raises
    ------
    ModelError
        Trades of more than one exit policy.

    Notes
    -----
    ``won = pnl_pct > 0``; ``net_r`` is the trade's ``r_multiple``, percent earned over percent planned to be risked;
    ``gross_r = net_r + cost_r + funding_pct / (100 * stop_frac)``, so that what is learned of results before costs
    gives, less the plan's expected costs, results after costs.
    """
    policies = sorted(set(trades["exit_policy"]))
    if len(policies) > 1:
        raise ModelError(
            f"training rows: trades of {len(policies)} exit policies ({', '.join(policies)}); expected one"
        )
    closed = trades[(trades["status"] == "CLOSED") & np.isfinite(trades["fill_price"].to_numpy(dtype=np.float64))]
    place = pd.Index(signals["id"]).get_indexer(pd.Index(closed["signal_id"]))
    closed, own = closed[place >= 0], signals.iloc[place[place >= 0]]
    plan = plan_rows(own, costs)
    net_r = closed["r_multiple"].to_numpy(dtype=np.float64)
    funding_pct = closed["funding_pct"].to_numpy(dtype=np.float64)
    funding_r = funding_pct / (100.0 * plan["stop_frac"].to_numpy())
    columns = {
        **{name: own[name].array for name in ("symbol", "setup", "regime_trend", "regime_vol")},
        **{name: plan[name].array for name in PLAN_ROWS},
        "opened_ms": closed["opened_ms"].to_numpy(dtype=np.int64),
        "known_ms": closed["known_ms"].to_numpy(dtype=np.int64),
        "won": (closed["pnl_pct"].to_numpy(dtype=np.float64) > 0.0).astype(np.float64),
        "net_r": net_r,
        "gross_r": net_r + plan["cost_r"].to_numpy() + funding_r,
        "funding_pct": funding_pct,
    }
    rows = frame_of(columns, len(own), TRAINING_ROWS)
    return rows.sort_values(["decided_ms", "signal_id"], kind="stable", ignore_index=True)


def _uniqueness(rows: pd.DataFrame) -> FloatArray:
    return uniqueness(*(rows[name].to_numpy() for name in ("symbol", "timeframe", "opened_ms", "known_ms")))


def _check_vectors(values: FloatArray, names: tuple[str, ...], n: int, required: Sequence[str]) -> None:
    if values.shape != (n, len(names)):
        raise ModelError(f"training rows: vectors of shape {values.shape}; expected ({n}, {len(names)})")
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ModelError(f"training rows: column '{twice}' is there twice")
    missing = [name for name in required if name not in names]
    if missing:
        raise ModelError(f"training rows: required feature '{missing[0]}' is not among the columns")
    _refuse(
        [bool(np.isinf(column).any()) for column in values.T],
        names,
        "is infinite in at least one row; expected a number or NaN",
    )


def _check_outcomes(rows: pd.DataFrame) -> None:
    numbers = tuple(name for name, dtype in TRAINING_ROWS.items() if dtype == "float64")
    bad = [not np.isfinite(rows[name].to_numpy()).all() for name in numbers]
    _refuse(bad, numbers, "is not a finite number in at least one row")


def _refuse(bad: Sequence[bool], names: tuple[str, ...], why: str) -> None:
    if any(bad):
        raise ModelError(f"training rows: {names[bad.index(True)]} {why}")
