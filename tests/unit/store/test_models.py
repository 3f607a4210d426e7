"""Models, thresholds and alarms: in force from a time on, and never rewritten."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

from core.errors import StoreError
from core.store._columns import DRIFT, MODELS, REIGNS, THRESHOLDS
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import START_MS

ROOT = Path(__file__).parents[3]
SHA = "a" * 64


def put_model(writer: Writer, version: str, **values: Any) -> None:
    plain = {"created_ms": START_MS, "train_max_t1": START_MS - 1, "plan_hash": "plan0001", "exit_policy": "tp1@1"}
    row = {"card_json": "{}", **plain, "feature_set": "fs-1", "sha256": SHA, **values}
    writer.put_model(version, row.pop("card_json"), **row)


def states(reader: Reader) -> dict[str, str]:
    frame = reader.models()
    return dict(zip(frame["version"], frame["state"], strict=True))


# -- models and reigns


def test_models_come_back_with_their_cards(writer: Writer, reader: Reader) -> None:
    put_model(writer, "m2", created_ms=START_MS + 5, card_json='{"n": 2}')
    put_model(writer, "m1", created_ms=START_MS + 1)
    frame = reader.models()
    assert list(frame.columns) == list(MODELS)
    assert frame[["version", "state", "sha256"]].values.tolist() == [["m1", "candidate", SHA], ["m2", "candidate", SHA]]
    assert json.loads(reader.model_card("m2") or "") == {"n": 2}
    assert reader.model_card("m3") is None


def test_a_version_is_one_model(writer: Writer, reader: Reader) -> None:
    put_model(writer, "m1")
    put_model(writer, "m1", created_ms=np.int64(START_MS))
    with pytest.raises(StoreError, match="m1: there is another one of that version"):
        put_model(writer, "m1", sha256="b" * 64)
    with pytest.raises(StoreError, match="CHECK"):
        put_model(writer, "m2", card_json="{")
    assert states(reader) == {"m1": "candidate"}


def test_a_crown_passes_on_and_can_be_given_back(writer: Writer, reader: Reader) -> None:
    for version in ("m1", "m2", "m3"):
        put_model(writer, version)
    assert writer.crown("m1", 10, "first")
    assert states(reader) == {"m1": "champion", "m2": "candidate", "m3": "candidate"}
    assert writer.crown("m2", 20, "better")
    assert states(reader) == {"m1": "previous", "m2": "champion", "m3": "candidate"}
    assert writer.crown("m3", 30, "better")
    assert states(reader) == {"m1": "retired", "m2": "previous", "m3": "champion"}
    assert writer.crown("m2", 40, "rollback")
    assert states(reader) == {"m1": "retired", "m2": "champion", "m3": "previous"}
    assert not writer.crown("m2", 50, "again")
    assert writer.crown(None, 60, "cannot be verified")
    assert states(reader) == {"m1": "retired", "m2": "previous", "m3": "retired"}
    assert not writer.crown(None, 70, "again")
    assert writer.crown("m1", 80, "an old one")
    assert states(reader) == {"m1": "champion", "m2": "previous", "m3": "retired"}
    frame = reader.reigns()
    assert list(frame.columns) == list(REIGNS)
    assert frame["version"].tolist() == ["m1", "m2", "m3", "m2", "", "m1"]


def test_the_champion_of_a_time_is_the_one_that_was_in_force_then(writer: Writer, reader: Reader) -> None:
    put_model(writer, "m1")
    put_model(writer, "m2")
    assert reader.champion_at(10**15) == ""
    writer.crown("m1", 10, "first")
    writer.crown("m2", 20, "at once")
    writer.crown(None, 20, "withdrawn at the same moment")
    writer.crown("m1", 30, "back")
    asked = (9, 10, 19, 20, 29, 30, 99)
    assert [reader.champion_at(ms) for ms in asked] == ["", "m1", "m1", "", "", "m1", "m1"]
    frame = reader.reigns()
    places = np.searchsorted(frame["since_ms"], asked[1:], "right") - 1
    assert frame["version"].to_numpy()[places].tolist() == [reader.champion_at(ms) for ms in asked[1:]]


def test_a_reign_cannot_begin_in_the_past_and_then_nothing_is_changed(writer: Writer, reader: Reader) -> None:
    put_model(writer, "m1")
    put_model(writer, "m2")
    writer.crown("m1", 20, "first")
    with pytest.raises(StoreError, match="reigns: begins at 19, before the last row at 20"):
        writer.crown("m2", 19, "late")
    assert states(reader) == {"m1": "champion", "m2": "candidate"}
    with pytest.raises(StoreError, match=r"m7: not recorded; did you mean 'm1'|m7: not recorded; valid: m1, m2"):
        writer.crown("m7", 30, "typo")
    assert len(reader.reigns()) == 1


def test_a_refused_model_is_retired_and_one_in_force_is_not(writer: Writer, reader: Reader) -> None:
    put_model(writer, "m1")
    put_model(writer, "m2")
    writer.crown("m1", 10, "first")
    writer.retire("m2")
    assert states(reader) == {"m1": "champion", "m2": "retired"}
    with pytest.raises(StoreError, match="m1: is in force"):
        writer.retire("m1")


@pytest.mark.parametrize("table", ["reigns", "thresholds", "drift"])
def test_what_was_in_force_is_neither_changed_nor_deleted_nor_dated_back(writer: Writer, table: str) -> None:
    put_model(writer, "m1")
    writer.crown("m1", 20, "first")
    writer.put_thresholds(20, "{}", "{}", "user")
    writer.put_drift(20, "p", "alarm", 1.0, 5)
    begins = "ms" if table == "drift" else "since_ms"
    copied = [
        row[1] for row in writer._connection.execute(f"PRAGMA table_info({table})") if row[1] not in ("id", begins)
    ]
    for statement, expected in (
        (f"UPDATE {table} SET {begins} = 5", "never changed"),
        (f"DELETE FROM {table}", "never deleted"),
        (
            f"INSERT INTO {table} ({begins}, {', '.join(copied)}) SELECT 5, {', '.join(copied)} FROM {table} LIMIT 1",
            "cannot begin before the last one",
        ),
    ):
        with pytest.raises(apsw.ConstraintError, match=expected):
            writer._connection.execute(statement)


# -- thresholds and drift


def test_thresholds_are_kept_row_by_row(writer: Writer, reader: Reader) -> None:
    assert writer.put_thresholds(10, '{"a": 1}', "{}", "user", "first seen") == 1
    assert writer.put_thresholds(20, '{"a": 2}', '{"n": 412}', "tune") == 2
    assert writer.put_thresholds(20, '{"a": 1}', "{}", "rollback") == 3
    frame = reader.thresholds()
    assert list(frame.columns) == list(THRESHOLDS)
    assert frame["origin"].tolist() == ["user", "tune", "rollback"]
    assert reader.thresholds(limit=2)["id"].tolist() == [3, 2]
    assert reader.thresholds_at(9) is None
    row = reader.thresholds_at(19)
    assert row is not None
    assert (row.id, row.since_ms, row.origin, row.gating, row.evidence, row.note) == (
        1, 10, "user", '{"a": 1}', "{}", "first seen",
    )  # fmt: skip
    now = reader.thresholds_at(20)
    assert now is not None
    assert now.id == 3


def test_thresholds_that_cannot_be_read_again_are_refused(writer: Writer, reader: Reader) -> None:
    for gating, evidence, origin in (("{", "{}", "user"), ("{}", "nothing", "user"), ("{}", "{}", "me")):
        with pytest.raises(StoreError, match="CHECK"):
            writer.put_thresholds(10, gating, evidence, origin)
    writer.put_thresholds(10, "{}", "{}", "user")
    with pytest.raises(StoreError, match="thresholds: begins at 9, before the last row at 10"):
        writer.put_thresholds(9, "{}", "{}", "tune")
    assert len(reader.thresholds()) == 1


def test_drift_is_told_as_of_a_time(writer: Writer, reader: Reader) -> None:
    assert writer.put_drift(10, "p", "clear", 0.5, 10)
    assert not writer.put_drift(11, "p", "clear", 0.6, 11)
    assert writer.put_drift(20, "p", "alarm", 22.5, 90, "three weeks of losses")
    assert writer.put_drift(15, "r", "alarm", np.nan, 80)
    assert writer.put_drift(30, "p", "clear", 0.0, 0)

    def state(ms: int) -> dict[str, str]:
        frame = reader.drift_at(ms)
        return dict(zip(frame["statistic"], frame["state"], strict=True))

    assert list(reader.drift_at(9).columns) == list(DRIFT)
    asked = (9, 10, 15, 20, 29, 30)
    assert [state(ms) for ms in asked] == [
        {},
        {"p": "clear"},
        {"p": "clear", "r": "alarm"},
        {"p": "alarm", "r": "alarm"},
        {"p": "alarm", "r": "alarm"},
        {"p": "clear", "r": "alarm"},
    ]
    assert reader.drift("p")["ms"].tolist() == [10, 20, 30]
    assert reader.drift(limit=2)["ms"].tolist() == [30, 15]
    assert reader.drift().loc[1, "detail"] == "three weeks of losses"
    with pytest.raises(StoreError, match="drift of p: begins at 29, before the last row at 30"):
        writer.put_drift(29, "p", "alarm", 22.5, 90)


# -- whole or not at all

CROWN_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from core.store.writer import Writer
from tests.unit.store.samples import signals
from tests.unit.store.test_models import put_model
with Writer(Path(sys.argv[1])) as writer:
    writer.put_feature_set("fs-1", ["a", "b"])
    done = len(writer.reader.reigns())
    while True:
        done += 1
        with writer.transaction():
            placed = writer.put_signals(signals(*({"key": f"{done}-{i}"} for i in range(20))))
            writer.put_features("fs-1", placed["id"].to_numpy(), np.full((20, 2), float(done)))
        put_model(writer, f"m{done}")
        writer.crown(f"m{done}", done, "next")
        print(done, flush=True)
"""


