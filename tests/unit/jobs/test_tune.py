"""Thresholds with evidence: the file and the record change together or not at all, and nothing else is touched."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from core.cli.engine import refreshed
from core.clock import DAY_MS
from core.config import load_config
from core.config.rewrite import propose, replace
from core.errors import ConfigError, DiskError, TraderError
from core.gate import Evidence
from core.jobs import registry, tune
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court, gating_text, load_model, note_gating
from core.jobs._learning import dataset_of
from core.store.writer import Writer
from tests.engine import trader
from tests.learned import END_MS, on_desk


def run(desk: Desk, **asked: Any) -> Report:
    return asyncio.run(tune.run(desk, END_MS, **asked))


def pairs_in(config: Path) -> dict[str, Any]:
    pairs: dict[str, Any] = yaml.safe_load(config.read_text("utf-8"))["models"]["meta"]["gating"]["per_pair_tf"]
    return pairs


def test_it_writes_the_file_and_the_record_with_its_evidence(trained: Path) -> None:
    with on_desk(trained) as desk:
        report = run(desk)
        (row,) = desk.reader.thresholds().to_dict("records")
    found = load_config(trained, {}).models.meta.gating
    assert report.counts["certified"] >= 1 and pairs_in(trained)
    assert row["origin"] == "tune" and row["since_ms"] == END_MS + 1
    assert row["gating"] == gating_text(found)
    evidence = Evidence.from_json(json.loads(row["evidence"]))
    assert evidence.slices["all"].certified and evidence.tuned_ms == END_MS
    expires = {one.expires_ms for timeframes in found.per_pair_tf.values() for one in timeframes.values()}
    assert expires == {END_MS + 28 * DAY_MS}


def test_a_dry_run_writes_nothing(trained: Path) -> None:
    before = trained.read_bytes()
    with on_desk(trained) as desk:
        report = run(desk, dry_run=True)
        assert "would write into config.yaml" in report.text and "per_pair_tf" in report.text
        assert desk.reader.thresholds().empty
    assert trained.read_bytes() == before
    assert [path.name for path in trained.parent.iterdir() if path.name.startswith(".config")] == []


def test_by_probability_it_asks_for_the_target_win_rate(trained: Path) -> None:
    with on_desk(trained) as desk:
        report = run(desk, mode="p", dry_run=True)
        assert "won" in report.text and " R" not in report.text.split("would write")[0]


def test_without_skill_nothing_is_certified(trained: Path) -> None:
    with on_desk(trained) as desk:
        (version,) = desk.reader.models()["version"]
        desk.memory["models"] = {version: dataclasses.replace(load_model(desk, version), skill=False)}
        report = run(desk)
        assert report.counts["certified"] == 0 and "shows no skill" in report.text
    assert pairs_in(trained) == {}


class Meddling(Writer):
    """Somebody edits the file while the thresholds are recorded."""

    file: Path

    def put_thresholds(self, *args: Any, **named: Any) -> int:
        self.file.write_text(self.file.read_text("utf-8") + "# mine\n", encoding="utf-8")
        return super().put_thresholds(*args, **named)


class Full(Writer):
    """The disk is full when the transaction that holds a threshold is to be committed."""

    recorded = False

    def put_thresholds(self, *args: Any, **named: Any) -> int:
        number = super().put_thresholds(*args, **named)
        self.recorded = True
        return number

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            if self.recorded and self._transaction._depth == 1:
                raise DiskError("no space left")


def test_a_file_that_somebody_changes_meanwhile_is_left_as_it_is_and_nothing_recorded(trained: Path) -> None:
    before = trained.read_text("utf-8")
    with on_desk(trained) as desk, Meddling(desk.writer.path) as writer:
        writer.file = trained
        with pytest.raises(ConfigError, match="changed by somebody else meanwhile"):
            run(dataclasses.replace(desk, writer=writer, reader=writer.reader))
        assert desk.reader.thresholds().empty and desk.reader.drift().empty
    assert trained.read_text("utf-8") == before + "# mine\n"


def test_where_the_record_cannot_be_written_the_file_is_as_it_was(trained: Path) -> None:
    before = trained.read_bytes()
    with on_desk(trained) as desk, Full(desk.writer.path) as writer:
        with pytest.raises(DiskError):
            run(dataclasses.replace(desk, writer=writer, reader=writer.reader))
        assert desk.reader.thresholds().empty
    assert trained.read_bytes() == before


def test_a_link_to_the_file_stays_a_link(trained: Path) -> None:
    real = trained.rename(trained.with_name("real.yaml"))
    trained.symlink_to(real)
    with on_desk(trained) as desk:
        run(desk)
    assert trained.is_symlink() and pairs_in(real)


def test_an_override_that_has_expired_is_not_used(trained: Path) -> None:
    with on_desk(trained) as desk:
        run(desk)
        rules, evidence, _ = Court(desk).terms_at(END_MS + 1)
        signals = _of_slice(desk, "BTC/USDT:USDT", "15m")
        assert rules.per_pair_tf["BTC/USDT:USDT"]["15m"].expires_ms == END_MS + 28 * DAY_MS
        vectors = np.repeat(dataset_of(desk, END_MS).vectors[:1], 2, axis=0)
        decided = Court(desk).judge(signals, vectors)
        assert decided["threshold_source"].tolist() == ["per_pair_tf BTC/USDT:USDT 15m", "general"]
        assert evidence.slices["all"].says(100.0, END_MS + 28 * DAY_MS) == "EXPIRED"


def _of_slice(desk: Desk, symbol: str, timeframe: str) -> pd.DataFrame:
    signal = desk.reader.signals(symbol=symbol, timeframe=timeframe, limit=1)
    moments = [END_MS + 28 * DAY_MS - 1, END_MS + 28 * DAY_MS]
    return pd.concat([signal] * 2, ignore_index=True).assign(decided_ms=moments)


def test_an_alarm_ends_with_the_tuning(trained: Path) -> None:
    with on_desk(trained) as desk:
        desk.writer.put_drift(END_MS - DAY_MS, "ev", "alarm", 20.0, 100, "worse than said")
        run(desk)
        assert desk.reader.drift()["state"].tolist() == ["alarm", "clear"]
        assert [Court(desk).terms_at(ms)[2] for ms in (END_MS, END_MS + 1)] == [True, False]


def test_taking_it_back_restores_the_file_the_evidence_and_the_alarm(trained: Path) -> None:
    with on_desk(trained) as desk:
        note_gating(desk, END_MS - 2 * DAY_MS)
        desk.writer.put_drift(END_MS - DAY_MS, "ev", "alarm", 20.0, 100, "worse than said")
        before = load_config(trained, {}).models.meta.gating
        run(desk)
        assert load_config(trained, {}).models.meta.gating != before
        registry.thresholds_rolled_back(desk, END_MS)
        rows = desk.reader.thresholds()
        assert rows["origin"].tolist() == ["user", "tune", "rollback"]
        assert rows["gating"].iloc[2] == rows["gating"].iloc[0] and rows["evidence"].iloc[2] == rows["evidence"].iloc[0]
        assert Court(desk).terms_at(END_MS + 1)[2]
    assert load_config(trained, {}).models.meta.gating == before


def test_the_very_first_tuning_can_be_taken_back(trained: Path) -> None:
    with on_desk(trained) as desk:
        run(desk)
        registry.thresholds_rolled_back(desk, END_MS)
        assert not Evidence.from_json(json.loads(desk.reader.thresholds()["evidence"].iloc[-1])).slices
    assert pairs_in(trained) == {}


def test_where_taking_back_cannot_be_recorded_the_file_stays(trained: Path) -> None:
    with on_desk(trained) as desk:
        run(desk)
        tuned = trained.read_bytes()
        with Full(desk.writer.path) as writer, pytest.raises(DiskError):
            registry.thresholds_rolled_back(dataclasses.replace(desk, writer=writer, reader=writer.reader), END_MS)
        assert len(desk.reader.thresholds()) == 1
    assert trained.read_bytes() == tuned


def test_nothing_to_take_back_is_said(trained: Path) -> None:
    assert trader(trained, "thresholds", "rollback") == 64


def test_an_edit_by_hand_is_a_row_of_the_user_and_keeps_the_evidence(trained: Path) -> None:
    with on_desk(trained) as desk:
        run(desk)
    trained.write_text(trained.read_text("utf-8").replace("min_ev_pct: 0.0", "min_ev_pct: 0.1", 1), encoding="utf-8")
    with on_desk(trained) as desk:
        assert note_gating(desk, END_MS + DAY_MS) and not note_gating(desk, END_MS + 2 * DAY_MS)
        rows = desk.reader.thresholds()
        assert rows["origin"].tolist() == ["tune", "user"] and rows["since_ms"].iloc[1] == END_MS + DAY_MS
        assert rows["evidence"].iloc[0] == rows["evidence"].iloc[1]
        rules = [Court(desk).terms_at(ms)[0].min_ev_pct for ms in (END_MS + 1, END_MS + DAY_MS)]
        assert rules == [0.0, 0.1]


def test_an_edit_seen_while_a_tuning_is_about_to_begin_begins_with_it(trained: Path) -> None:
    with on_desk(trained) as desk:
        asyncio.run(tune.run(desk, END_MS, live=True))
        since = int(desk.reader.thresholds()["since_ms"].iloc[0])
    trained.write_text(trained.read_text("utf-8").replace("min_ev_pct: 0.0", "min_ev_pct: 0.1", 1), encoding="utf-8")
    with on_desk(trained) as desk:
        assert note_gating(desk, END_MS)
        assert desk.reader.thresholds()["since_ms"].tolist() == [since, since]


def test_a_scheduler_that_reads_the_file_between_its_writing_and_the_record_adds_no_row(trained: Path) -> None:
    """The file is there before the transaction that records it is committed: whoever reads it then waits for it."""
    opened, written, asked = threading.Event(), threading.Event(), threading.Event()
    told: list[bool] = []

    def scheduler() -> None:
        with on_desk(trained) as other:  # with a connection of its own, as another process has
            opened.set()
            written.wait(10)
            assert other.source is not None
            other.config = other.source.reload().config
            assert other.config.models.meta.gating.per_pair_tf
            asked.set()
            told.append(note_gating(other, END_MS + 2))

    beside = threading.Thread(target=scheduler)
    with on_desk(trained) as desk:
        assert desk.source is not None
        beside.start()
        assert opened.wait(10)
        pairs = {"BTC/USDT:USDT": {"1h": {"min_ev_pct": 0.2, "expires": "2099-01-01"}}}
        change = propose(desk.source, pairs)
        with desk.writer.transaction():
            text = gating_text(change.config.models.meta.gating)
            desk.writer.put_thresholds(END_MS + 1, text, "{}", "tune", "a test")
            replace(change)
            written.set()
            assert asked.wait(10)
            beside.join(0.3)
            assert beside.is_alive()  # it waits for what is about to be recorded
        beside.join(10)
        assert told == [False]
        assert desk.reader.thresholds()["origin"].tolist() == ["tune"]


def test_thresholds_that_cannot_be_noted_do_not_end_the_engine(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    with on_desk(trained) as desk, Full(desk.writer.path) as writer:
        assert desk.source is not None
        refreshed(dataclasses.replace(desk, writer=writer, reader=writer.reader), desk.source)
        assert "thresholds: no space left" in caplog.text and desk.reader.thresholds().empty
        refreshed(desk, desk.source)
        assert desk.reader.thresholds()["origin"].tolist() == ["user"]


def test_no_model_is_nothing_to_tune(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trader(untrained, "tune-thresholds") == 1
    assert capsys.readouterr().err.startswith("error: no model is in force")


def test_a_model_of_other_exits_or_costs_is_not_tuned_for(trained: Path) -> None:
    with on_desk(trained) as desk:
        (version,) = desk.reader.models()["version"]
        other = dataclasses.replace(load_model(desk, version), exit_policy="tp1_be_trail@0badcafe")
        desk.memory["models"] = {version: other}
        with pytest.raises(TraderError, match="made with other exits or costs than those in force"):
            run(desk)
