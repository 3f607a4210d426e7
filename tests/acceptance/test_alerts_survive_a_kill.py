"""P3: no alert is lost, whatever kills the process; a duplicate needs a kill and carries the same id.

A real outbox, the real alert job in a process of its own, and a Bot API on loopback that shoots that process
when it has taken a message: before it answers (the answer is lost with the process) or right after it
(the process dies somewhere between the answer and the mark).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from core.clock import MINUTE_MS
from core.jobs._announce import event_rows, new_signal_rows
from core.store.reader import Reader
from core.store.writer import Writer
from tests.servers.telegram import CANARY_TOKEN, RESET, TelegramServer, broken
from tests.unit.alerts.rows import DECIDED, closed, event, events, opened, settings, signal, signals, trade, trades

ROOT = Path(__file__).resolve().parents[2]
NOW = DECIDED + MINUTE_MS
SIGNALS = 6

CHILD = """
import asyncio, logging, sys
from pathlib import Path
from types import SimpleNamespace
from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.telegram import TelegramNotifier
from core.jobs import alert
from core.store.writer import Writer
from tests.unit.alerts.rows import settings

async def deliver(path, base_url, token, now_ms):
    with Writer(Path(path)) as writer:
        notifier = TelegramNotifier(token, "42", base_url, Pace(0.0))
        desk = SimpleNamespace(
            config=settings(), writer=writer, reader=writer.reader, notifiers={"telegram": notifier},
            market=SimpleNamespace(synthetic=False, now_ms=lambda: now_ms), log=logging.getLogger("child"),
            memory={},
        )
        print("ready", flush=True)
        sys.stdin.readline()
        while len(writer.reader.outbox(state="queued")):
            await alert.run(desk, now_ms)
            now_ms += 60_000
        await notifier.close()

asyncio.run(deliver(*sys.argv[1:4], int(sys.argv[4])))
"""


def queue_everything(path: Path) -> int:
    """Store signals and what became of them as the jobs do; return how many alerts that makes."""
    with Writer(path) as writer, writer.transaction():
        made = signals(*(signal(number) for number in range(1, SIGNALS + 1)))
        made = made.assign(id=writer.put_signals(made.drop(columns="id"))["id"].to_numpy())
        begun = trades(*(trade(int(number)) for number in made["id"]))
        writer.put_trades(begun)
        queued = writer.queue(new_signal_rows(made, begun, settings(), ["telegram"], NOW))
        for moved, happened in (
            (trades(opened(1), opened(2)), events(event("FILL", 1), event("FILL", 2))),
            (trades(closed(2)), events(event("TP1_TRAIL", 2, seq=1, minutes=300))),
        ):
            writer.put_trades(moved)
            writer.put_events(happened)
            queued += writer.queue(event_rows(happened, moved, made, settings(), ["telegram"], NOW))
    return queued


def deliver(path: Path, server: TelegramServer) -> int:
    """Run the alert job in a process until its outbox is empty or it is shot; return the exit code."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), server.base_url, CANARY_TOKEN, str(NOW)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "ready\n"
        server.victim = child.pid
        child.stdin.write("go\n")
        child.stdin.close()
        return child.wait(timeout=60)


def heads(server: TelegramServer) -> list[str]:
    return [re.sub(r"</?b>", "", message.text.splitlines()[0]) for message in server.messages]


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_alert_is_lost_when_the_process_is_killed(tmp_path: Path, when: str) -> None:
    path = tmp_path / "ohlcv.db"
    queued = queue_everything(path)
    assert queued == SIGNALS + 3
    with TelegramServer() as server:
        server.kill_at = {2: when, SIGNALS + 3: when}  # a signal's first message, and a reply
        kills = len(server.kill_at)
        codes = [deliver(path, server) for _ in range(kills)]
        assert codes == [-9] * kills
        assert deliver(path, server) == 0

        times = Counter(heads(server))
        expected = {f"#{number} LONG BTC/USDT:USDT 15m" for number in range(1, SIGNALS + 1)}
        expected |= {f"#{number} LONG BTC/USDT:USDT 15m: filled" for number in (1, 2)}
        expected |= {"#2 LONG BTC/USDT:USDT 15m: closed +2.34 %, +1.31 R"}
        assert set(times) == expected, "lost, or never queued"
        assert max(times.values()) <= 2
        duplicates = sum(times.values()) - queued
        assert duplicates == kills if when == "before" else duplicates <= kills

        first = {message.message_id: head for message, head in zip(server.messages, heads(server), strict=True)}
        for message, head in zip(server.messages, heads(server), strict=True):
            if ": " in head:
                assert first[message.reply_to or 0] == head.split(": ")[0], "a reply answers its own signal"
    marked = Reader(path).outbox()
    assert set(marked["state"]) == {"sent"}
    assert len(marked) == queued


def test_every_alert_arrives_through_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    queued = queue_everything(path)
    with TelegramServer() as server:
        server.getme.append(broken())
        server.script.extend([RESET, broken(500), RESET])
        assert deliver(path, server) == 0
        assert len(server.messages) == queued
        assert len(set(heads(server))) == queued
