"""Vectors, outcomes and predictions: written once, and handed out only when they were known."""

from __future__ import annotations

from typing import Any

import apsw
import numpy as np
import pandas as pd
import pytest

from core.errors import StoreError
from core.schema import PREDICTIONS, conform
from core.store._columns import LEDGER_ROWS, PLANNED, PLAYED
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import START_MS, decisions, signals, trades

HOUR = 3_600_000
SERIES = ("bitget", "BTC/USDT:USDT", "15m")


def at(hour: int, **values: Any) -> dict[str, Any]:
    return {"decided_ms": START_MS + hour * HOUR, **values}


def closed(signal_id: int, hour: int, r: float = 1.0, **values: Any) -> dict[str, Any]:
    ended = {"status": "CLOSED", "known_ms": START_MS + hour * HOUR, "r_multiple": r, "pnl_pct": 2 * r}
    return {"signal_id": signal_id, **ended, **values}


def predictions(*rows: dict[str, Any]) -> pd.DataFrame:
    numbers = {name: np.nan for name, dtype in PREDICTIONS.items() if dtype == "float64"}
    plain = {"signal_id": 1, "ledger": "walk@1", "model": "block-1", "train_max_t1": START_MS - 1, **numbers}
    return conform(pd.DataFrame([{**plain, **row} for row in rows]), PREDICTIONS)


def again(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = decisions(*rows)
    return frame.assign(in_sample=[row.get("in_sample", 0) for row in rows])


# -- numbers of numpy


def test_numpys_numbers_find_and_write_what_pythons_do(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals(at(1), at(2), at(3)))
    writer.put_funding("bitget", "BTC/USDT:USDT", np.array([[START_MS, 1e-4]]))
    writer.set_frontier(*SERIES, np.int64(START_MS))  # type: ignore[arg-type]
    now: Any = np.int64(START_MS + 2 * HOUR)
    assert reader.signals(start_ms=now)["id"].tolist() == [2, 3]
    assert reader.signals(end_ms=now, limit=np.int64(5))["id"].tolist() == [1]  # type: ignore[arg-type]
    assert len(reader.funding("bitget", "BTC/USDT:USDT", end_ms=now)) == 1
    assert reader.frontier(*SERIES) == START_MS
    assert reader.ids_without_trade("bitget", "BTC/USDT:USDT", "tp1@1", np.int64(0), now) == [1, 2]  # type: ignore[arg-type]
    assert reader.account_rows("bitget", "tp1@1", ["plan0001"], now, now).empty
    writer.put_thresholds(now, "{}", "{}", "user")
    assert reader.thresholds_at(now) is not None
    assert reader.thresholds_at(now - 1) is None


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint32, np.bool_])
def test_every_kind_of_numpys_integers_is_bound_as_one(writer: Writer, kind: type) -> None:
    ((there, many),) = writer._connection.execute("SELECT typeof(?), typeof(?)", (kind(1), 7))
    ((named,),) = writer._connection.execute("SELECT typeof(:a)", {"a": kind(1)})
    assert (there, many, named) == ("integer", "integer", "integer")
    assert list(writer._connection.execute("SELECT typeof(?)", (np.float32(1.5),))) == [("real",)]
    writer._connection.executemany("INSERT INTO meta VALUES (?, ?)", [(str(i), str(kind(1))) for i in range(3)])


# -- feature vectors


def test_vectors_come_back_as_they_went_in(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}, {}))
    writer.put_feature_set("fs-1", ["geo_rr1", "vol_rank"])
    vectors = np.array([[1 / 3, np.nan], [-0.0, np.inf]])
    assert writer.put_features("fs-1", np.array([3, 1]), vectors) == 2
    assert reader.feature_columns("fs-1") == ("geo_rr1", "vol_rank")
    ids, read = reader.features("fs-1")
    assert (ids.dtype, read.dtype, ids.tolist()) == (np.dtype(np.int64), np.dtype(np.float64), [1, 3])
    assert read.tobytes() == vectors[::-1].tobytes()
    for asked in ([3, 2], np.array([2, 3]), iter([3])):
        some, part = reader.features("fs-1", asked)
        assert some.tolist() == [3]
        assert part.tobytes() == vectors[:1].tobytes()


def test_nothing_stored_is_an_empty_answer(writer: Writer, reader: Reader) -> None:
    writer.put_feature_set("fs-1", ["a", "b", "c"])
    for feature_set, k in (("fs-1", 3), ("unknown", 0)):
        ids, vectors = reader.features(feature_set)
        assert (ids.shape, vectors.shape) == ((0,), (0, k))
    assert reader.feature_columns("unknown") == ()
    assert writer.put_features("fs-1", np.array([], dtype=np.int64), np.empty((0, 3))) == 0


