"""The benchmarks: figures are judged rightly, kept, shown, and every one of them runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _data, cases, models, ours, page, plain, plain_cycle, results, whole
from benchmarks._learned import learned, made_rows
from benchmarks._measure import Side, interleaved, median, run_process, take_turns
from benchmarks.peers import __main__ as peers
from benchmarks.results import Bar, Row
from core.clock import DAY_MS
from core.features import feature_set
from core.store.reader import Reader

DAYS = 16


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> cases.Stage:
    return cases.prepare(tmp_path_factory.mktemp("bench"), _data.make_candles(DAYS), "a few days")


def test_the_median_of_a_figure_is_taken_over_rounds() -> None:
    assert median([{"s": 9.0}, {"s": 1.0}, {"s": 2.0}]) == 2.0
    assert median([{"s": 1.0, "mb": 4.0}, {"s": 1.0, "mb": 6.0}], "mb") == 5.0


def test_sides_take_turns_and_the_first_rounds_do_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> dict[str, float]:
        order.append(name)
        return {"s": float(len(order))}

    told = take_turns({"a": lambda: side("a"), "b": lambda: side("b")}, rounds=2, warm=1)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [sample["s"] for sample in told["b"]] == [4.0, 6.0]


def test_a_bar_is_met_at_its_limit_and_missed_beyond() -> None:
    assert Bar(30.0).met(30.0)
    assert not Bar(30.0).met(29.99)
    assert Bar(0.9, at_least=False).met(0.9)
    assert not Bar(0.9, at_least=False).met(0.91)


def test_a_row_shows_what_was_measured_and_whether_the_bar_was_met() -> None:
    assert Row("load", "7 ms", 80.2, Bar(30.0)).cells() == ["load", "7 ms", "80.2 x", ">= 30 x", "met"]
    assert Row("load", "7 ms", 20.0, Bar(30.0)).cells()[-1] == "missed"
    assert Row("told", "7 ms").cells() == ["told", "7 ms", "", "", ""]


def test_figures_are_kept_as_json_and_shown_between_the_marks_of_a_page(tmp_path: Path) -> None:
    about = {"processor": "P", "cores": 2, "memory_gb": 8, "system": "S", "python": "3.11", "versions": {"numpy": "2"}}
    about |= {"load": 0.1, "load_after": 1.2}
    path = tmp_path / "deep" / "bench.json"
    results.save(path, {"machine": about, "data": "made", "rows": [Row("load", "7 ms", 80.2, Bar(30.0), {"s": 0.007})]})
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["rows"][0]["figures"] == {"s": 0.007}
    assert stored["rows"][0]["met"] is True
    text = results.with_block("before <!-- bench -->old<!-- /bench --> after", "bench", page.block(stored))
    assert text.startswith("before <!-- bench -->\n| work |")
    assert "| load | 7 ms | 80.2 x | >= 30 x | met |" in text
    assert "old" not in text
    with pytest.raises(ValueError, match="lacks the marks"):
        results.with_block("nothing", "bench", page.block(stored))


def test_the_page_has_the_marks_its_tables_go_between() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- {mark} -->" in text for mark in ("bench", "/bench", "peers", "/peers"))


def test_a_whole_process_is_timed_with_its_own_peak_memory(tmp_path: Path) -> None:
    ballast = np.ones(40_000_000)  # 320 MB here must not show there
    told = run_process([sys.executable, "-c", "x = b'x' * 50_000_000"], tmp_path)
    assert 0 < told["s"] < 60
    assert 50 < told["peak_mb"] < 200
    assert len(ballast)


def test_a_process_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="so it goes"):
        run_process([sys.executable, "-c", "raise SystemExit('so it goes')"], tmp_path)


def test_sides_run_in_processes_of_their_own(stage: cases.Stage) -> None:
    side = Side("benchmarks.plain:load", {"candles": str(stage.candles), "folder": stage.room("own")})
    told = interleaved({"one": side}, rounds=2, warm=0)
    assert [sample["rows"] for sample in told["one"]] == [DAYS * 1_440] * 2
    broken = Side("benchmarks.plain:load", {"candles": "nowhere.npz", "folder": stage.room("own")})
    with pytest.raises(RuntimeError, match=r"nowhere\.npz"):
        interleaved({"broken": broken}, rounds=1)


def test_storing_and_reading_a_year_is_measured_and_storing_it_again_writes_nothing(stage: cases.Stage) -> None:
    sample = ours.ingest(str(stage.candles), stage.room("ours"))()
    assert sample["s"] > 0
    assert sample["wal_bytes"] == 0
    database = str(stage.whole.with_name("ohlcv.db"))
    assert ours.load(database)()["rows"] == DAYS * 1_440


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_the_memory_of_a_load_is_measured_against_its_data(stage: cases.Stage) -> None:
    told = ours.load_memory(str(stage.whole.with_name("ohlcv.db")))()
    assert told["data_bytes"] == DAYS * 1_440 * 8 * 8


def test_both_sides_make_as_many_longer_candles(stage: cases.Stage) -> None:
    mine = ours.resample(str(stage.minutes), stage.room("resampled"))()
    theirs = Side(
        "benchmarks.plain:resample",
        {"candles": str(stage.candles), "folder": stage.room("plain"), "minutes": [5, 15, 60, 240]},
    )
    told = interleaved({"plain": theirs}, rounds=1, warm=0)
    assert told["plain"][0]["rows"] == mine["rows"] == DAYS * (288 + 96 + 24 + 6)


def test_both_sides_scan(stage: cases.Stage) -> None:
    mine = ours.scan(str(stage.candles), str(stage.whole), "5m")()
    assert mine["plans"] >= mine["signals"] > 0
    theirs = [plain.scan(str(stage.candles), 5, atr, 50)() for atr in ("lfilter", "ta")]
    assert theirs[0]["us"] > 0
    assert theirs[0]["plans"] == theirs[1]["plans"]


def test_both_sides_give_each_trade_the_same_result(stage: cases.Stage) -> None:
    rows = cases.simulate(stage, trades=400)
    assert abs(rows[0].figures["differ_pct"]) < 1e-9


def test_the_live_minute_is_played_by_both_sides(stage: cases.Stage, tmp_path: Path) -> None:
    rows = whole.cycle(stage, symbols=2, minutes=2)
    without, judged = rows
    assert without.value is not None
    assert without.value > 0
    assert judged.figures["s"] > 0


def test_help_is_measured_for_every_command_without_heavy_imports() -> None:
    assert whole.heavy_imports("retro-scan") == []


def test_a_retro_scan_is_measured_whole(stage: cases.Stage) -> None:
    copied = _data.copy_database(stage.whole, Path(stage.room("retro-once")))
    told = run_process([sys.executable, "retro_scan.py", "--config", str(copied)], _data.ROOT)
    assert told["peak_mb"] > 0
    signals = Reader(copied.with_name("ohlcv.db")).signals(exchange=_data.EXCHANGE)
    assert set(signals["reason"]) == {"DISABLED"}


def test_with_a_model_in_force_every_candidate_is_described_judged_and_stored(stage: cases.Stage) -> None:
    made, in_force = learned(stage)
    assert Reader(in_force.with_name("ohlcv.db")).signals(exchange=_data.EXCHANGE).empty
    copied = _data.copy_database(in_force, Path(stage.room("judged-once")))
    run_process([sys.executable, "retro_scan.py", "--config", str(copied)], _data.ROOT)
    reader = Reader(copied.with_name("ohlcv.db"))
    signals = reader.signals(exchange=_data.EXCHANGE)
    assert len(signals) == made.candidates
    assert set(signals["model_version"]) == {reader.reigns()["version"].iloc[0]}
    ids, vectors = reader.features(feature_set().id)
    assert len(ids) == len(signals)
    assert vectors.shape[1] == len(feature_set().columns)


def test_both_sides_ask_the_same_trees_and_the_gate_judges_every_candidate(stage: cases.Stage) -> None:
    scored, judged = models.gate(stage, rows=300, candidates=20)
    assert scored.figures["differ_r"] < 1e-6
    assert judged.work == "20 candidates through the gate"
    assert judged.figures["judged"] > 0


def test_a_week_is_judged_and_a_model_fitted_on_rows_made_up(stage: cases.Stage) -> None:
    (row,) = models.learn(stage, rows=1_000)
    assert row.figures["rows"] == 1_000
    assert row.figures["blocks"] == 1
    assert 0 < row.figures["predictions"] < 50


def test_rows_made_up_to_learn_from_have_all_required_features_and_are_always_the_same() -> None:
    features = feature_set()
    made, again = made_rows(300, features), made_rows(300, features)
    required = [features.columns.index(name) for name in features.required]
    assert np.isfinite(made.vectors[:, required]).all()
    assert np.isnan(made.vectors).any()
    assert np.array_equal(made.vectors, again.vectors, equal_nan=True)
    assert made.rows.equals(again.rows)


def test_ours_is_held_against_the_peers_by_ratio() -> None:
    def samples(seconds: float, mb: float) -> list[dict[str, float]]:
        return [{"s": seconds, "cpu_s": seconds, "peak_mb": mb}] * 3

    told = {
        "ours": samples(1.0, 200.0),
        "ours, two symbols": samples(1.4, 210.0),
        peers.JUDGED: samples(2.0, 250.0),
        "freqtrade 5m, 1m detail": samples(12.0, 500.0),
        "freqtrade 5m, 1m detail, two symbols": samples(22.0, 600.0),
        "backtesting 5m": samples(0.9, 100.0),
        "backtesting 1m": samples(3.0, 300.0),
    }
    verdicts = {row.work: (row.value, row.met) for row in peers.judged(told)}
    assert verdicts["freqtrade 5m, 1m detail"] == (12.0, True)
    assert verdicts["backtesting 5m"] == (0.9, False)
    assert verdicts["backtesting 1m"] == (3.0, None)
    assert verdicts["with features and a model in force, against freqtrade's"] == (6.0, True)
    assert verdicts["memory, against freqtrade's"] == (0.4, True)
    assert verdicts["a further symbol-year, against freqtrade's"] == (pytest.approx(25.0), True)


def test_no_script_of_a_peer_imports_the_engine() -> None:
    scripts = sorted((_data.ROOT / "benchmarks" / "peers").glob("run_*.py"))
    assert len(scripts) == 5
    assert not [path.name for path in scripts if "core" in path.read_text(encoding="utf-8").split()]


def test_the_pandas_minute_keeps_its_window(stage: cases.Stage) -> None:
    assert plain_cycle.LOOKBACK_MINUTES * 60_000 <= DAY_MS
