"""A scene without an engine: a writer that commits, and dies at any write of the disk, hundreds of times in a minute.

The law: what is in the database after the n-th transaction is known from an undisturbed run, byte for byte; after
every death the file is whole, holds the content of some n, and that n is not older than the last one answered.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from core.clock import MINUTE_MS
from core.schema import Candles
from core.store.writer import Writer
from tests.factories import START_MS, signal_rows, trade_rows
from tests.torture.board import CUT, KILL, Board
from tests.torture.disk import Disk
from tests.torture.processes import forked, wait

__all__ = ["Outcome", "run_ledger"]

TRANSACTIONS = 60
_KEY = ("bitget", "BTC/USDT:USDT", "1m")
_NOT_COMPARED = {"created_ms", "updated_ms"}  # the machine's time of writing
_SEQ = "torture.seq"
_LOG_MOST_OPERATIONS = 6.5  # of the disk before a death: making the schema takes 150, a transaction 10 to 40


@dataclass(slots=True)
class Outcome:
    """What one seed of the scene came to."""

    kills: int = 0
    cuts: int = 0
    transactions: int = 0
    lost: int = 0
    corrupt: int = 0
    failures: list[str] = field(default_factory=list)


def run_ledger(folder: Path, seed: int, cuts: int, kills: int, prepare: Callable[[], None] = lambda: None) -> Outcome:
    """Let a writer die so many times; the database lives on from death to death until it is full.

    Parameters
    ----------
    folder : pathlib.Path
    seed : int
    cuts, kills : int
        Power cuts and SIGKILLs.
    prepare : callable, optional
        Called in each child before anything is opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    path, digests = folder / "ledger.db", _undisturbed(folder)
    outcome, board = Outcome(), Board()
    deaths = [CUT] * cuts + [KILL] * kills
    rng.shuffle(deaths)
    for number, death in enumerate(deaths):
        if board["tick"] >= TRANSACTIONS:
            for old in folder.glob("ledger.db*"):
                old.unlink()
            board["tick"] = board["acked"] = 0
        board.arm(death, 0, count=round(math.exp(rng.uniform(0, _LOG_MOST_OPERATIONS))))
        draw = rng.randrange(2**32)
        pid = forked(lambda d=draw, p=death: _live(path, board, d, p == CUT, prepare), folder / "trace")
        ended = wait(pid, folder / "trace")
        if ended.signal:
            outcome.cuts += death == CUT
            outcome.kills += death == KILL
        problem = ended.said or _examine(path, board, digests, outcome)
        if problem:
            outcome.failures.append(f"death {number} ({'power cut' if death == CUT else 'SIGKILL'}): {problem}")
            return outcome
        outcome.transactions = max(outcome.transactions, board["acked"])
    return outcome


def _undisturbed(folder: Path) -> list[str]:
    """Return the content's digest after each transaction."""
    path = folder / "reference.db"
    with Writer(path) as writer:
        _begin(writer)
        digests = [_digest(path)]
        for n in range(1, TRANSACTIONS + 1):
            _transact(writer, n)
            digests.append(_digest(path))
    for old in folder.glob("reference.db*"):
        old.unlink()
    return digests


def _live(path: Path, board: Board, draw: int, has_cache: bool, prepare: Callable[[], None]) -> int:
    disk = Disk(has_cache, lambda: False, board.reach)
    board.cut, board.settle = lambda: disk.cut(random.Random(draw)), disk.settle
    prepare()
    with Writer(path) as writer:
        if writer.reader.meta(_SEQ) is None:
            _begin(writer)
        known = int(writer.reader.meta(_SEQ) or 0)
        board["acked"] = max(board["acked"], known)
        for n in range(known + 1, TRANSACTIONS + 1):
            board["tick"] = n - 1
            _transact(writer, n)
            board["acked"] = n
            if n % 7 == 0:
                writer.checkpoint()
        board["tick"] = TRANSACTIONS
    return 0


