"""What was committed is there after a kill, whole; readers and other processes do not get in the way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from core.errors import StoreError
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, same, walk

ROOT = Path(__file__).parents[3]

# Writes ten candles a transaction, notes how many there are in the same transaction, and says so once committed.
WRITE_FOR_EVER = """
import sys
from pathlib import Path
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, walk
candles = walk(200_000)
with Writer(Path(sys.argv[1])) as writer:
    done = len(writer.reader.candles(*BTC))
    while done < len(candles):
        with writer.transaction():
            writer.put_candles(*BTC, candles.slice(done, done + 10), START_MS)
            writer.set_frontier(*BTC, START_MS + 60_000 * (done + 10))
            writer.set_meta("done", str(done + 10))
        done += 10
        print(done, flush=True)
"""


def started(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_what_was_committed_survives_a_kill_and_is_whole(path: Path) -> None:
    for round_number in range(4):
        process = started(path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.11 * round_number)
        process.kill()
        told = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        promised = int(told[-1]) if told else 10
        reader = Reader(path)
        stored = reader.candles(*BTC)
        assert len(stored) >= promised
        assert same(stored, walk(200_000).slice(0, len(stored)))
        assert reader.meta("done") == str(len(stored))
        assert reader.frontier(*BTC) == START_MS + 60_000 * len(stored)
        assert reader.integrity() == []
    with Writer(path) as writer:
        assert writer.checkpoint().complete


def test_readers_see_whole_transactions_while_another_process_writes(path: Path) -> None:
    process = started(path)
    assert process.stdout is not None
    process.stdout.readline()
    reader, seen = Reader(path), []
    try:
        for _ in range(40):
            seen.append(len(reader.candles(*BTC)))
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert all(count % 10 == 0 for count in seen)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_a_writer_gets_its_turn_beside_a_process_that_commits_without_pause(path: Path) -> None:
    with Writer(path) as writer:
        process = started(path)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            for i in range(50):
                writer.set_meta("mine", str(i))
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        assert writer.reader.meta("mine") == "49"
        assert writer.reader.integrity() == []


def test_readers_in_threads_do_not_keep_the_log_from_being_emptied(writer: Writer, path: Path) -> None:
    stop, failures = threading.Event(), []

    def look() -> None:
        reader = Reader(path)
        try:
            while not stop.is_set():
                reader.last_candles(*BTC, 100)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    largest = 0
    for lo in range(0, 30_000, 500):
        writer.put_candles(*BTC, walk(30_000).slice(lo, lo + 500), START_MS)
        largest = max(largest, path.with_name("ohlcv.db-wal").stat().st_size)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert largest < 40 * 1024 * 1024
    assert writer.checkpoint().complete
