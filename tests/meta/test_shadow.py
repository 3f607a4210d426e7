"""A8 and A10 in the live cycle: a shut gate or a damaged model changes what is taken, never what is played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from core.estimators.logistic import Logistic
from core.features import feature_set
from core.jobs._book import policy_id
from core.jobs._desk import Desk
from core.jobs._learning import plans_of, publish
from core.training.card import golden_rows
from core.training.fit import FitRules, fit_model
from tests.desks import BTC, minutes, open_desk, play, tape_market
from tests.factories import START_MS
from tests.meta.bars import opened
from tests.meta_worlds import Place, make

HOURS = 10
PLAYED = ("status", "opened_ms", "closed_ms", "known_ms", "fill_price", "exit_price", "exit_reason", "pnl_pct")
WORLD = Place("edge", seed=1, days=365, symbols=2)


def test_in_the_live_cycle_outcomes_grow_one_for_one_with_candidates(tmp_path: Path) -> None:
    with opened("A8") as bars:
        free = _recorded(tmp_path / "free", {"enabled": False})
        shut = _recorded(tmp_path / "shut", {"gating": {"evidence": "require"}}, in_force="sound")
        bars.holds("a shut gate passes nobody", set(shut["verdict"]) == {"NO_EVIDENCE"} and shut["taken"].sum() == 0)
        bars.holds("while without it some are taken", bool(free["taken"].sum() > 0))
        bars.holds(f"{len(shut)} candidates, as many trades, played alike", _alike(free, shut))
    with opened("A10") as bars:
        for damage in ("flipped", "gone"):
            rows = _recorded(tmp_path / damage, {}, in_force=damage)
            bars.holds(f"a model file {damage}: all ABSTAIN", set(rows["verdict"]) == {"ABSTAIN"})
            bars.holds(f"a model file {damage}: played alike", _alike(free, rows))


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    names = ["key", *PLAYED]
    return len(one) > 40 and one[names].equals(other[names]) and not one["status"].isna().any()


def _recorded(folder: Path, meta: dict[str, Any], in_force: str = "") -> pd.DataFrame:
    """Play a tape through the live cycle; return each candidate with its verdict and its trade."""
    with _desk(folder, meta) as desk:
        if in_force:
            version = _crowned(desk)
            _damage(folder / "models" / version, in_force)
        play(desk)
        signals, trades = desk.reader.signals(), desk.reader.trades(exit_policy=policy_id(desk))
    assert trades["signal_id"].is_unique
    rows = signals[["id", "key", "verdict"]].merge(trades, how="left", left_on="id", right_on="signal_id")
    return rows.sort_values("key", ignore_index=True)


@contextmanager
def _desk(folder: Path, meta: dict[str, Any]) -> Iterator[Desk]:
    market = tape_market({BTC: minutes(HOURS)}, step_min=30)
    desk = open_desk(folder, market, {"models": {"meta": {"model_path": str(folder / "models"), **meta}}})
    desk.features = feature_set() if desk.config.models.meta.enabled else None
    yield desk
    desk.writer.close()


def _crowned(desk: Desk) -> str:
    """Put a model in force that was learned from a generated market."""
    data, estimator = make(WORLD).dataset(), Logistic()
    words = {"feature_set": feature_set().id, "plan_hash": ",".join(plans_of(desk)), "exit_policy": policy_id(desk)}
    model = fit_model(data, estimator, FitRules()).model("", **words)
    version, _ = publish(desk, model, estimator, {"golden": golden_rows(model, data.vectors)}, START_MS)
    desk.writer.crown(version, START_MS, "a test")
    return version


def _damage(folder: Path, how: str) -> None:
    files = [one for one in folder.iterdir() if one.name.startswith("estimator-")]
    largest = max(files, key=lambda one: one.stat().st_size)
    if how == "gone":
        largest.unlink()
    elif how == "flipped":
        spoiled = bytearray(largest.read_bytes())
        spoiled[len(spoiled) // 2] ^= 1
        largest.write_bytes(spoiled)
