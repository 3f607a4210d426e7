"""A few seeds of the rig, and the cheap ones of its broken variants; `make torture` runs all of both."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apsw
import pytest

from core.jobs import alert, execute, retro
from core.jobs.retro import RetroRequest
from core.store.writer import Writer
from tests.desks import BTC, end_of, feed, minutes, open_desk, play, tape_market
from tests.torture.board import Board
from tests.torture.broken import BROKEN
from tests.torture.check import differing, look, told_everything
from tests.torture.ledger import _begin, _transact
from tests.torture.messenger import CHANNEL, FaultyNotifier
from tests.torture.plan import calm_plan
from tests.torture.world import WIDE, world_of

ROOT = Path(__file__).resolve().parents[2]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the rig forks its processes; this system cannot")


def torture(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the rig in an interpreter of its own: what it forks must have no other threads."""
    command = [sys.executable, "-m", "tests.torture", "--folder", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@needs_fork
def test_quick_seeds_lose_nothing_and_converge(tmp_path: Path) -> None:
    ran = torture(tmp_path, "--seeds", "2", "--quick")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "| P1 durability |" in ran.stdout
    assert "0 answered commits lost, 0 corrupt files" in ran.stdout


@needs_fork
def test_the_cheap_broken_variants_are_noticed(tmp_path: Path) -> None:
    ran = torture(tmp_path, "--broken", "cheap")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "NOT NOTICED" not in ran.stdout


def test_there_are_at_least_fifteen_broken_variants_each_with_its_promise() -> None:
    assert len(BROKEN) >= 15
    assert len({variant.name for variant in BROKEN}) == len(BROKEN)
    assert {variant.promise for variant in BROKEN} >= {"P1", "P2", "P3"}
    assert all(variant.seeds for variant in BROKEN)


def test_worlds_are_shared_between_seeds_so_that_undisturbed_runs_are_few() -> None:
    assert len({world_of(seed) for seed in range(60)}) == 6


def test_the_judge_counts_missing_doubled_and_different_rows(tmp_path: Path) -> None:

    found = []
    for name, count in (("one", 3), ("two", 3), ("short", 2)):
        with Writer(tmp_path / f"{name}.db") as writer:
            _begin(writer)
            for n in range(1, count + 1):
                _transact(writer, n)
        found.append(look(tmp_path / f"{name}.db"))
    one, two, short = found
    assert differing(one, two) == (0, "")
    count, said = differing(short, one)
    assert count > 0 and "is missing" in said
    two["signals"].loc[0, "entry"] += 1e-6
    assert differing(two, one) == (1, f"signals: {one['signals']['key'][0]}: entry is 100.000001, expected 100.0")
    two["signals"].loc[1, "key"] = two["signals"].loc[0, "key"]
    assert "more than once" in differing(two, one)[1]


def test_what_a_retro_scan_finds_out_about_live_trades_is_told_all_the_same(tmp_path: Path) -> None:
    candles = minutes(8)
    market = tape_market({BTC: candles}, end_ms=int(candles.ts[300]))
    change = {
        "models": {"meta": {"enabled": False}},
        "notify": {"console": False, "late_minutes": 10_000},
        "risk": {"limits": WIDE},
    }
    desk = open_desk(tmp_path, market, change)
    desk.notifiers = {CHANNEL: FaultyNotifier(calm_plan(), Board(), tmp_path / "chat", Counter())}
    play(desk)
    begun = desk.reader.trades(status=["PENDING", "OPEN"])
    before = set(desk.reader.outbox()["key"])
    assert len(begun)

    now_ms = end_of(candles)
    feed(desk, candles, now_ms)  # candles came while no engine ran, and a retro scan follows
    asyncio.run(
        retro.run(desk, now_ms, RetroRequest(int(candles.ts[0]), int(candles.ts[280]), [BTC], ["5m", "15m"], jobs=1))
    )
    asyncio.run(execute.run(desk, now_ms))

    assert desk.reader.trades(status=["PENDING", "OPEN"]).empty
    news = desk.reader.outbox()
    told = news[~news["key"].isin(before) & news["signal_id"].isin(begun["signal_id"])]
    assert set(told["signal_id"]) == set(begun["signal_id"])
    assert set(told["kind"]) == {"trade_event"}
    desk.writer.close()


def test_the_judge_misses_what_became_of_a_signal_that_was_announced(tmp_path: Path) -> None:
    candles, chat = minutes(8), tmp_path / "chat"
    change = {
        "models": {"meta": {"enabled": False}},
        "notify": {"console": False, "late_minutes": 10_000},
        "risk": {"limits": WIDE},
    }
    desk = open_desk(tmp_path, tape_market({BTC: candles}, end_ms=end_of(candles)), change)
    desk.notifiers = {CHANNEL: FaultyNotifier(calm_plan(), Board(), chat, Counter())}
    play(desk)
    asyncio.run(alert.run(desk, end_of(candles)))
    desk.writer.close()
    database = desk.writer.path
    assert told_everything(database, chat, None, set(), 0).failure == ""
    connection = apsw.Connection(str(database))
    ((key,),) = connection.execute(
        "DELETE FROM outbox WHERE id = (SELECT max(id) FROM outbox WHERE kind = 'trade_event' AND state = 'sent')"
        " RETURNING key"
    )
    connection.close()
    failure = told_everything(database, chat, None, set(), 1).failure
    assert failure == f"alert {key} was never queued, though its signal was announced"
