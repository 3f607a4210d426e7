"""What was in force at a decision judges it; a model that cannot be read or asked passes nothing, and says so once."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import app
from core.clock import DAY_MS
from core.config import load_config
from core.errors import ConfigError, StoreError
from core.exits.fixed_r import FixedR
from core.gate import Model
from core.jobs import scan
from core.jobs._desk import Desk
from core.jobs._gating import Court, gating_text, load_model, newest_champion, note_gating
from core.pipeline import ask
from core.schema import OPINIONS, FloatArray, frame_of
from tests.explained import BTC, CROWNED_MS, END_MS, EXCHANGE, LIVE_MS, TIMEFRAME, World, open_world, write_world
from tests.judged import fill_in, undecided


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """The configuration of a database with candidates and vectors; not to be written to."""
    config = undecided(tmp_path_factory.mktemp("scanned"), world)
    with open_world(config) as desk:
        fill_in(desk)
    return config


@pytest.fixture
def desk(tmp_path: Path, scanned: Path) -> Iterator[Desk]:
    shutil.copytree(scanned.parent, tmp_path / "world")
    config = tmp_path / "world" / "config.yaml"
    config.write_text(config.read_text("utf-8").replace(str(scanned.parent), str(config.parent)), encoding="utf-8")
    with open_world(config) as opened:
        yield opened


def candidates(desk: Desk, since_ms: int = CROWNED_MS) -> tuple[pd.DataFrame, FloatArray]:
    """Return stored candidates decided from a time on with their vectors."""
    signals = desk.reader.signals(start_ms=since_ms).sort_values("id").reset_index(drop=True)
    assert desk.features is not None
    ids, vectors = desk.reader.features(desk.features.id, signals["id"].tolist())
    assert ids.tolist() == signals["id"].tolist() and len(ids) > 20
    return signals, vectors


def damaged(folder: Path) -> None:
    (folder / "words.json").write_text("{}", encoding="utf-8")


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def foreign(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


SPOILT: dict[str, Callable[[Path], None]] = {"damaged": damaged, "gone": gone, "foreign": foreign}


@pytest.mark.parametrize("how", SPOILT)
def test_a_model_that_cannot_be_read_abstains_says_so_once_and_comes_back_when_mended(
    desk: Desk, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(desk.config.models.meta.model_path) / newest_champion(desk)
    shutil.copytree(folder, tmp_path / "back-up")
    SPOILT[how](folder)
    signals, vectors = candidates(desk)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            decisions = Court(desk).judge(signals, vectors)
    assert set(decisions["verdict"]) == {"ABSTAIN"} and set(decisions["reason"]) == {"MODEL_UNREADABLE"}
    assert set(decisions["model_version"]) == {folder.name} and decisions["ml_p"].isna().all()
    assert len(caplog.records) == 1 and "its candidates are ABSTAIN" in caplog.text
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "back-up", folder)
    assert "ABSTAIN" not in set(Court(desk).judge(signals, vectors)["verdict"])


class Messenger:
    name = "console"


@pytest.mark.parametrize("sound", [True, False])
def test_a_model_that_cannot_be_read_stops_no_scan_and_sends_nothing(tmp_path: Path, world: World, sound: bool) -> None:
    with open_world(undecided(tmp_path, world)) as desk:
        desk.notifiers["console"] = Messenger()  # type: ignore[assignment]
        desk.writer.set_scanned(EXCHANGE, BTC, TIMEFRAME, LIVE_MS)
        if not sound:
            damaged(Path(desk.config.models.meta.model_path) / world.version)
        report = asyncio.run(scan.run(desk, END_MS))
        signals, queued = desk.reader.signals(), desk.reader.outbox()
        assert report.ok and report.counts["signals"] == len(signals) > 20
        assert ("ABSTAIN" in set(signals["verdict"])) != sound
        assert (len(queued[queued["kind"] == "new_signal"]) > 0) == sound
        assert len(desk.reader.trades()) == len(signals)  # every candidate is played out, whatever its verdict
        assert (desk.reader.trades()["taken"] == 1).any() == sound


def known_as(desk: Desk, **change: Any) -> Model:
    """Have the model in force be another's, as far as its card goes."""
    version = newest_champion(desk)
    model = replace(load_model(desk, version), **change)
    desk.memory["models"] = {version: model}
    return model


@pytest.mark.parametrize("change", [{"feature_set": "fs-0123456789"}, {"plan_hash": "of-other-plans"}])
def test_a_model_of_other_features_or_plans_is_not_asked(desk: Desk, change: dict[str, str]) -> None:
    known_as(desk, **change)
    decisions = Court(desk).judge(*candidates(desk))
    assert set(decisions["verdict"]) == {"ABSTAIN"} and decisions["ml_p"].isna().all()


