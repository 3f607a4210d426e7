"""Models and thresholds on record: told in words, changed by hand, and taken back as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ModelError, UsageError
from core.gate import Calibrator
from core.jobs import registry
from core.jobs._desk import Desk
from core.jobs._gating import Court, load_model, newest_champion
from core.jobs._learning import dataset_of, estimator_of, publish
from core.store import artefacts
from core.training.card import golden_rows
from tests.engine import trader
from tests.learned import END_MS, on_desk


def another(desk: Desk, b: float = 0.1) -> str:
    """Publish the model in force under another calibrator."""
    other = replace(load_model(desk, newest_champion(desk)), calibrator=Calibrator("platt", a=0.9, b=b, n_eff=300.0))
    facts = {"n": 12, "n_eff": 9.0, "golden": golden_rows(other, dataset_of(desk, END_MS).vectors)}
    return publish(desk, other, estimator_of(desk), facts, END_MS)[0]


def test_without_models_that_is_what_is_said(untrained: Path) -> None:
    with on_desk(untrained) as desk:
        assert registry.listed(desk).text.startswith("no model yet")


def test_models_are_listed_with_their_states_and_reigns(trained: Path) -> None:
    with on_desk(trained) as desk:
        first, second = newest_champion(desk), another(desk)
        registry.promoted(desk, second, END_MS)
        text = registry.listed(desk).text
    assert f"{first}  previous" in text and f"{second}  champion" in text and "skill shown" in text
    assert f"{first} (the first)" in text and f"{second} (put in force by hand)" in text


def test_a_card_is_shown_without_its_vectors(trained: Path) -> None:
    with on_desk(trained) as desk:
        told = json.loads(registry.shown(desk, newest_champion(desk)).text)
    assert told["n"] > 400 and told["libraries"]["numpy"] and "golden" not in told


def test_put_in_force_by_hand_it_holds_for_what_is_decided_next(trained: Path) -> None:
    with on_desk(trained) as desk:
        first, second = newest_champion(desk), another(desk)
        registry.promoted(desk, second, END_MS + 5)
        assert [Court(desk).champion_at(END_MS + ms) for ms in (5, 6)] == [first, second]
        assert "was already in force" in registry.promoted(desk, second, END_MS + 9).text
        assert len(desk.reader.reigns()) == 2


def test_at_a_time_before_the_last_reign_it_follows_that_one(trained: Path) -> None:
    with on_desk(trained) as desk:
        registry.promoted(desk, another(desk), END_MS - 1_000)
        assert desk.reader.reigns()["since_ms"].tolist() == [END_MS + 1, END_MS + 1]


def test_taken_back_the_model_before_is_in_force_byte_for_byte(trained: Path) -> None:
    with on_desk(trained) as desk:
        folder, first = desk.config.models.meta.model_path, newest_champion(desk)
        sha256 = str(desk.reader.models()["sha256"].iloc[0])
        before = artefacts.load(folder, first, sha256)
        second = another(desk)
        registry.promoted(desk, second, END_MS)
        assert registry.rolled_back(desk, END_MS).text == f"{first} is in force again"
        assert artefacts.load(folder, first, sha256) == before
        states = desk.reader.models().set_index("version")["state"]
        assert (states[first], states[second]) == ("champion", "previous")
        assert registry.rolled_back(desk, END_MS).text == f"{second} is in force again"


def test_the_commands_say_what_they_did_and_nothing_else(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with on_desk(trained) as desk:
        first, second = newest_champion(desk), another(desk)
    assert trader(trained, "model", "promote", second) == 0
    assert trader(trained, "model", "rollback") == 0
    assert capsys.readouterr().out == f"{second} is in force\n{first} is in force again\n"


def test_without_one_before_nothing_can_be_taken_back(trained: Path) -> None:
    with on_desk(trained) as desk, pytest.raises(UsageError, match="no model was in force before the one that is"):
        registry.rolled_back(desk, END_MS)


def test_a_version_that_cannot_be_heeded_takes_nothing_back(trained: Path) -> None:
    with on_desk(trained) as desk:
        first, second = newest_champion(desk), another(desk)
        registry.promoted(desk, second, END_MS)
    assert trader(trained, "model", "rollback", first) == 64
    with on_desk(trained) as desk:
        assert newest_champion(desk) == second


@pytest.mark.parametrize("action", ["promoted", "rolled_back"])
def test_a_model_whose_files_do_not_verify_is_not_put_in_force(trained: Path, action: str) -> None:
    with on_desk(trained) as desk:
        first, second = newest_champion(desk), another(desk)
        if action == "rolled_back":
            registry.promoted(desk, second, END_MS)
        spoilt = second if action == "promoted" else first
        (desk.config.models.meta.model_path / spoilt / "words.json").write_text("{}", encoding="utf-8")
        desk.memory.clear()
        reigns = desk.reader.reigns()
        with pytest.raises(ModelError, match="not as it was published"):
            registry.promoted(desk, second, END_MS) if action == "promoted" else registry.rolled_back(desk, END_MS)
        assert desk.reader.reigns().equals(reigns)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("model", "list"), 0, ""),
        (("model", "show"), 64, "name the version"),
        (("model", "promote"), 64, "name the version"),
        (("model", "show", "m2023"), 64, "model 'm2023' is not on record"),
        (("model", "promote", "nothing-like-it"), 64, "is not on record"),
        (("model", "rollback"), 64, "no model was in force before"),
        (("model", "rollback", "m2023"), 64, "takes no version; `trader model promote VERSION"),
        (("model", "list", "m2023"), 64, "takes no version; `trader model show VERSION"),
        (("model", "demote"), 64, "'demote' is not known"),
        (("thresholds", "list"), 0, ""),
        (("thresholds", "rollback"), 64, "no tuning is on record"),
        (("thresholds", "list", "--last", "0"), 64, "expected a whole number of at least 1"),
        (("tune-thresholds", "--mode", "pwinn"), 64, "'pwinn' is not known; valid: ev, p"),
        (("tune-thresholds", "--mode", "p", "--dry-run"), 0, ""),
        (("tune-thresholds", "--mode", "pwin", "--dry-run"), 0, ""),
        (("calibrate-meta", "--dry-run"), 0, ""),
        (("retro-scan", "--model", "m1999"), 64, "model 'm1999' is not on record"),
    ],
)
def test_commands_end_with_their_code_and_one_line(
    trained: Path, command: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = trader(trained, *command)
    except SystemExit as error:
        ended = int(error.code or 0)
    told = capsys.readouterr().err.strip()
    assert ended == code
    assert words in told and (code == 0 or len(told.splitlines()) == 1)


def test_a_version_misspelt_is_answered_with_the_nearest(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with on_desk(trained) as desk:
        version = newest_champion(desk)
    assert trader(trained, "model", "show", version[:-1] + "x") == 64
    assert f"did you mean '{version}'?" in capsys.readouterr().err


def test_thresholds_of_an_empty_database_are_none(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trader(untrained, "thresholds", "list") == 0
    out = capsys.readouterr().out
    assert "none on record yet" in out and "nothing to do" not in out


def test_thresholds_are_listed_the_newest_first_with_what_they_rest_on(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trader(trained, "tune-thresholds") == 0
    assert trader(trained, "thresholds", "rollback") == 0
    capsys.readouterr()
    assert trader(trained, "thresholds", "list", "--last", "1") == 0
    out = capsys.readouterr().out
    assert "by rollback (as before #1)" in out and "certified: nothing" in out and "by tune" not in out
    assert trader(trained, "thresholds", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "by rollback" in lines[0] and "by tune" in lines[1] and "certified: all" in lines[1]


def test_a_retro_scan_by_the_model_of_today_needs_one(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trader(untrained, "retro-scan", "--model", "current") == 1
    assert "no model is in force that could judge" in capsys.readouterr().err
