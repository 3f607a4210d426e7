"""What a model said live comes out again, from what it looked at to what was decided; what does not is explained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import app
from core.checks import parity
from core.checks._parity_verdicts import Judge
from core.cli._bench import bench_of
from core.clock import DAY_MS, HOUR_MS, timeframe_ms
from core.features import FeatureSet, Outcomes, Plans, View, feature_set
from core.features._base import Family
from core.features.trend import Trend
from core.gate import Evidence, GateRules
from core.jobs._candidates import scan_rules
from core.schema import Candles, FloatArray, Instrument
from core.store.reader import Reader
from core.store.writer import Writer
from tests import parities
from tests.engine import merged, trader, write_config
from tests.explained import DAYS, crown, found_on, open_world
from tests.explained import TIMEFRAME as LEARNED_ON
from tests.factories import START_MS, resampled, walk
from tests.parities import BTC, ETH, EXCHANGE, Counts, Told, change

TIMEFRAME, STEP_MS = "5m", timeframe_ms("5m")
PLAYED_DAYS = 7
CROWNED_MS = START_MS + 4 * DAY_MS  # by then every feature is known
END_MS = START_MS + PLAYED_DAYS * DAY_MS
FEATURES = feature_set()


def configured(home: Path, days: int = PLAYED_DAYS, changed: dict[str, Any] | None = None) -> Path:
    plain = {"models": {"meta": {"model_path": str(home / "models")}}}
    return write_config(home, merged(parities.tape(days, timeframes=[TIMEFRAME], **plain), changed or {}))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a tape was played through the live engine, from the fifth day on with a model in force."""
    home = tmp_path_factory.mktemp("judged")
    config = configured(home)
    with open_world(config, START_MS) as desk:
        desk.writer.put_instruments([Instrument(EXCHANGE, BTC, tick=0.1, lot=0.0001, min_notional=5.0)])
        _, vectors = found_on(desk, resampled(walk(DAYS, seed=11), LEARNED_ON))
        crown(desk, vectors, CROWNED_MS)
    assert trader(config, "run") == 0
    return home


@dataclass(frozen=True)
class Case:
    """A copy of the played record, to be tampered with."""

    home: Path
    config: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def database(self) -> Path:
        return self.home / "ohlcv.db"

    @property
    def reader(self) -> Reader:
        return Reader(self.database)

    def ask(self, config: Path | None = None) -> Told:
        return parities.ask(self.capsys, config or self.config)

    def signals(self, symbol: str = ETH, judged: bool = True) -> pd.DataFrame:
        """Return what was decided with a model in force, or without."""
        found = self.reader.signals(exchange=EXCHANGE, symbol=symbol)
        return found[(found["model_version"] != "") == judged].reset_index(drop=True)

    def vector(self, signal_id: int) -> FloatArray:
        return self.reader.features(FEATURES.id, [signal_id])[1][0].copy()

    def put_vector(self, signal_id: int, vector: FloatArray) -> None:
        text = "UPDATE features SET vector = ? WHERE signal_id = ?"
        change(self.database, (text, (vector.astype("<f8").tobytes(), int(signal_id))))