def test_of_several_plans_it_judges_those_it_learned(desk: Desk) -> None:
    signals, vectors = candidates(desk)
    mixed = signals.assign(plan_hash=np.where(np.arange(len(signals)) % 2, "another", signals["plan_hash"]))
    plain, decisions = Court(desk).judge(signals, vectors), Court(desk).judge(mixed, vectors)
    assert set(decisions["verdict"].iloc[1::2]) == {"ABSTAIN"}
    pd.testing.assert_frame_equal(decisions.iloc[::2], plain.iloc[::2], rtol=0, atol=1e-12)


def test_a_required_feature_that_is_not_known_is_named(desk: Desk) -> None:
    signals, vectors = candidates(desk)
    assert desk.features is not None
    vectors[3, desk.features.columns.index("geo_rr1")] = np.nan
    told = Court(desk).judge(signals, vectors).iloc[3]
    assert (told["verdict"], told["reason"]) == ("ABSTAIN", "MISSING_FEATURE:geo_rr1") and np.isnan(told["ml_p"])


def test_the_same_candidates_in_any_company_are_judged_alike(desk: Desk) -> None:
    signals, vectors = candidates(desk, since_ms=0)
    court = Court(desk)
    whole = court.judge(signals, vectors)
    parts = [court.judge(signals.iloc[[i]].reset_index(drop=True), vectors[[i]]) for i in range(0, len(signals), 7)]
    pd.testing.assert_frame_equal(
        pd.concat(parts, ignore_index=True), whole.iloc[::7].reset_index(drop=True), rtol=0, atol=1e-12
    )


def opinions(n: int, model: str) -> pd.DataFrame:
    numbers = dict.fromkeys(("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r"), 0.77)
    return frame_of({"model": model, "missing": "", "unreadable": 0, **numbers}, n, OPINIONS)


def test_what_was_said_out_of_sample_speaks_only_where_nobody_was_in_force(desk: Desk) -> None:
    signals, vectors = candidates(desk, since_ms=0)
    decisions = Court(desk).judge(signals, vectors, opinions(len(signals), "walk-forward"))
    before = (signals["decided_ms"] < CROWNED_MS).to_numpy()
    assert (
        set(decisions.loc[before, "model_version"]) == {"walk-forward"}
        and (decisions.loc[before, "ml_p"] == 0.77).all()
    )
    assert set(decisions.loc[~before, "model_version"]) == {newest_champion(desk)}


def test_before_anything_is_on_record_tuned_thresholds_do_not_hold(tmp_path: Path, world: World) -> None:
    pairs = {BTC: {TIMEFRAME: {"min_ev_pct": 0.5, "expires": "2099-01-01"}}}
    change = {"models": {"meta": {"gating": {"min_ev_pct": 0.1, "per_pair_tf": pairs}}}}
    with open_world(undecided(tmp_path, world, change, in_force=False)) as desk:
        rules, evidence, alarm = Court(desk).terms_at(END_MS)
        assert (rules.min_ev_pct, rules.per_pair_tf, evidence.slices, alarm) == (0.1, {}, {}, False)
        assert note_gating(desk, END_MS)
        assert Court(desk).terms_at(END_MS)[0].per_pair_tf[BTC][TIMEFRAME].min_ev_pct == 0.5
        assert Court(desk).terms_at(END_MS - 1)[0].per_pair_tf == {}


@pytest.mark.parametrize(("mode", "after"), [("show", "NO_EVIDENCE"), ("require", "NO_EVIDENCE"), ("off", "")])
def test_an_alarm_withdraws_the_evidence_from_then_on_and_its_end_gives_it_back(
    desk: Desk, mode: str, after: str
) -> None:
    gating = desk.config.models.meta.gating.model_copy(update={"evidence": mode})
    evidence = desk.reader.thresholds()["evidence"].iloc[-1]
    desk.writer.put_thresholds(CROWNED_MS, gating_text(gating), evidence, "user", "a test")
    signals, vectors = candidates(desk)
    plain = Court(desk).judge(signals, vectors)
    begins, ends = CROWNED_MS + 3 * DAY_MS, CROWNED_MS + 8 * DAY_MS
    desk.writer.put_drift(begins, "p", "alarm", 20.0, 100)
    desk.writer.put_drift(begins + DAY_MS, "ev", "alarm", 20.0, 100)
    desk.writer.put_drift(ends - DAY_MS, "p", "clear", np.nan, 0)
    desk.writer.put_drift(ends, "ev", "clear", np.nan, 0)
    alarmed = Court(desk).judge(signals, vectors)
    inside = ((signals["decided_ms"] >= begins) & (signals["decided_ms"] < ends)).to_numpy()
    assert inside.sum() > 5 and alarmed[~inside].equals(plain[~inside])
    if after:
        assert set(alarmed.loc[inside, "verdict"]) == {after} and set(alarmed.loc[inside, "reason"]) == {"DRIFT"}
    else:
        assert alarmed.loc[inside, "verdict"].equals(plain.loc[inside, "verdict"])


