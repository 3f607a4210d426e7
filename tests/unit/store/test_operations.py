"""Gaps, quarantine, funding, alerts, runs of jobs, and the upkeep of the file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pandas as pd
import pytest

from core.schema import Instrument
from core.store import _maintain
from core.store.migrations import SCHEMA_VERSION
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, pick, same, walk


def message(key: str, **values: Any) -> dict[str, Any]:
    plain = {"channel": "telegram", "kind": "new_signal", "payload": "{}", "created_ms": 1, "next_try_ms": 1}
    return {"key": key, **plain, **values}


def test_instruments_are_replaced(writer: Writer, reader: Reader) -> None:
    btc = Instrument("bitget", "BTC/USDT:USDT", tick=0.1, lot=0.001, min_notional=5.0)
    new = Instrument("bitget", "NEW/USDT", active=False)
    writer.put_instruments([btc, new, Instrument("binance", "BTC/USDT")])
    assert reader.instruments("bitget") == {"BTC/USDT:USDT": btc, "NEW/USDT": new}
    finer = Instrument("bitget", "BTC/USDT:USDT", tick=0.01, lot=0.001, min_notional=5.0)
    writer.put_instruments([finer])
    assert reader.instruments("bitget")["BTC/USDT:USDT"] == finer
    writer.put_instruments([])


def test_the_same_instruments_again_leave_the_log_untouched(writer: Writer) -> None:
    items = [Instrument("bitget", f"S{i}/USDT", tick=None if i % 2 else 0.1) for i in range(50)]
    writer.put_instruments(items)
    log = writer.path.with_name("ohlcv.db-wal")
    size = log.stat().st_size
    writer.put_instruments(items)
    assert log.stat().st_size == size


def test_gaps_are_replaced_by_their_minute(writer: Writer, reader: Reader) -> None:
    frame = pd.DataFrame(
        {"ts_ms": [120_000, 60_000], "state": "open", "first_missed_ms": 5, "tries": 1, "next_try_ms": 9}
    )
    writer.put_gaps(*BTC, frame)
    writer.put_gaps(*BTC, frame.iloc[1:].assign(state="confirmed", tries=2))
    read = reader.gaps(*BTC)
    assert read.values.tolist() == [[60_000, "confirmed", 5, 2, 9], [120_000, "open", 5, 1, 9]]
    assert reader.gaps(*BTC, state="open")["ts_ms"].tolist() == [120_000]
    assert reader.gaps("bitget", "ETH/USDT", "1m").empty


def test_a_candle_refused_again_is_counted(writer: Writer, reader: Reader) -> None:
    frame = pd.DataFrame({"ts_ms": [60_000, 120_000], "reason": ["nan", "off_grid"], "detail": ["a", "b"]})
    writer.put_quarantine(*BTC, frame, 100)
    writer.put_quarantine(*BTC, frame.iloc[:1], 200)
    read = reader.quarantine(*BTC)
    columns = ["ts_ms", "reason", "first_seen_ms", "last_seen_ms", "times"]
    assert read[columns].values.tolist() == [[60_000, "nan", 100, 200, 2], [120_000, "off_grid", 100, 100, 1]]
    assert reader.quarantine("binance").empty
    assert len(reader.quarantine(limit=1)) == 1


def test_the_quarantine_keeps_the_newest_twenty_thousand(writer: Writer) -> None:
    for start in (0, 15_000):
        ts = 60_000 * np.arange(start, start + 15_000)
        writer.put_quarantine(*BTC, pd.DataFrame({"ts_ms": ts, "reason": "nan", "detail": ""}), 1)
    kept = writer.reader.quarantine(limit=50_000)["ts_ms"]
    assert (len(kept), kept.min()) == (20_000, 60_000 * 10_000)


def test_funding_is_kept_by_settlement(writer: Writer, reader: Reader) -> None:
    writer.put_funding("bitget", "BTC/USDT:USDT", np.array([[START_MS, 1e-4], [START_MS + 8, -2e-4]]))
    writer.put_funding("bitget", "BTC/USDT:USDT", np.array([[START_MS + 8, 3e-4]]))
    assert reader.funding("bitget", "BTC/USDT:USDT").tolist() == [[START_MS, 1e-4], [START_MS + 8, 3e-4]]
    assert reader.funding("bitget", "BTC/USDT:USDT", START_MS + 1, START_MS + 8).shape == (0, 2)
    assert reader.funding("bitget", "ETH/USDT:USDT").shape == (0, 2)
    writer.put_funding("bitget", "BTC/USDT:USDT", np.empty((0, 2)))


def test_a_message_is_queued_once(writer: Writer, reader: Reader) -> None:
    assert writer.queue([message("a", signal_id=7, exit_policy="x@1"), message("b")]) == 2
    assert writer.queue([message("b", payload="other"), message("c")]) == 1
    read = reader.outbox()
    assert read["key"].tolist() == ["a", "b", "c"]
    assert read["payload"].tolist() == ["{}"] * 3
    assert read["state"].tolist() == ["queued"] * 3
    assert (read["signal_id"].tolist(), read["exit_policy"].tolist()) == ([7, 0, 0], ["x@1", "", ""])
    assert writer.queue([]) == 0


def test_an_alert_goes_with_what_it_announces(writer: Writer, reader: Reader) -> None:
    try:
        with writer.transaction():
            writer.queue([message("a")])
            raise RuntimeError("the signal could not be written")
    except RuntimeError:
        pass
    assert reader.outbox().empty


def test_attempts_to_deliver_are_written_down(writer: Writer, reader: Reader) -> None:
    writer.queue([message("a"), message("b", next_try_ms=50)])
    writer.mark_outbox(1, "queued", 10, error="no network", next_try_ms=70)
    row = reader.outbox().iloc[0]
    assert (row["state"], row["tries"], row["marked_ms"], row["next_try_ms"]) == ("queued", 1, 10, 70)
    assert row["error"] == "no network"
    assert reader.outbox(state="queued", due_ms=60)["key"].tolist() == ["b"]
    writer.mark_outbox(1, "sent", 80, remote_id="4711")
    row = reader.outbox(state="sent").iloc[0]
    assert (row["remote_id"], row["error"], row["tries"]) == ("4711", "", 2)
    assert reader.outbox(limit=1)["key"].tolist() == ["a"]


def test_the_messages_about_a_signal_are_found(writer: Writer, reader: Reader) -> None:
    writer.queue([message("a", signal_id=1), message("b", signal_id=2), message("c", signal_id=1)])
    assert reader.outbox(signal_ids=[1])["key"].tolist() == ["a", "c"]


def test_runs_of_jobs_come_newest_first(writer: Writer, reader: Reader) -> None:
    for i, job in enumerate(["sync", "scan", "sync"]):
        writer.put_job_run(job, i, i + 1, "ok", f"run {i}")
    assert reader.job_runs()["started_ms"].tolist() == [2, 1, 0]
    assert reader.job_runs("sync", limit=1)["detail"].tolist() == ["run 2"]


def test_only_the_newest_runs_of_each_job_are_kept(
    writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.store._write_records._RUNS_KEPT", 1_000)
    writer.put_job_run("train", 0, 1, "ok", "")
    with writer.transaction():
        for i in range(53 * 22 - 1):  # whether there are too many is looked at each 53rd time
            writer.put_job_run("sync", i, i, "ok", "")
    runs = reader.job_runs("sync", limit=5_000)
    assert (len(runs), runs["started_ms"].min()) == (1_000, 165)
    assert len(reader.job_runs("train")) == 1


def test_notes_are_replaced(writer: Writer, reader: Reader) -> None:
    assert reader.meta("k") is None
    writer.set_meta("k", "a")
    writer.set_meta("k", "b")
    assert reader.meta("k") == "b"


def test_symbols_are_switched_off_and_on(writer: Writer, reader: Reader) -> None:
    writer.set_symbol_off("bitget", "TON/USDT:USDT", "delisted", 5)
    writer.set_symbol_off("bitget", "TON/USDT:USDT", "again", 6)
    writer.set_symbol_off("binance", "X/USDT", "paused", 7)
    assert reader.symbols_off("bitget").values.tolist() == [["TON/USDT:USDT", "delisted", 5]]
    writer.clear_symbol_off("bitget", "TON/USDT:USDT")
    assert reader.symbols_off("bitget").empty


def test_a_checkpoint_empties_the_log(writer: Writer, path: Path) -> None:
    writer.put_candles(*BTC, walk(5_000), START_MS)
    report = writer.checkpoint()
    assert report.complete
    assert report.checkpointed == report.log_pages > 0
    assert path.with_name("ohlcv.db-wal").stat().st_size == 0
    assert "log empty" in str(report)


def test_a_checkpoint_does_not_wait_for_a_reader_and_says_so(writer: Writer, path: Path) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    reading = apsw.Connection(str(path))
    cursor = reading.execute("SELECT * FROM candle")
    next(cursor)
    writer.put_candles(*BTC, walk(5_000), START_MS)
    report = writer.checkpoint()
    assert not report.complete
    assert "still in use" in str(report)
    cursor.close()
    reading.close()
    assert writer.checkpoint().complete


def test_a_large_log_is_emptied_though_readers_take_turns_without_a_pause(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_maintain, "_LARGE_LOG_BYTES", 1_000)
    monkeypatch.setattr(_maintain, "_PATIENCE_MS", 10_000)
    ended, overlap = threading.Event(), threading.Barrier(2)

    def read_in_turns() -> None:
        readers = [apsw.Connection(str(path)), apsw.Connection(str(path))]
        readers[0].execute("BEGIN; SELECT count(*) FROM meta")
        overlap.wait()
        while not ended.wait(0.01):  # the next one begins before this one ends
            readers[1].execute("BEGIN; SELECT count(*) FROM meta")
            readers[0].execute("COMMIT")
            readers.reverse()
        for reader in readers:
            reader.close()

    writer.put_candles(*BTC, walk(5_000), START_MS)
    thread = threading.Thread(target=read_in_turns)
    thread.start()
    overlap.wait()
    writer.put_candles(*BTC, walk(5_000), START_MS)
    try:
        report = writer.checkpoint()
    finally:
        ended.set()
        thread.join()
    assert report.complete


def test_a_writer_waits_for_locks_again_after_a_checkpoint(writer: Writer, path: Path) -> None:
    writer.checkpoint()
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    other_thread = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    other_thread.start()
    writer.set_meta("k", "v")
    other_thread.join()
    other.close()
    assert writer.reader.meta("k") == "v"


def test_unused_pages_go_back_to_the_file_system(writer: Writer, path: Path) -> None:
    writer.put_candles(*BTC, walk(20_000), START_MS)
    writer._connection.execute("DELETE FROM candle_block")
    writer.checkpoint()
    size = path.stat().st_size
    freed = writer.incremental_vacuum(50)
    assert freed == 50
    assert writer.incremental_vacuum(10_000) > 0
    assert writer.incremental_vacuum() == 0
    writer.checkpoint()
    assert path.stat().st_size < size - 400_000
    assert writer.reader.integrity() == []


def test_a_back_up_is_a_database_of_its_own(writer: Writer, tmp_path: Path) -> None:
    writer.put_candles(*BTC, walk(2_000), START_MS)
    target = tmp_path / "copy of it.db"
    target.write_bytes(b"an older copy")
    writer.back_up(target)
    writer.put_candles(*BTC, walk(3_000), START_MS)
    assert same(Reader(target).candles(*BTC), walk(2_000))
    assert not list(tmp_path.glob("*.part"))
    with Writer(target) as restored:
        assert restored._connection.pragma("auto_vacuum") == 2
        assert restored._connection.pragma("journal_mode") == "wal"


def test_the_summary_counts_everything(writer: Writer, reader: Reader, path: Path) -> None:
    candles = pick(walk(3_000), np.arange(3_000) != 5)
    writer.put_candles(*BTC, candles, START_MS)
    writer.set_frontier(*BTC, START_MS + 2_880 * 60_000)
    states = ["confirmed", "open", "open"]
    gaps = pd.DataFrame({"ts_ms": [START_MS + 300_000, 60_000, 120_000], "state": states})
    writer.put_gaps(*BTC, gaps.assign(first_missed_ms=1, tries=1, next_try_ms=1))
    summary = reader.summary()
    assert summary.schema_version == SCHEMA_VERSION
    assert summary.sqlite_version == apsw.sqlite_lib_version()
    assert summary.file_bytes == path.stat().st_size
    assert summary.wal_bytes > 0
    assert summary.tables["candle"] == 2_999
    assert summary.tables["gaps"] == 3
    row = summary.series.iloc[0]
    assert (row["first_ms"], row["last_ms"]) == (START_MS, START_MS + 2_999 * 60_000)
    assert (row["candles"], row["blocks"], row["open_gaps"], row["confirmed_gaps"]) == (2_999, 2, 2, 1)
    text = str(summary)
    assert "BTC/USDT:USDT" in text
    assert "2024-01-01 00:00 UTC" in text
    assert "2,999" in text


def test_the_summary_of_an_empty_database_is_short(writer: Writer, reader: Reader) -> None:
    assert "candle" in str(reader.summary())
    assert reader.integrity() == []
