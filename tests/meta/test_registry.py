"""A10: who may take the champion's place, and what becomes of candidates when its files are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from core.errors import ModelError
from core.estimators.xgboost import XGBoost
from core.gate import Evidence, GateRules, Judged, Model
from core.pipeline import ask, judge, nobody
from core.schema import FloatArray, IntArray
from core.store import artefacts
from core.training.card import golden_rows, model_from_files, model_to_files
from core.training.dataset import Dataset
from core.training.fit import FitRules, Fitted, fit_model
from core.training.promote import compare
from core.training.splits import GAP_MS
from tests.label_worlds import GEOMETRY_COLUMNS, START_MS, WEEK_MS, LabelWorld, label_world
from tests.meta.bars import opened, sizes
from tests.meta_worlds import Place, in_parallel, make, terms

WEEKS = 104
NOW_MS = START_MS + WEEKS * WEEK_MS
SPAN = 8  # weeks a contest looks back
CONTESTED = 16  # weeks whose contests count
SEEDS = range(31, 35)
HONEST = 0.8  # of them
OVERFIT_ROWS = 150
CHALLENGERS = ("sign-flipped", "overfit", "gated-only")


@pytest.mark.accept
def test_only_an_honest_retrain_takes_the_champions_place() -> None:
    with opened("A10") as bars:
        told = list(in_parallel(_contests, SEEDS, "A10"))
        honest = np.concatenate([one for one, _ in told])
        bars.least(f"honest weekly retrains promoted, of {len(honest)}", honest.mean(), HONEST, "{:.0%}")
        for name in CHALLENGERS:
            promoted = sum(others[name] for _, others in told)
            bars.most(f"{name} challengers promoted, of {len(SEEDS)}", promoted, 0, "{:.0f}")


def _contests(seed: int) -> tuple[npt.NDArray[np.bool_], dict[str, bool]]:
    """Return who wins: each week's honest retrain against whoever was in force, and three others at the end.

    A retrain that is refused leaves the champion in force for another week, as the weekly job does.
    """
    world = label_world(7_000, seed, edge=0.7, columns=12, weeks=WEEKS)
    won, t0, t1 = (world.rows[name].to_numpy() for name in ("won", "decided_ms", "known_ms"))
    starts = NOW_MS - WEEK_MS * np.arange(CONTESTED + SPAN, -1, -1)
    made = [_judged(_fitted(world, np.flatnonzero(t1 < start - GAP_MS)), world) for start in starts.tolist()]
    stored, walked = np.full(len(won), np.nan), np.full(len(won), np.nan)
    champion, promoted = 0, []
    for week, start in enumerate(starts.tolist()):
        if week > 0 and compare(won, stored, walked, t0, start).promoted:
            champion = week
        promoted.append(champion == week)
        inside = (t0 >= start) & (t0 < start + WEEK_MS)
        stored[inside], walked[inside] = made[champion].p[inside], made[week].p[inside]
    old = np.flatnonzero(t1 < NOW_MS - SPAN * WEEK_MS - GAP_MS)
    passed = old[made[CONTESTED].ev_r[old] > 0.0]
    others = {
        "sign-flipped": 1.0 - stored,
        "overfit": _overfit(world, old[-OVERFIT_ROWS:]),
        "gated-only": _judged(_fitted(world, passed), world).p,
    }
    return np.array(promoted[SPAN + 1 :]), {
        name: compare(won, stored, p, t0, NOW_MS).promoted for name, p in others.items()
    }


def _data(world: LabelWorld) -> Dataset:
    return Dataset.of(world.rows, world.vectors, world.columns, GEOMETRY_COLUMNS)


def _fitted(world: LabelWorld, rows: IntArray) -> Fitted:
    return fit_model(_data(world).take(rows), XGBoost(), FitRules())


def _overfit(world: LabelWorld, rows: IntArray) -> FloatArray:
    """Return what deep trees without restraint say that learned from the newest few outcomes."""
    eager = XGBoost(trees=300, depth=6, learning_rate=0.3, min_child_weight=0.5, l2=0.0)
    return eager.fit(_data(world).sample(rows)).score(world.vectors).p_raw


def _judged(fitted: Fitted, world: LabelWorld) -> Judged:
    plan = {name: world.rows[name].to_numpy() for name in ("stop_frac", "rr1", "rr2", "cost_r")}
    words = {name: world.rows[name].to_numpy(dtype=object) for name in ("timeframe", "direction")}
    return fitted.model("m").judge(world.vectors, **plan, **words)


@sizes("place", Place("edge", seed=1, days=365, symbols=2), Place("edge", seed=1))
def test_a_damaged_model_makes_candidates_abstain_and_nothing_fall_over(place: Place, tmp_path: Path) -> None:
    with opened("A10") as bars:
        made = make(place)
        version, sha256 = _published(place, tmp_path)
        signals, vectors = made.signals.tail(50).reset_index(drop=True), made.vectors[-50:]
        model = model_from_files(version, artefacts.load(tmp_path, version, sha256))[0]
        sound = judge(signals, ask(model, signals, vectors, terms().costs), GateRules(), Evidence(), False, True)
        abstained, tried = 0, 0
        for file in sorted((tmp_path / version).iterdir()):
            whole = file.read_bytes()
            for data in _damaged(whole):
                _replace(file, data)
                verdicts = _verdicts(tmp_path, version, sha256, signals, vectors)
                abstained += int((verdicts == "ABSTAIN").all())
                tried += 1
            _replace(file, whole)
        again = _verdicts(tmp_path, version, sha256, signals, vectors)
        bars.holds("whole files: nobody abstains", not (sound["verdict"] == "ABSTAIN").any())
        bars.most(f"damages, of {tried}, after which anything but ABSTAIN is said", tried - abstained, 0, "{:.0f}")
        bars.holds("restored files: the same verdicts again", again.tolist() == sound["verdict"].tolist())


def _published(place: Place, folder: Path) -> tuple[str, str]:
    data = make(place).dataset()
    estimator = XGBoost(trees=30)
    model: Model = fit_model(data, estimator, terms().fit).model("", required=data.columns[5:6])
    version, _, files = model_to_files(model, estimator, {"golden": golden_rows(model, data.vectors)})
    return version, artefacts.publish(folder, version, files)


def _damaged(whole: bytes) -> list[bytes | None]:
    """Return a file with a bit flipped at its start, middle and end, cut short, longer, empty, foreign, and gone."""
    flipped = []
    for at in (0, len(whole) // 2, len(whole) - 1):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1
        flipped.append(bytes(spoiled))
    return [*flipped, whole[: len(whole) // 2], whole + b"\n", b"", b"{}", None]


def _replace(file: Path, data: bytes | None) -> None:
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)


def _verdicts(folder: Path, version: str, sha256: str, signals: object, vectors: FloatArray) -> np.ndarray:
    """Return the verdicts under a model that may not be readable; any other error than its own is a failure."""
    try:
        model = model_from_files(version, artefacts.load(folder, version, sha256))[0]
        opinions = ask(model, signals, vectors, terms().costs)
    except ModelError as error:
        assert "\n" not in str(error)
        opinions = nobody(len(signals), unreadable=version)
    return judge(signals, opinions, GateRules(), Evidence(), False, True)["verdict"].to_numpy(object)


def test_what_is_not_a_model_at_all_is_refused_in_one_line() -> None:
    for files in ({}, {"card.json": b"[]"}, {"card.json": b"{}", "words.json": b"{}"}):
        with pytest.raises(ModelError) as refusal:
            model_from_files("m1", files)
        assert "\n" not in str(refusal.value)
