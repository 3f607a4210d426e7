"""Walk forward: what the engine would have said of each candidate, had it been trained before every block of time.

The law: whoever asks again gets the same answer; a block is judged by a model that knew nothing of its time, and only
candidates not yet in the ledger are asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.clock import format_ms
from core.estimators.logistic import Logistic
from core.gate import Judged
from core.ports import Estimator
from core.schema import FloatArray, empty_frame, frame_of
from core.schema.learning import PREDICTIONS
from core.training.calibrate import log_losses
from core.training.dataset import Candidates, Dataset
from core.training.fit import FitRules, Fitted, fit_model
from core.training.splits import BLOCK_MS, GAP_MS
from core.training.splits import walk_forward as blocks_of

__all__ = ["BLOCKS", "Walk", "walk_forward"]

BLOCKS = {
    "model": "str",
    "start_ms": "int64",
    "n_train": "int64",
    "n_eff_train": "float64",
    "n": "int64",  # candidates judged
    "n_closed": "int64",  # of them filled and finished
    "log_loss": "float64",  # nats a closed candidate, NaN where none is
    "log_loss_geometry": "float64",
    "log_loss_challenger": "float64",
}
"""Columns of `Walk.blocks`."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What a walk has found out.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns `schema.PREDICTIONS`, oldest block first.
    blocks : pandas.DataFrame
        Columns `BLOCKS`, one row per block that was judged.
    """

    predictions: pd.DataFrame
    blocks: pd.DataFrame


def walk_forward(
    dataset: Dataset,
    estimator: Estimator,
    rules: FitRules,
    ledger: str = "",
    done: Iterable[int] = (),
    asked: Candidates | None = None,
    block_ms: int = BLOCK_MS,
    challenger: Estimator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Walk:
    """Judge candidates block by block, each by a model fitted on what was known before the block.

    Parameters
    ----------
    dataset : Dataset
        All finished candidates.
    estimator : Estimator
    rules : FitRules
    ledger : str
        Name of the ledger the predictions belong to.
    done : iterable of int
        Signal ids that are in the ledger already. A block without new candidates costs nothing; one with late or new
        ones is fitted again, to the same bytes, for these alone.
    asked : Candidates, optional
        Who is to be judged, filled or not; the dataset's rows where not given.
    block_ms : int
        Length of a block: four weeks to fill in the past, one week to go on week by week.
    challenger : Estimator, optional
        Fitted beside it on the same rows; a ridge logistic regression where not given.
    progress : callable, optional
        Told how many blocks are done, of how many.

    Notes
    -----
    A training row has ``known_ms < block start - 1 h``. A block before which there is too little to learn from is left
    out.
    """
    everyone = dataset.candidates() if asked is None else asked
    fresh = np.flatnonzero(~everyone.rows["signal_id"].isin(list(done)).to_numpy())
    who = everyone.take(fresh)
    decided = who.rows["decided_ms"].to_numpy(dtype=np.int64)
    known = dataset.ints("known_ms")
    rival = Logistic() if challenger is None else challenger
    predictions, told = [], []
    splits = list(blocks_of(decided, decided, block_ms))
    for number, block in enumerate(splits):
        past = dataset.take(np.flatnonzero(known < block.start_ms - GAP_MS))
        if _is_enough(past, rules):
            name = f"walk-forward {format_ms(block.start_ms)[:10]}"
            here = who.take(block.test)
            fitted, beside = fit_model(past, estimator, rules), fit_model(past, rival, rules)
            judged = _judge(fitted, name, here)
            predictions.append(_to_predictions(judged, here, ledger, name, fitted.train_max_t1))
            told.append(_to_block(judged, _judge(beside, name, here), here, dataset, name, block.start_ms, fitted))
        if progress is not None:
            progress(number + 1, len(splits))
    return Walk(
        pd.concat(predictions, ignore_index=True) if predictions else empty_frame(PREDICTIONS),
        pd.concat(told, ignore_index=True) if told else empty_frame(BLOCKS),
    )


def _is_enough(past: Dataset, rules: FitRules) -> bool:
    return past.n_eff >= rules.least_n_eff and len(np.unique(past.floats("won"))) == 2


def _judge(fitted: Fitted, name: str, who: Candidates) -> Judged:
    plan = {column: who.rows[column].to_numpy(dtype=np.float64) for column in ("stop_frac", "rr1", "rr2", "cost_r")}
    words = {column: who.rows[column].to_numpy(dtype=object) for column in ("timeframe", "direction")}
    return fitted.model(name).judge(who.vectors, **plan, **words)


def _to_predictions(judged: Judged, who: Candidates, ledger: str, name: str, train_max_t1: int) -> pd.DataFrame:
    parts = ("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r")
    columns = {
        "signal_id": who.rows["signal_id"].array,
        "ledger": ledger,
        "model": name,
        "train_max_t1": train_max_t1,
        **{part: getattr(judged, part) for part in parts},
    }
    predictions = frame_of(columns, len(judged), PREDICTIONS)
    return predictions[np.isfinite(judged.ev_r)].reset_index(drop=True)


def _to_block(
    judged: Judged, rival: Judged, who: Candidates, dataset: Dataset, name: str, start_ms: int, fitted: Fitted
) -> pd.DataFrame:
    place = pd.Index(dataset.ints("signal_id")).get_indexer(pd.Index(who.rows["signal_id"]))
    closed = (place >= 0) & np.isfinite(judged.p)
    won = dataset.floats("won")[place[closed]]

    def loss(p: FloatArray) -> float:
        return float(log_losses(p[closed], won).mean()) if closed.any() else float("nan")

    columns = {
        "model": name,
        "start_ms": start_ms,
        "n_train": fitted.n,
        "n_eff_train": fitted.n_eff,
        "n": len(judged),
        "n_closed": int(closed.sum()),
        "log_loss": loss(judged.p),
        "log_loss_geometry": loss(judged.p_geo),
        "log_loss_challenger": loss(rival.p),
    }
    return frame_of(columns, 1, BLOCKS)
