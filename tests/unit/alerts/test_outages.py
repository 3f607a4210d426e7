"""The alert job through the Telegram adapter and HTTP, against everything a messenger does in a year."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.telegram import TelegramNotifier
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.jobs import alert
from core.jobs._announce import new_signal_rows, note_rows
from core.store.writer import Writer
from tests.servers.telegram import BLOCKED, CANARY_TOKEN, LOST, TelegramServer, broken, flood
from tests.unit.alerts.rows import DECIDED, closed, event, opened, settings, signal, signals, trade, trades
from tests.unit.alerts.test_delivery import announce, happen

NOW = DECIDED + MINUTE_MS


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


class Engine:
    """A store and a notifier, as a process has them; several may follow each other on one file."""

    def __init__(self, path: Path, server: TelegramServer, chat: str = "42", token: str = CANARY_TOKEN) -> None:
        self.writer = Writer(path)
        self.notifier = TelegramNotifier(token, chat, server.base_url, Pace(0.0))
        self.desk: Any = SimpleNamespace(
            config=settings(),
            writer=self.writer,
            reader=self.writer.reader,
            notifiers={"telegram": self.notifier},
            market=SimpleNamespace(synthetic=False, now_ms=lambda: 0),
            log=logging.getLogger("test"),
            memory={},
        )

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.notifier.close()
        self.writer.close()

    async def run(self, now_ms: int) -> Any:
        return await alert.run(self.desk, now_ms)

    def states(self) -> list[str]:
        return [str(state) for state in self.writer.reader.outbox()["state"]]


def heads(server: TelegramServer) -> list[str]:
    return [message.text.splitlines()[0].replace("<b>", "").replace("</b>", "") for message in server.messages]


async def test_a_group_that_moved_is_remembered_across_a_restart_and_said_once(
    server: TelegramServer, tmp_path: Path
) -> None:
    server.moved["-42"] = -1009
    async with Engine(tmp_path / "a.db", server, "-42") as engine:
        announce(engine.writer, 1)
        report = await engine.run(NOW)
        assert report.problems == (
            "telegram: the chat -42 became -1009: messages go there now; write notify.telegram.chat_id: -1009 "
            "(or TELEGRAM_CHAT_ID in .env)",
        )
        assert (await engine.run(NOW)).problems == ()
    asked = server.calls.count("sendMessage")
    async with Engine(tmp_path / "a.db", server, "-42") as engine:
        announce(engine.writer, 2)
        assert (await engine.run(NOW)).problems == ()
    assert server.calls.count("sendMessage") == asked + 1, "the old number is not asked again"
    assert [message.chat_id for message in server.messages] == ["-1009"] * 3
    assert "write notify.telegram.chat_id: -1009" in server.messages[1].text


async def test_a_number_that_was_corrected_in_the_configuration_is_used_as_written(
    server: TelegramServer, tmp_path: Path
) -> None:
    server.moved["-42"] = -1009
    async with Engine(tmp_path / "a.db", server, "-42") as engine:
        announce(engine.writer, 1)
        await engine.run(NOW)
    async with Engine(tmp_path / "a.db", server, "55") as engine:
        announce(engine.writer, 2)
        await engine.run(NOW)
    assert server.messages[-1].chat_id == "55"


async def test_a_chat_that_blocks_the_bot_is_asked_hourly_and_told_all_of_a_day_when_it_opens(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with Engine(tmp_path / "a.db", server) as engine:
        announce(engine.writer, 1, 2)
        said = []
        for minute in range(0, 5 * 60, 10):
            server.script.extend([BLOCKED] * 3)
            report = await engine.run(NOW + minute * MINUTE_MS)
            said += report.problems
            server.script.clear()
        assert len(said) == 1, "a person hears of it once"
        assert "unblock or add it there" in said[0]
        assert server.calls.count("sendMessage") == 5
        assert engine.states() == ["queued", "queued"]
        await engine.run(NOW + 5 * HOUR_MS)
        assert heads(server) == ["#1 LONG BTC/USDT:USDT 15m", "#2 LONG BTC/USDT:USDT 15m"]
        server.script.append(BLOCKED)
        announce(engine.writer, 3)
        assert len((await engine.run(NOW + 5 * HOUR_MS)).problems) == 1, "and again when it happens again"


async def test_what_a_chat_refused_for_a_day_is_given_up_and_the_rest_is_not(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with Engine(tmp_path / "a.db", server) as engine:
        engine.writer.queue(note_rows("old", "old", ["telegram"], NOW))
        engine.writer.queue(note_rows("new", "new", ["telegram"], NOW + 20 * HOUR_MS))
        server.script.extend([BLOCKED] * 2)
        await engine.run(NOW)
        await engine.run(NOW + DAY_MS)
        assert engine.states() == ["failed", "queued"]
        await engine.run(NOW + DAY_MS + HOUR_MS)
        assert engine.states() == ["failed", "sent"]


async def test_a_wrong_token_waits_for_a_person_and_is_said_once(server: TelegramServer, tmp_path: Path) -> None:
    wrong = "123456789:WRONG_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    async with Engine(tmp_path / "a.db", server, token=wrong) as engine:
        announce(engine.writer, 1)
        reports = [await engine.run(NOW + minute * MINUTE_MS) for minute in range(0, 60, 5)]
        assert [len(report.problems) for report in reports] == [1] + [0] * 11
        assert not any(report.ok for report in reports)
        assert engine.states() == ["queued"]
    async with Engine(tmp_path / "a.db", server) as engine:
        await engine.run(NOW + 2 * HOUR_MS)
        assert engine.states() == ["sent"]


async def test_after_an_outage_of_a_day_everything_is_told_in_order_or_left_out_with_its_reason(
    server: TelegramServer, tmp_path: Path
) -> None:
    async with Engine(tmp_path / "a.db", server) as engine:
        announce(engine.writer, 1, 2)  # valid for 15 hours
        happen(engine.writer, opened(1), event("FILL", 1))
        now = NOW
        while now < NOW + DAY_MS - HOUR_MS:
            server.script.extend([broken()] * 4)
            await engine.run(now)
            server.script.clear()
            now += 30 * MINUTE_MS
        lasting = signals(*(signal(n, valid_until_ms=DECIDED + 3 * DAY_MS) for n in range(3, 16)))
        with engine.writer.transaction():
            ids = engine.writer.put_signals(lasting.drop(columns="id"))["id"].to_numpy()
            made = trades(*(trade(int(number)) for number in ids))
            engine.writer.put_trades(made)
            engine.writer.queue(new_signal_rows(lasting.assign(id=ids), made, settings(), ["telegram"], NOW))
        happen(engine.writer, opened(5), event("FILL", 5))
        happen(engine.writer, closed(5), event("TP1_TRAIL", 5, seq=1, minutes=300))
        await engine.run(NOW + DAY_MS)
        assert Counter(engine.states()) == {"sent": 12, "skipped": 6}
        assert heads(server) == ["12 new signals"]
        assert "late by" in server.messages[0].text
        rows = engine.writer.reader.outbox().to_dict("records")
        why = {row["key"]: row["error"] for row in rows if row["state"] == "skipped"}
        assert why["new:key1:telegram"] == "too late: its order was valid until 2024-05-02 03:00 UTC"
        assert why["new:key5:telegram"] == "too late: its trade is over"
        assert sum(reason == "its signal was never announced here" for reason in why.values()) == 3
        assert "queued" not in engine.states()


async def test_a_lost_answer_makes_a_duplicate_with_the_same_id(server: TelegramServer, tmp_path: Path) -> None:
    async with Engine(tmp_path / "a.db", server) as engine:
        announce(engine.writer, 1)
        server.script.append(LOST)
        await engine.run(NOW)
        await engine.run(NOW + 10_000)
        assert heads(server) == ["#1 LONG BTC/USDT:USDT 15m"] * 2
        assert engine.states() == ["sent"]


async def test_a_message_that_never_passes_is_given_up_once_others_do(server: TelegramServer, tmp_path: Path) -> None:
    server.poisoned["#2 LONG"] = broken(500)
    async with Engine(tmp_path / "a.db", server) as engine:
        announce(engine.writer, 1, 2, 3, 4)
        happen(engine.writer, opened(2), event("FILL", 2))
        now, report = NOW, await engine.run(NOW)
        while len(server.messages) < 3:
            now = int(engine.writer.reader.outbox(state="queued")["next_try_ms"].max())
            report = await engine.run(now)
        assert now - NOW < 5 * MINUTE_MS
        assert [head.split()[0] for head in heads(server)] == ["#1", "#3", "#4"]
        first = engine.writer.reader.outbox().set_index("key").loc["new:key2:telegram"]
        assert first["state"] == "failed"
        assert first["error"].startswith(f"given up after {alert.PARK_AFTER} tries, others pass: telegram: not reached")
        assert any("new:key2:telegram was refused" in line for line in report.problems)
        now = await alone(engine, now)
        engine.writer.queue(note_rows("next", "next", ["telegram"], now))
        await engine.run(now)
        assert heads(server)[-1] == "next", "its fill, with the same words, went the same way"
        assert Counter(engine.states()) == {"sent": 4, "failed": 2}


async def alone(engine: Engine, now: int) -> int:
    """Let the one message that is left try for a while; return when it tries the next time."""
    for _ in range(8):
        await engine.run(now)
        (left,) = engine.writer.reader.outbox(state="queued").to_dict("records")
        now = int(left["next_try_ms"])
    return now


async def test_an_outage_gives_up_nothing_however_long_it_takes(server: TelegramServer, tmp_path: Path) -> None:
    async with Engine(tmp_path / "a.db", server) as engine:
        for number in range(4):
            engine.writer.queue(note_rows(str(number), f"note {number}", ["telegram"], NOW))
        now = NOW
        for _ in range(40):
            server.script.extend([broken()] * 2)
            await engine.run(now)
            server.script.clear()
            now = int(engine.writer.reader.outbox()["next_try_ms"].max())
        assert engine.states() == ["queued"] * 4
        await engine.run(now)
        assert heads(server) == [f"note {number}" for number in range(4)]


async def test_a_pause_asked_for_is_kept_by_the_next_process_too(server: TelegramServer, tmp_path: Path) -> None:
    async with Engine(tmp_path / "a.db", server) as engine:
        announce(engine.writer, 1)
        server.script.append(flood(60))
        await engine.run(NOW)
    async with Engine(tmp_path / "a.db", server) as engine:
        engine.writer.queue(note_rows("later", "queued meanwhile", ["telegram"], NOW))
        await engine.run(NOW + 59_000)
        assert server.messages == []
        await engine.run(NOW + 60_000)
        assert len(server.messages) == 2