def test_after_a_kill_model_and_reign_agree_and_vectors_are_whole(path: Path) -> None:
    for round_number in range(3):
        script = [sys.executable, "-c", CROWN_FOR_EVER, str(path)]
        process = subprocess.Popen(script, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.05 + 0.07 * round_number)
        process.kill()
        promised = int((first + process.stdout.read()).split()[-1])
        process.stdout.close()
        process.wait()
        reader = Reader(path)
        reigns = reader.reigns()
        assert len(reigns) >= promised
        assert reigns["version"].tolist() == [f"m{i + 1}" for i in range(len(reigns))]
        found = states(reader)
        assert [name for name, state in found.items() if state == "champion"] == [reader.champion_at(10**15)]
        assert sum(state == "previous" for state in found.values()) == (len(reigns) > 1)
        ids, vectors = reader.features("fs-1")
        assert len(ids) == len(reader.signals(columns=["id"])) >= 20 * promised
        assert np.array_equal(vectors[:, 0], (ids - 1) // 20 + 1)
        assert reader.integrity() == []


def test_one_transaction_holds_a_models_whole_change(writer: Writer, reader: Reader) -> None:
    put_model(writer, "m1")
    with pytest.raises(RuntimeError), writer.transaction():
        writer.crown("m1", 10, "first")
        writer.put_thresholds(10, "{}", "{}", "tune")
        writer.put_drift(10, "p", "clear", 0.0, 0)
        raise RuntimeError("half way")
    assert states(reader) == {"m1": "candidate"}
    assert (len(reader.reigns()), len(reader.thresholds()), len(reader.drift())) == (0, 0, 0)