def filtered(desk: Desk, name: str, **bounds: float) -> Desk:
    """Return the desk under a configuration with one hard filter."""
    path = Path(desk.config.app.db_path).with_name("config.yaml")
    overlay = path.with_name("overlay.yaml")
    overlay.write_text(json.dumps({"signals": {"filters": {name: bounds}}}), encoding="utf-8")
    return replace(desk, config=load_config(path, {}, [overlay]), memory={})


def test_a_hard_filter_refuses_whatever_the_model_says(desk: Desk) -> None:
    signals, vectors = candidates(desk, since_ms=0)
    assert desk.features is not None
    value = vectors[:, desk.features.columns.index("trend_adx")]
    bound = float(np.nanmedian(value))
    plain = Court(desk).judge(signals, vectors)
    decisions = Court(filtered(desk, "trend_adx", min=bound)).judge(signals, vectors)
    refused = ~(value >= bound)
    assert 0 < refused.sum() < len(refused)
    assert set(decisions.loc[refused, "verdict"]) == {"FILTERED"}
    assert set(decisions.loc[refused, "reason"]) == {"FEATURE_OUT_OF_RANGE:trend_adx"}
    assert decisions[~refused].equals(plain[~refused])
    np.testing.assert_array_equal(decisions["ml_p"], plain["ml_p"])


def test_a_filter_by_something_that_is_no_feature_names_the_nearest(desk: Desk) -> None:
    config = filtered(desk, "trend_adxx", min=20.0).config
    with pytest.raises(ConfigError, match=r"signals\.filters\.trend_adxx: not a feature; did you mean 'trend_adx'\?"):
        app.build_features(config)


def test_with_models_switched_off_everything_is_ungated(desk: Desk) -> None:
    meta = desk.config.models.meta.model_copy(update={"enabled": False})
    models = desk.config.models.model_copy(update={"meta": meta})
    off = replace(desk, config=desk.config.model_copy(update={"models": models}), features=None)
    signals, _ = candidates(desk)
    decisions = Court(off).judge(signals, np.empty((len(signals), 0)), opinions(len(signals), "walk-forward"))
    assert set(decisions["verdict"]) == {"UNGATED"} and set(decisions["reason"]) == {"DISABLED"}


def test_thresholds_of_another_program_are_one_line(desk: Desk) -> None:
    desk.writer.put_thresholds(END_MS, '{"use_ev": "perhaps"}', "{}", "user", "a test")
    with pytest.raises(StoreError, match="thresholds 2: not as this program writes them"):
        Court(desk)


def test_a_fee_that_rises_never_makes_more_pass(desk: Desk) -> None:
    signals, vectors = candidates(desk)
    model = load_model(desk, newest_champion(desk))
    dearer = replace(desk.costs, taker_pct=desk.costs.taker_pct + 0.05, maker_pct=0.05)
    before, after = (ask(model, signals, vectors, costs)["ev_r"] for costs in (desk.costs, dearer))
    assert (after < before).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda desk: {"exit_policy": FixedR(r=8.0)},
        lambda desk: {"rules": replace(desk.rules, fill="through")},
        lambda desk: {"costs": replace(desk.costs, taker_pct=desk.costs.taker_pct + 0.05)},
    ],
    ids=["exits", "fills", "costs"],
)
def test_a_model_that_has_learned_of_other_trades_than_are_played_abstains_and_says_so_once(
    desk: Desk, caplog: pytest.LogCaptureFixture, change: Callable[[Desk], dict[str, Any]]
) -> None:
    signals, vectors = candidates(desk)
    assert "ABSTAIN" not in set(Court(desk).judge(signals, vectors)["verdict"])
    other = replace(desk, memory={}, **change(desk))
    for _ in range(2):
        decisions = Court(other).judge(signals, vectors)
        assert set(decisions["verdict"]) == {"ABSTAIN"} and decisions["ev_pct"].isna().all()
    assert [record.getMessage() for record in caplog.records if "made for other" in record.getMessage()] == [
        f"model {newest_champion(desk)}: made for other features, exits or costs than those in force; after "
        "`python retro_scan.py`, `python train_meta.py` makes one for these; its candidates are ABSTAIN"
    ]