def test_vectors_are_stored_little_endian_whatever_the_arrays_layout(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    writer.put_feature_set("fs-1", ["a", "b"])
    table = np.asfortranarray([[1.0, 2.0], [3.0, 4.0]])
    writer.put_features("fs-1", [1, 2], table.astype(">f8"))
    ((blob,),) = writer._connection.execute("SELECT vector FROM features WHERE signal_id = 2")
    assert blob == np.array([3.0, 4.0], dtype="<f8").tobytes()
    assert reader.features("fs-1")[1].tolist() == table.tolist()


def test_a_vector_is_written_once(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    writer.put_feature_set("fs-1", ["a"])
    writer.put_features("fs-1", [1], np.array([[1.0]]))
    assert writer.put_features("fs-1", [1, 2], np.array([[9.0], [2.0]])) == 1
    assert reader.features("fs-1")[1].tolist() == [[1.0], [2.0]]


def test_feature_sets_stand_beside_each_other(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}))
    writer.put_feature_set("fs-1", ["a"])
    writer.put_feature_set("fs-2", ["a", "b"])
    writer.put_features("fs-1", [1], np.array([[1.0]]))
    writer.put_features("fs-2", [1], np.array([[1.0, 2.0]]))
    assert reader.features("fs-1")[1].tolist() == [[1.0]]
    assert reader.features("fs-2")[1].tolist() == [[1.0, 2.0]]


def test_a_feature_set_keeps_its_columns(writer: Writer) -> None:
    writer.put_feature_set("fs-1", ["a", "b"])
    writer.put_feature_set("fs-1", ("a", "b"))
    with pytest.raises(StoreError, match=r"fs-1: recorded with other columns"):
        writer.put_feature_set("fs-1", ["b", "a"])


def test_vectors_that_do_not_fit_are_refused(writer: Writer) -> None:
    writer.put_signals(signals({}))
    writer.put_feature_set("fs-1", ["a", "b"])
    for vectors in (np.ones((1, 3)), np.ones((2, 2)), np.ones(2)):
        with pytest.raises(StoreError, match=r"expected \(1, 2\)"):
            writer.put_features("fs-1", [1], vectors)
    with pytest.raises(StoreError, match=r"fs-2: not a recorded feature set; did you mean 'fs-1'"):
        writer.put_features("fs-2", [1], np.ones((1, 2)))
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        writer.put_features("fs-1", [99], np.ones((1, 2)))


