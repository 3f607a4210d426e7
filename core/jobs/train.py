"""Job `auto_train`: learn from all finished candidates; what was learned comes in force where it is no worse.

The law: every out-of-sample prediction is stored before anything is decided on it, and a challenger that is refused
leaves the champion as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd

from core.clock import monotonic_s
from core.errors import ModelError
from core.gate import Model
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court, load_model, newest_champion
from core.jobs._learning import (
    can_judge,
    candidates_of,
    dataset_of,
    estimator_of,
    features_of,
    fit_rules,
    ledger_of,
    plans_of,
    publish,
    tuning_rows,
)
from core.jobs._when import effective_ms
from core.training.card import golden_rows, origin_of
from core.training.dataset import Candidates, Dataset, require_enough
from core.training.fit import Fitted, fit_model
from core.training.promote import Comparison, compare, skill
from core.training.report import Learned, learned_words
from core.training.splits import BLOCK_MS, WEEK_MS
from core.training.walk import Walk, walk_forward

__all__ = ["run"]


async def run(
    desk: Desk, now_ms: int, live: bool = False, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Extend the out-of-sample ledger, fit a model, and put it in force where it may be.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time: outcomes known later do not count.
    live : bool
        Whether the market's time goes on meanwhile.
    progress : callable, optional
        Called with blocks of the walk-forward done, and those in all.

    Raises
    ------
    ModelError
        There is too little to learn from, or it cannot be learned from.
    """
    began_s = monotonic_s()
    dataset = dataset_of(desk, now_ms)
    require_enough(dataset, fit_rules(desk).min_n_eff)
    walk = _walk(desk, dataset, candidates_of(desk, now_ms), progress)
    desk.writer.put_predictions(walk.predictions)
    said = tuning_rows(desk, dataset, ledger_of(desk))
    won, p, p_geo = (said[name].to_numpy(np.float64) for name in ("won", "p", "p_geo"))
    shown = skill(won, p, p_geo, said["decided_ms"].to_numpy(np.int64), said["known_ms"].to_numpy(np.int64))
    fitted = fit_model(dataset, estimator_of(desk), fit_rules(desk))
    model = _model(desk, fitted, shown.shown)
    facts = {
        **origin_of(),
        "n": fitted.n,
        "n_eff": round(fitted.n_eff, 1),
        "from_ms": int(dataset.ints("decided_ms").min()),
        "to_ms": int(dataset.ints("decided_ms").max()),
        "calibration": fitted.report.to_json(),
        "skill_over_geometry": {name: _number(value) for name, value in dataclasses.asdict(shown).items()},
        "golden": golden_rows(model, dataset.vectors),
    }
    version, is_new = publish(desk, model, estimator_of(desk), facts, now_ms)
    champion = newest_champion(desk)
    golden = is_new and _reads_back(desk, version)
    contest = _contest(desk, dataset, said, now_ms, golden) if is_new and champion else None
    why = _why_crowned(desk, champion, contest) if golden else ""
    if why:
        desk.writer.crown(version, effective_ms(now_ms, began_s, live), why)
    elif is_new:
        desk.writer.retire(version)
    crowned = bool(why)
    told = Learned(fitted, walk.blocks, said, shown, contest, version, champion, is_new, crowned)
    counts = {"rows": len(dataset), "predictions": len(walk.predictions), "promoted": int(crowned)}
    return Report("auto_train", counts=counts, text="\n".join(learned_words(told)))


def _walk(desk: Desk, dataset: Dataset, asked: Candidates, progress: Callable[[int, int], None] | None) -> Walk:
    """Judge candidates that are not in the ledger yet: by blocks of four weeks the past, of one week from then on."""
    done = desk.reader.predictions(ledger_of(desk))["signal_id"]
    judged, decided = asked.rows["signal_id"].isin(done), asked.rows["decided_ms"]
    # What was decided before the first judged block never had enough before it, and is no backlog.
    fresh = decided[~judged & (decided > decided[judged].min())]
    is_going_on = len(fresh) > 0 and fresh.max() - fresh.min() < 2 * BLOCK_MS
    return walk_forward(
        dataset,
        estimator_of(desk),
        fit_rules(desk),
        ledger_of(desk),
        done.tolist(),
        asked,
        WEEK_MS if is_going_on else BLOCK_MS,
        progress=progress,
    )


def _model(desk: Desk, fitted: Fitted, shown: bool) -> Model:
    features = features_of(desk)
    return fitted.model(
        "",
        required=features.required,
        feature_set=features.id,
        plan_hash=",".join(plans_of(desk)),
        exit_policy=desk.exits,
        skill=shown,
    )


def _reads_back(desk: Desk, version: str) -> bool:
    """Say whether a model, read from its files, says again what it said when it was made."""
    try:
        load_model(desk, version)
    except ModelError as error:
        desk.log.error("%s", error)
        return False
    return True


def _why_crowned(desk: Desk, champion: str, contest: Comparison | None) -> str:
    """Return why a challenger comes in force; ``""`` where it does not."""
    if contest is None:
        return "the first"
    if contest.promoted:
        return f"challenger: {contest.mean_nats:+.4f} nats, {contest.n} results"
    try:
        judges = can_judge(desk, load_model(desk, champion))
    except ModelError:
        judges = False
    return "" if judges else f"{champion} cannot judge the candidates of today"


def _contest(desk: Desk, dataset: Dataset, said: pd.DataFrame, now_ms: int, golden: bool) -> Comparison:
    """Compare what was said by those in force at the time with what the challenger's like would have said."""
    rows = said[said["decided_ms"] >= now_ms - 2 * BLOCK_MS].reset_index(drop=True)
    signals = desk.reader.signals(ids=rows["signal_id"].tolist())
    place = pd.Index(dataset.ints("signal_id")).get_indexer(pd.Index(signals["id"]))
    told = Court(desk).opinions(signals, dataset.vectors[place]).set_index(signals["id"].to_numpy())["p"]
    return compare(
        rows["won"].to_numpy(np.float64),
        told.reindex(rows["signal_id"]).to_numpy(np.float64),
        rows["p"].to_numpy(np.float64),
        rows["decided_ms"].to_numpy(np.int64),
        now_ms,
        golden,
    )


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