@pytest.fixture
def case(judged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Case:
    for path in judged.glob("ohlcv.db*"):
        shutil.copy(path, tmp_path / path.name)
    shutil.copytree(judged / "models", tmp_path / "models")
    return Case(tmp_path, configured(tmp_path), capsys)


_NUMBERED = (
    *(("signals", "id"), ("decisions", "signal_id"), ("features", "signal_id")),
    *(("trades", "signal_id"), ("trade_events", "signal_id")),
)


def with_columns(vector: FloatArray, values: dict[str, float]) -> FloatArray:
    for name, value in values.items():
        vector[FEATURES.columns.index(name)] = value
    return vector


# -- as it was


def test_a_replay_with_a_model_in_force_comes_out_again(case: Case) -> None:
    told = case.ask()
    signals = case.reader.signals()
    assert {"PASS", "FILTERED", "UNGATED"} <= set(signals["verdict"])
    assert (signals["model_version"] != "").sum() > 40
    assert told.code == 0 and told.lines == [] and told.differences == {}
    assert told.table["recorded"] == Counts(*[len(signals)] * 4) == told.table["come out the same"]


def test_what_was_configured_since_is_not_what_decided(case: Case) -> None:
    gating = {"min_ev_pct": 0.7, "per_regime": {"vol_low": {"min_ev_pct": 2.0}}}
    meta: dict[str, Any] = {"models": {"meta": {"gating": gating}}, "signals": {"filters": {"geo_rr1": {"min": 50.0}}}}
    since_ms = 1 + int(Reader(case.database).signals(columns=["decided_ms"])["decided_ms"].max())
    with Writer(case.database) as writer:
        writer.put_thresholds(
            since_ms, json.dumps({"min_ev_pct": 0.7}), '{"mode": "ev", "tuned_ms": 0, "slices": []}', "user", ""
        )
        writer.put_drift(since_ms, "p", "alarm", 30.0, 100, "")
    told = case.ask(configured(case.home, changed=meta))
    # Before anything was on record the file's rules held; without a model they decided nothing.
    assert told.code == 0 and told.differences == {}
    told = case.ask(configured(case.home, changed={"models": {"meta": {"enabled": False}}}))
    assert told.code == 0 and told.differences == {}


def test_closes_decided_without_a_model_or_under_filters_come_out_under_their_own_terms(case: Case) -> None:
    before = len(case.reader.signals())
    filtered = {"signals": {"filters": {"geo_rr1": {"min": 1.7}}}}
    assert trader(configured(case.home, PLAYED_DAYS + 1, filtered), "run") == 0
    off = {"models": {"meta": {"enabled": False}}}
    assert trader(configured(case.home, PLAYED_DAYS + 2, off), "run") == 0
    signals = case.reader.signals()
    assert signals["reason"].str.startswith("FEATURE_OUT_OF_RANGE").any() and (signals["reason"] == "DISABLED").any()
    for changed in ({}, filtered, off):
        told = case.ask(configured(case.home, PLAYED_DAYS + 2, changed))
        assert told.code == 0 and told.differences == {}
    assert told.table["recorded"].decisions == len(signals) > before
    assert told.table["recorded"].vectors == len(signals) - (signals["reason"] == "DISABLED").sum()


# -- bugs


@pytest.mark.parametrize("column", ["trend_adx", "geo_rr1", "out_r_1", "ctx_btc_vol", "ctx_hour_sin"])
def test_a_number_of_a_vector_that_was_altered_is_a_bug(case: Case, column: str) -> None:
    signal = case.signals(judged=False).iloc[-1]
    vector = case.vector(signal["id"])
    case.put_vector(signal["id"], with_columns(vector, {column: vector[FEATURES.columns.index(column)] + 0.01}))
    told = case.ask()
    assert told.code == 1
    assert told.differences == {"unexplained": Counts(vectors=1)}
    (line,) = told.of("vector", signal["id"])
    assert f"unexplained: {column} " in line


@pytest.mark.parametrize(
    "column",
    ["p_geo", "ml_p_raw", "ml_p", "ev_payoff_r", "ev_p_r", "ev_pct", "threshold", "verdict", "model_version"],
)
def test_whatever_of_a_decision_was_altered_is_a_bug(case: Case, column: str) -> None:
    number = int(case.signals().iloc[3]["id"])
    texts = {"verdict": "'NO_EVIDENCE'", "model_version": "'other'"}
    change(
        case.database,
        (f"UPDATE decisions SET {column} = {texts.get(column, f'{column} + 0.01')} WHERE signal_id = ?", (number,)),
    )
    told = case.ask()
    assert told.code == 1 and told.differences == {"unexplained": Counts(decisions=1)}
    assert f"unexplained: {column} " in told.of("decision", number)[0]


def test_a_signal_that_does_not_say_what_was_decided_is_a_bug(case: Case) -> None:
    first, second = case.signals()["id"].tolist()[:2]
    change(
        case.database,
        ("UPDATE signals SET ml_p = ml_p + 0.01 WHERE id = ?", (first,)),
        ("DELETE FROM decisions WHERE signal_id = ?", (second,)),
        ("DELETE FROM features WHERE signal_id = ?", (second,)),
    )
    told = case.ask()
    assert told.code == 1 and told.differences == {"unexplained": Counts(vectors=1, decisions=2)}
    assert "signal's ml_p" in told.of("decision", first)[0]
    assert "row absent -> present" in told.of("decision", second)[0]


@dataclass(frozen=True)
class Bent:
    """A family that computes otherwise than when it was recorded, and did not raise its version."""

    family: Family

    def __getattr__(self, name: str) -> Any:
        return getattr(self.family, name)

    def compute(self, view: View) -> FloatArray:
        return self.family.compute(view) * 1.001


@dataclass(frozen=True)
class Lenient:
    """A court that says another probability than the model."""

    court: Judge

    def judge(self, signals: pd.DataFrame, vectors: FloatArray) -> pd.DataFrame:
        told = self.court.judge(signals, vectors)
        return told.assign(ml_p=told["ml_p"] * 1.001)

    def opinions(self, signals: pd.DataFrame, vectors: FloatArray) -> pd.DataFrame:
        return self.court.opinions(signals, vectors)

    def terms_at(self, ms: int) -> tuple[GateRules, Evidence, bool]:
        return self.court.terms_at(ms)


def test_an_engine_that_describes_or_judges_otherwise_than_it_did_is_a_bug(case: Case) -> None:
    config, reader = app.config_source(case.config, None, {}).current, case.reader
    costs = app.build_costs(config)
    bench = bench_of(config, reader, costs)
    bent = FeatureSet(tuple(Bent(one) if one.name == "trend" else one for one in bench.features.families))
    assert bent.id == bench.features.id
    last_ms = int(case.signals()["decided_ms"].iloc[-6])
    request = parity.ParityRequest(
        exchange=EXCHANGE,
        series=[(ETH, TIMEFRAME)],
        base="1m",
        setups=app.build_setups(config, costs),
        rules=scan_rules(config, costs),
        bench=bench,
        start_ms=last_ms,
    )
    assert parity.run(reader, request).findings == []
    report = parity.run(reader, replace(request, bench=replace(bench, features=bent)))
    assert {(one.kind, one.cause) for one in report.findings} == {("vector", "unexplained")}
    assert {name for one in report.findings for name, *_ in one.changes} <= set(Trend.columns)
    assert report.unexplained == report.compared["vector"] == 5
    lenient = replace(bench, judges=lambda terms: Lenient(bench.judges(terms)))
    report = parity.run(reader, replace(request, bench=lenient))
    assert {(one.kind, one.cause) for one in report.findings} == {("decision", "unexplained")}
    assert report.unexplained == 5


# -- the model and what it was asked for


def a_file_of_the_model(case: Case) -> Path:
    (folder,) = (path for path in (case.home / "models").iterdir() if path.is_dir())
    return next(path for path in sorted(folder.iterdir()) if path.name != "manifest.json")


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_a_model_whose_files_are_gone_or_changed_is_named(case: Case, what: str) -> None:
    path = a_file_of_the_model(case)
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    told = case.ask()
    signals = case.reader.signals()
    assert told.code == 0
    assert told.differences == {"model gone or changed": Counts(decisions=(signals["model_version"] != "").sum())}
    assert all(path.parent.name in line for line in told.lines)


def test_a_model_that_could_not_be_read_then_explains_who_abstained(case: Case) -> None:
    path = a_file_of_the_model(case)
    content = path.read_bytes()
    path.write_bytes(b"")
    assert trader(configured(case.home, PLAYED_DAYS + 1), "run") == 0
    abstained = (case.reader.signals()["reason"] == "MODEL_UNREADABLE").sum()
    path.write_bytes(content)
    told = case.ask(configured(case.home, PLAYED_DAYS + 1))
    assert told.code == 0 and abstained > 0
    assert told.differences == {"model gone or changed": Counts(decisions=abstained)}
    assert all("could not be read then" in line for line in told.lines)


def test_a_row_of_thresholds_that_was_changed_is_other_configuration(case: Case) -> None:
    said = json.loads(case.reader.thresholds()["gating"].iloc[0]) | {"min_ev_pct": 0.2, "use_ev": True}
    change(case.database, ("UPDATE thresholds SET gating = ?", (json.dumps(said),)))
    told = case.ask()
    judged = (case.reader.signals()["model_version"] != "").sum()
    assert told.code == 0
    assert told.differences == {"other configuration": Counts(decisions=judged)}
    assert all("other configuration (thresholds as configured now): " in line for line in told.lines)
    # Where neither the record nor the file knows such thresholds, nobody does.
    told = case.ask(configured(case.home, changed={"models": {"meta": {"gating": {"min_ev_pct": 0.9}}}}))
    assert told.code == 1 and told.differences == {"unexplained": Counts(decisions=judged)}


def test_vectors_of_another_set_of_features_are_named_and_not_compared(case: Case) -> None:
    change(
        case.database,
        ("UPDATE meta SET value = replace(value, ?, 'fs-0123456789') WHERE key LIKE 'live:%'", (FEATURES.id,)),
    )
    told = case.ask()
    assert told.code == 0
    assert told.differences == {"other configuration": Counts(vectors=len(case.reader.signals()))}
    assert all("feature_set fs-0123456789 -> " + FEATURES.id in line for line in told.lines)


# -- what vectors look at


def revise(case: Case, symbol: str, ts_ms: int, make: Callable[[Candles], Candles]) -> None:
    """Revise a longer candle alone, after all was decided: what minutes say stays out of it."""
    with Writer(case.database) as writer:
        candles = writer.reader.candles(EXCHANGE, symbol, TIMEFRAME, ts_ms, ts_ms + STEP_MS)
        writer.put_candles(EXCHANGE, symbol, TIMEFRAME, make(candles), END_MS)


def heavier(candles: Candles) -> Candles:
    return replace(candles, volume=candles.volume * 3.0)


def further(candles: Candles) -> Candles:
    return replace(candles, high=candles.high * 1.002, close=candles.close * 1.001)


def test_a_revised_candle_explains_vectors_and_leaves_decisions_alone(case: Case) -> None:
    signal = case.signals().iloc[5]
    revise(case, ETH, int(signal["ts_ms"]), heavier)
    told = case.ask()
    assert told.code == 0
    assert set(told.differences) == {"revised candle"} and told.differences["revised candle"].decisions == 0
    (line,) = told.of("vector", signal["id"])
    assert "revised candle (5m 20" in line and "avwap_a_atr" in line


def test_a_revised_candle_of_the_benchmark_explains_the_others_vectors(case: Case) -> None:
    signal = case.signals().iloc[5]
    revise(case, BTC, int(signal["ts_ms"]), further)
    told = case.ask()
    assert told.code == 0
    assert set(told.differences) == {"revised candle", "revised benchmark candle"}  # BTC's own and ETH's
    (line,) = told.of("vector", signal["id"])
    assert f"revised benchmark candle ({BTC} 5m 20" in line and "ctx_btc_ret_1" in line
    assert {line.split()[2]: "benchmark" in line for line in told.lines} == {ETH: True, BTC: False}


def test_a_candle_of_the_benchmark_that_came_after_the_decision_explains_what_was_not_known(case: Case) -> None:
    signal = case.signals(judged=False).iloc[-1]
    names = [name for name in FEATURES.columns if name.startswith("ctx_btc_")]
    case.put_vector(signal["id"], with_columns(case.vector(signal["id"]), dict.fromkeys(names, np.nan)))
    told = case.ask()
    assert told.code == 1 and told.differences == {"unexplained": Counts(vectors=1)}
    series = "(SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?)"
    text = f"UPDATE candle SET first_seen_ms = first_seen_ms + {2 * HOUR_MS} WHERE series_id = {series} AND ts_ms = ?"
    change(case.database, (text, (EXCHANGE, BTC, TIMEFRAME, int(signal["ts_ms"]))))
    told = case.ask()
    assert told.code == 0 and told.differences == {"late benchmark candle": Counts(vectors=1)}
    assert f"late benchmark candle ({BTC} 5m 20" in told.lines[0]


def test_an_outcome_that_was_known_later_explains_what_was_counted_without_it(case: Case) -> None:
    signals = case.signals(judged=False)
    ended = case.reader.outcomes(EXCHANGE, ETH, TIMEFRAME, case.reader.trades()["exit_policy"].iloc[0])
    signal = signals[signals["decided_ms"] > ended[0][6]].iloc[-1:].reset_index(drop=True)
    number = int(signal["id"].iloc[0])
    known = ended[0] <= signal["decided_ms"].iloc[0]
    without = Outcomes(ended[0][known][:-1], ended[1][known][:-1])
    told = FEATURES.with_outcomes(case.vector(number)[None], Plans.of(signal), without)[0]
    case.put_vector(number, told)
    found = case.ask()
    assert found.code == 0 and found.differences == {"late outcome": Counts(vectors=1)}
    assert "out_count" in found.of("vector", number)[0]


def test_outcomes_that_a_retro_scan_added_explain_what_was_counted_without_them(case: Case) -> None:
    signals = case.reader.signals(exchange=EXCHANGE, symbol=ETH).sort_values("decided_ms")
    early = signals.head(8)["id"].tolist()
    last = int(case.reader.signals()["id"].max())
    keep = ("PRAGMA foreign_keys = OFF", ())
    moved = [
        (f"UPDATE {table} SET {name} = ? WHERE {name} = ?", (last + 1 + at, number))
        for at, number in enumerate(early)
        for table, name in _NUMBERED
    ]
    retro = ("UPDATE signals SET origin = 'retro' WHERE id > ?", (last,))
    change(case.database, keep, *moved, retro)  # as if written after all the others
    ended = case.reader.trades(signal_ids=range(last + 1, last + 9), status="CLOSED")
    assert len(ended) > 3
    first_live = signals.iloc[[8]].reset_index(drop=True)
    number = int(first_live["id"].iloc[0])
    vector = FEATURES.with_outcomes(case.vector(number)[None], Plans.of(first_live), Outcomes.none())[0]
    case.put_vector(number, vector)
    told = case.ask()
    assert told.code == 0
    assert told.differences == {"late outcome": Counts(vectors=1), "left to a retro scan": Counts(signals=len(early))}
    assert told.of("vector", number)


def test_two_causes_of_one_vector_are_told_apart(case: Case) -> None:
    signal = case.signals(judged=False).iloc[-1]
    revise(case, BTC, int(signal["ts_ms"]), further)
    revise(case, ETH, int(signal["ts_ms"]), heavier)
    vector = case.vector(signal["id"])
    case.put_vector(signal["id"], with_columns(vector, {"geo_rr1": 9.0}))
    told = case.ask()
    mine = told.of("vector", signal["id"])
    assert told.code == 1 and len(mine) == 3
    assert ["revised candle (5m" in mine[0], "revised benchmark candle" in mine[1]] == [True, True]
    assert "unexplained: geo_rr1 9 -> " in mine[2]
    assert told.table["come out the same"].vectors < told.table["recorded"].vectors