def test_a_damaged_vector_is_an_error_not_a_wrong_number(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    writer.put_feature_set("fs-1", ["a", "b"])
    writer.put_features("fs-1", [1, 2], np.ones((2, 2)))
    writer._connection.execute("UPDATE features SET vector = zeroblob(8) WHERE signal_id = 2")
    with pytest.raises(StoreError, match=r"damaged \(a vector of fs-1 between signals 1 and 2"):
        reader.features("fs-1")


def test_more_vectors_than_a_transaction_holds_are_stored(writer: Writer, reader: Reader) -> None:
    n = 20_500
    frame = signals({}).iloc[np.zeros(n, dtype=int)].reset_index(drop=True)
    writer.put_signals(frame.assign(key=[f"k{i}" for i in range(n)]))
    writer.put_feature_set("fs-1", ["a", "b", "c"])
    vectors = np.random.default_rng(1).normal(size=(n, 3))
    assert writer.put_features("fs-1", np.arange(1, n + 1), vectors) == n
    ids, read = reader.features("fs-1")
    assert np.array_equal(ids, np.arange(1, n + 1))
    assert np.array_equal(read, vectors)


def test_signals_without_a_vector_are_found_in_the_order_of_time(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals(at(3), at(1), at(2), at(4), at(2, timeframe="1h"), at(2, symbol="ETH/USDT:USDT")))
    writer.put_feature_set("fs-1", ["a"])
    writer.put_feature_set("fs-2", ["a"])
    writer.put_features("fs-1", [3], np.ones((1, 1)))
    writer.put_features("fs-2", [1, 2], np.ones((2, 1)))
    assert reader.ids_without_features("fs-1", *SERIES, START_MS, START_MS + 9 * HOUR) == [2, 1, 4]
    assert reader.ids_without_features("fs-1", *SERIES, START_MS + HOUR, START_MS + 3 * HOUR) == [1]
    assert reader.ids_without_features("unknown", *SERIES, START_MS, START_MS + 2 * HOUR) == [2, 3]


# -- outcomes


def with_outcomes(writer: Writer) -> None:
    """Six candidates: three that ended, one open, one that expired, one of another plan that ended."""
    writer.put_signals(
        signals(at(3), at(1, in_sample=1, origin="retro"), at(2), at(4), at(5), at(6, plan_hash="plan0002"))
    )
    writer.put_trades(
        trades(
            closed(1, 8, r=-1.0),
            closed(2, 9, r=2.0),
            closed(3, 7, r=0.5),
            {"signal_id": 4, "status": "OPEN"},
            {"signal_id": 5, "status": "EXPIRED", "known_ms": START_MS + 6 * HOUR},
            closed(6, 10, r=3.0),
            closed(1, 8, r=9.0, exit_policy="other@1"),
        )
    )


def test_training_takes_what_ended_and_was_known_row_by_row(writer: Writer, reader: Reader) -> None:
    with_outcomes(writer)
    writer.put_feature_set("fs-1", ["a", "b"])
    vectors = np.arange(12.0).reshape(6, 2)
    writer.put_features("fs-1", np.arange(1, 7), vectors)
    rows, ended, ids, read = reader.training_frames("bitget", "plan0001", "tp1@1", "fs-1", START_MS + 9 * HOUR)
    assert (list(rows.columns), list(ended.columns)) == (list(PLANNED), list(PLAYED))
    assert ids.tolist() == rows["id"].tolist() == ended["signal_id"].tolist() == [2, 3, 1]
    assert ended["r_multiple"].tolist() == [2.0, 0.5, -1.0]
    assert rows["in_sample"].tolist() == [1, 0, 0]
    assert np.array_equal(read, vectors[ids - 1])
    both = reader.training_frames("bitget", ["plan0001", "plan0002"], "tp1@1", "fs-1", START_MS + 99 * HOUR)
    assert both[2].tolist() == [2, 3, 1, 6]


def test_training_never_sees_what_was_not_known_yet(writer: Writer, reader: Reader) -> None:
    with_outcomes(writer)
    writer.put_feature_set("fs-1", ["a"])
    writer.put_features("fs-1", np.arange(1, 7), np.ones((6, 1)))
    for hour, expected in ((6, []), (7, [3]), (8, [3, 1]), (9, [2, 3, 1])):
        ids = reader.training_frames("bitget", "plan0001", "tp1@1", "fs-1", START_MS + hour * HOUR)[2]
        assert ids.tolist() == expected


def test_training_leaves_out_what_has_no_vector(writer: Writer, reader: Reader) -> None:
    with_outcomes(writer)
    writer.put_feature_set("fs-1", ["a"])
    writer.put_features("fs-1", [1], np.ones((1, 1)))
    rows, ended, ids, vectors = reader.training_frames("bitget", "plan0001", "tp1@1", "fs-1", START_MS + 99 * HOUR)
    assert (len(rows), len(ended), ids.tolist(), vectors.shape) == (1, 1, [1], (1, 1))
    nothing = reader.training_frames("bitget", "plan0001", "tp1@1", "unknown", START_MS + 99 * HOUR)
    assert [len(part) for part in nothing] == [0, 0, 0, 0]


def test_outcomes_come_in_the_order_of_becoming_known(writer: Writer, reader: Reader) -> None:
    with_outcomes(writer)
    known, r = reader.outcomes(*SERIES, "tp1@1")
    assert ((known - START_MS) // HOUR).tolist() == [7, 8, 9, 10]
    assert r.tolist() == [0.5, -1.0, 2.0, 3.0]
    assert (known.dtype, r.dtype) == (np.dtype(np.int64), np.dtype(np.float64))
    assert reader.outcomes(*SERIES, "tp1@1", "plan0001", limit=2)[1].tolist() == [-1.0, 2.0]
    assert reader.outcomes(*SERIES, "tp1@1", ["plan0002"])[1].tolist() == [3.0]
    assert reader.outcomes(*SERIES, "tp1@1", until_ms=START_MS + 8 * HOUR)[1].tolist() == [0.5, -1.0]
    assert reader.outcomes(*SERIES, "other@1")[1].tolist() == [9.0]
    assert len(reader.outcomes("bitget", "ETH/USDT", "15m", "tp1@1")[0]) == 0


# -- predictions


def test_predictions_come_back_in_the_order_of_decision(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals(at(2), at(1), at(3)))
    frame = predictions({"signal_id": 1, "p": 0.4}, {"signal_id": 2}, {"signal_id": 1, "ledger": "walk@2"})
    assert writer.put_predictions(frame) == 3
    read = reader.predictions("walk@1")
    assert list(read.columns) == list(PREDICTIONS)
    assert read["signal_id"].tolist() == [2, 1]
    pd.testing.assert_frame_equal(read.iloc[[1]].reset_index(drop=True), frame.iloc[[0]])
    assert len(reader.predictions()) == 3
    assert reader.predictions("walk@1", signal_ids=np.array([1, 3]))["p"].tolist() == [0.4]
    assert reader.predictions(start_ms=START_MS + 2 * HOUR)["signal_id"].tolist() == [1, 1]
    assert reader.predictions(end_ms=START_MS + 2 * HOUR)["signal_id"].tolist() == [2]


def test_a_prediction_that_is_there_stays(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals(at(1), at(2)))
    writer.put_predictions(predictions({"p": 0.4}))
    assert writer.put_predictions(predictions({"p": 0.9}, {"signal_id": 2, "p": 0.5})) == 1
    assert reader.predictions()["p"].tolist() == [0.4, 0.5]
    with pytest.raises(apsw.ConstraintError, match="a prediction is never changed"):
        writer._connection.execute("UPDATE predictions SET p = 0.9")


@pytest.mark.parametrize("late_ms", [0, 1])
def test_a_prediction_by_a_model_that_knew_more_is_refused_by_name(
    writer: Writer, reader: Reader, late_ms: int
) -> None:
    writer.put_signals(signals(at(1), at(2)))
    poisoned = {"signal_id": 2, "train_max_t1": START_MS + 2 * HOUR + late_ms, "model": "block-7"}
    with pytest.raises(StoreError, match=r"walk@1: block-7 learned .* signal 2 was decided at"):
        writer.put_predictions(predictions({"signal_id": 1}, poisoned))
    assert reader.predictions().empty
    assert writer.put_predictions(predictions({**poisoned, "train_max_t1": START_MS + 2 * HOUR - 1})) == 1


def test_the_database_itself_refuses_a_prediction_out_of_time(writer: Writer) -> None:
    writer.put_signals(signals(at(1)))
    with pytest.raises(apsw.ConstraintError, match="knew nothing after the decision"):
        writer._connection.execute(
            "INSERT INTO predictions (signal_id, ledger, model, train_max_t1) VALUES (1, 'a', 'b', ?)",
            (START_MS + HOUR,),
        )


def test_a_prediction_needs_its_signal(writer: Writer) -> None:
    with pytest.raises(StoreError, match="signal 5 is not in the database"):
        writer.put_predictions(predictions({"signal_id": 5}))


def test_the_ledger_shows_what_was_said_beside_what_came(writer: Writer, reader: Reader) -> None:
    said = {"ml_p": 0.6, "ml_p_raw": 0.7, "model_version": "m1", "verdict": "PASS"}
    writer.put_signals(
        signals(
            at(1, **said),
            at(2, **said, origin="retro"),
            at(3),
            at(4, **said),
            at(5, **said, exchange="binance"),
            at(6, **said, plan_hash="plan0002"),
        )
    )
    writer.put_decisions(decisions({"signal_id": 1, "p_geo": 0.5, "ev_p_r": 0.1, "ev_payoff_r": 0.2}))
    writer.put_trades(
        trades(
            closed(1, 9), closed(2, 9), closed(3, 10, r=-1.0), {"signal_id": 4, "status": "OPEN"}, closed(5, 9),
            closed(6, 9),
        )
    )  # fmt: skip
    writer.put_predictions(predictions({"signal_id": 2, "p": 0.45}, {"signal_id": 1, "p": 0.55}, {"signal_id": 4}))
    live = reader.ledger_rows("bitget", "tp1@1", "plan0001")
    assert list(live.columns) == list(LEDGER_ROWS)
    assert live[["signal_id", "source", "model", "p_geo", "p_raw", "p", "ev_payoff_r", "ev_p_r"]].values.tolist() == [
        [1, "live", "m1", 0.5, 0.7, 0.6, 0.2, 0.1]
    ]
    both = reader.ledger_rows("bitget", "tp1@1", "plan0001", "walk@1")
    assert both[["signal_id", "source", "model", "p", "r_multiple"]].values.tolist() == [
        [1, "live", "m1", 0.6, 1.0],
        [1, "walk@1", "block-1", 0.55, 1.0],
        [2, "walk@1", "block-1", 0.45, 1.0],
    ]
    assert reader.ledger_rows("bitget", "tp1@1")["signal_id"].tolist() == [1, 6]
    assert reader.ledger_rows("bitget", "tp1@1", until_ms=START_MS + 8 * HOUR).empty
    assert reader.ledger_rows(
        "bitget", "tp1@1", ledger="walk@1", start_ms=START_MS + 2 * HOUR, end_ms=START_MS + 3 * HOUR
    )["signal_id"].tolist() == [2]


# -- decided again


def test_a_retro_signal_decided_again_shows_the_newest_and_keeps_the_first(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({"origin": "retro"}))
    writer.put_decisions(decisions({"reason": "NO_MODEL"}))
    newer = {"verdict": "PASS", "reason": "EV", "ml_p_raw": 0.7, "ml_p": 0.6, "ev_pct": 0.3, "model_version": "m1"}
    assert writer.decide_again(again({**newer, "in_sample": 1, "p_geo": 0.5})) == 1
    kept = reader.decisions([1])
    assert kept[["seq", "verdict", "p_geo"]].values.tolist()[1] == [1, "PASS", 0.5]
    assert kept["reason"].tolist() == ["NO_MODEL", "EV"]
    row = reader.signals().iloc[0]
    assert {name: row[name] for name in newer} == newer
    assert row["in_sample"] == 1
    assert (row["origin"], row["entry"]) == ("retro", 100.0)


def test_the_same_decision_again_adds_nothing(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({"origin": "retro"}, {"origin": "retro"}))
    writer.put_decisions(decisions({"ml_p": 0.4}, {"signal_id": 2, "seq": 0, "ml_p": 0.4}))
    log = writer.path.with_name("ohlcv.db-wal")
    size = log.stat().st_size
    same = again({"ml_p": 0.4 + 1e-12}, {"signal_id": 2, "ml_p": 0.4})
    assert writer.decide_again(same) == 0
    assert log.stat().st_size == size
    assert writer.decide_again(again({"ml_p": 0.5}, {"signal_id": 2, "ml_p": 0.4})) == 1
    assert writer.decide_again(again({"ml_p": 0.5, "in_sample": 1}, {"signal_id": 2, "ml_p": 0.4})) == 1
    assert writer.decide_again(again({"ml_p": np.nan})) == 1
    assert reader.decisions()[["signal_id", "seq"]].values.tolist() == [[1, 0], [1, 1], [1, 2], [1, 3], [2, 0]]


def test_a_live_signal_is_never_decided_again(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({"origin": "live"}, {"origin": "retro"}))
    writer.put_decisions(decisions({"signal_id": 1}, {"signal_id": 2, "seq": 0}))
    before = reader.signals(ids=[1])
    assert writer.decide_again(again({"signal_id": 1, "ml_p": 0.5}, {"signal_id": 2, "ml_p": 0.5})) == 1
    assert writer.decide_again(again({"signal_id": 1, "ml_p": 0.5})) == 0
    pd.testing.assert_frame_equal(reader.signals(ids=[1]), before)
    assert reader.decisions([1])["seq"].tolist() == [0]
    assert reader.signals(ids=[2])["ml_p"].tolist() == [0.5]


def test_a_signal_without_a_decision_gets_its_first(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({"origin": "retro"}))
    assert writer.decide_again(again({"seq": 7, "ml_p": 0.5})) == 1
    assert reader.decisions()["seq"].tolist() == [0]


def test_decisions_that_cannot_be_meant_are_refused(writer: Writer) -> None:
    writer.put_signals(signals({"origin": "retro"}))
    with pytest.raises(StoreError, match="signal 1 is there twice"):
        writer.decide_again(again({}, {}))
    with pytest.raises(StoreError, match="signal 9 is not in the database"):
        writer.decide_again(again({"signal_id": 9}))
    assert writer.decide_again(again({}).iloc[:0]) == 0


def test_what_is_shown_equals_the_newest_decision_after_many(writer: Writer, reader: Reader) -> None:
    rng = np.random.default_rng(3)
    n = 60
    writer.put_signals(signals(*({"origin": "retro" if i % 3 else "live"} for i in range(n))))
    writer.put_decisions(decisions(*({"signal_id": i + 1, "seq": 0, "reason": "no_model"} for i in range(n))))
    for _ in range(5):
        chosen = (rng.permutation(n)[:30] + 1).tolist()
        p = rng.integers(0, 3, len(chosen)) / 4
        rows = [{"signal_id": i, "ml_p": x, "verdict": "PASS"} for i, x in zip(chosen, p, strict=True)]
        writer.decide_again(again(*rows))
    newest = reader.decisions().groupby("signal_id").last()
    shown = reader.signals().set_index("id")
    for name in ("ml_p", "verdict", "reason"):
        assert shown[name].astype("str").tolist() == newest[name].astype("str").tolist()
    assert (shown["verdict"][shown["origin"] == "live"] == "UNGATED").all()