def _begin(writer: Writer) -> None:
    with writer.transaction():
        writer.set_frontier(*_KEY, START_MS)
        writer.set_meta(_SEQ, "0")


def _transact(writer: Writer, n: int) -> None:
    """Write what a minute writes: candles, one of them revised, a signal with its trade and its alert, marks."""
    with writer.transaction():
        ts = START_MS + MINUTE_MS * np.arange(max(0, 20 * n - 25), 20 * n)
        price = 100.0 + np.sin(ts / 7.0) + 1e-3 * n * (ts == ts[2])
        writer.put_candles(*_KEY, Candles.of(ts, price, price + 1.0, price - 1.0, price, np.full(len(ts), 1.0 + n)), n)
        writer.set_frontier(*_KEY, int(ts[-1]) + MINUTE_MS)
        signals = signal_rows([{"decided_ms": START_MS + n * 900_000, "key": f"key-{n}"}]).drop(columns="id")
        number = int(writer.put_signals(signals)["id"].iloc[0])
        writer.put_trades(trade_rows([_trade(number, n)]))
        if n > 1:
            writer.put_trades(trade_rows([_trade(number - 1, n)]))
        alert = {"channel": "telegram", "kind": "new_signal", "payload": "x" * (n * 37 % 900), "created_ms": n}
        writer.queue([{"key": f"new:{n}", "next_try_ms": n, "signal_id": number, **alert}])
        if n > 2:
            writer.mark_outbox(n - 2, "sent", n, remote_id=str(n))
        writer.set_meta(_SEQ, str(n))


def _trade(number: int, n: int) -> dict[str, Any]:
    opened = START_MS + number * 900_000
    times = {"opened_ms": opened, "closed_ms": 0, "known_ms": 0, "next_ms": opened + n * MINUTE_MS}
    return {"signal_id": number, "status": "OPEN", "exit_reason": "", "exit_price": float("nan"), **times}


def _digest(path: Path) -> str:
    """Return a digest of every row of every table, times of writing left out."""
    hasher = hashlib.sha256()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        names = sorted(row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"))
        for name in names:
            if name in ("sqlite_sequence", "migrations"):  # the latter says when each was applied
                continue
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            kept = ", ".join(column for column in columns if column not in _NOT_COMPARED)
            rows = sorted(map(repr, connection.execute(f"SELECT {kept} FROM {name}")))
            hasher.update(f"{name}{rows}".encode())
    finally:
        connection.close()
    return hasher.hexdigest()


def _examine(path: Path, board: Board, digests: list[str], outcome: Outcome) -> str:
    """Return what is wrong with a database after a death; ``""`` where nothing is."""
    if not path.exists() or path.stat().st_size == 0:
        return _lost(outcome, f"no database, {board['acked']} transactions were answered") if board["acked"] else ""
    copy = path.with_name("looked.db")
    for suffix in ("", "-wal"):  # a copy: looking must not mend what is looked at
        source = Path(f"{path}{suffix}")
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, f"{copy}{suffix}")
    Path(f"{copy}-shm").unlink(missing_ok=True)
    try:
        connection = apsw.Connection(str(copy))
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            has_meta = list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'"))
            rows = list(connection.execute("SELECT value FROM meta WHERE key = ?", (_SEQ,))) if has_meta else []
        finally:
            connection.close()
        if found != ["ok"]:
            outcome.corrupt += 1
            return f"integrity_check: {found[:2]}"
        if not rows:
            return _lost(outcome, f"empty, {board['acked']} transactions were answered") if board["acked"] else ""
        n = int(rows[0][0])
        if n < board["acked"]:
            return _lost(outcome, f"transaction {n} is the newest, {board['acked']} was answered")
        if _digest(copy) != digests[n]:
            outcome.corrupt += 1
            return f"its content is not that of transaction {n}"
    except apsw.Error as error:
        outcome.corrupt += 1
        return f"it cannot be read: {error}"
    return ""


def _lost(outcome: Outcome, said: str) -> str:
    outcome.lost += 1
    return said
