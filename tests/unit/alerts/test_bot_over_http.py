"""The bot from end to end: a Bot API on loopback, the real adapter, the real jobs, a real desk."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.telegram import TelegramNotifier
from core.jobs import alert, converse
from core.jobs._desk import Desk
from core.schema import SIGNALS, conform
from tests.explained import END_MS, World, open_world, write_world
from tests.servers.telegram import CANARY_TOKEN, TelegramServer, broken
from tests.unit.alerts.rows import signal

ANN, STRANGER = 7, 666
ODD = "<b>X&Y/USDT"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    change = {"notify": {"console": False, "telegram": {"allowed_user_ids": [ANN]}}}
    return write_world(tmp_path_factory.mktemp("world"), change)


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


class Process:
    """The part of an engine that talks, on a database that outlives it."""

    def __init__(self, desk: Desk, server: TelegramServer) -> None:
        self.desk = desk
        self.notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
        desk.notifiers = {"telegram": self.notifier}

    async def until(self, server: TelegramServer, messages: int) -> None:
        """Do what the schedule does until so many messages have arrived."""
        for _ in range(300):
            await converse.run(self.desk, END_MS)
            report = await alert.run(self.desk, END_MS)
            assert not report.problems, report
            if len(server.messages) >= messages:
                return
        raise AssertionError(f"{len(server.messages)} messages arrived, {messages} expected")


@contextmanager
def process(config: Path, server: TelegramServer) -> Iterator[Process]:
    with open_world(config) as desk:
        yield Process(desk, server)


@pytest.fixture
def config(world: World, tmp_path: Path) -> Path:
    folder = tmp_path / "engine"
    shutil.copytree(world.config.parent, folder)
    path = folder / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(str(world.config.parent), str(folder)), encoding="utf-8")
    return path


def plain(text: str) -> str:
    return html.unescape(re.sub("</?(?:b|code)>", "", text))


async def test_a_conversation(server: TelegramServer, config: Path) -> None:
    with process(config, server) as engine:
        number = server.write("/help", ANN)
        server.write("/status", STRANGER)
        await engine.until(server, 1)
        server.write("/why 44", ANN)
        await engine.until(server, 2)
        server.write("/funnel", ANN)
        await engine.until(server, 3)
        server.write("/taken@trader_bot 44", ANN, chat=-100200)
        await engine.until(server, 4)
        server.write("/trades 2", ANN)
        await engine.until(server, 5)
        await engine.notifier.close()
        journal = engine.desk.reader.journal()
    assert [message.chat_id for message in server.messages] == ["7", "7", "7", "-100200", "7"]
    assert all(message.parse_mode == "HTML" for message in server.messages)
    heads = [plain(message.text).splitlines()[0] for message in server.messages]
    assert heads[0] == "SYNTHETIC Commands"
    assert heads[1].startswith("SYNTHETIC #44")
    assert heads[2].startswith("SYNTHETIC MARKET")
    assert heads[3].startswith("SYNTHETIC #44")
    assert heads[4] == "SYNTHETIC 2 newest finished trades"
    assert journal["action"].tolist() == ["taken"]
    assert number < server.offsets[-1]


async def test_a_command_is_obeyed_once_whatever_dies_in_between(server: TelegramServer, config: Path) -> None:
    server.write("/skipped 44", ANN)
    with process(config, server) as engine:
        while not len(engine.desk.reader.outbox()):
            await converse.run(engine.desk, END_MS)
        await engine.notifier.close()  # before the answer left, and before Telegram was told
    assert len(server.updates) == 1
    with process(config, server) as engine:
        await engine.until(server, 1)
        server.write("/help", ANN)
        await engine.until(server, 2)
        await engine.notifier.close()
        assert len(engine.desk.reader.journal()) == 1
    assert "You skipped it." in server.messages[0].text
    assert len(server.messages) == 2


async def test_odd_names_reach_the_chat_as_they_are(server: TelegramServer, config: Path) -> None:
    with process(config, server) as engine:
        row = signal(900, exchange="synthetic", symbol=ODD, decided_ms=END_MS, key="odd", reason="<i>&", verdict="PASS")
        frame = conform(pd.DataFrame([row]), SIGNALS).drop(columns="id")
        number = int(engine.desk.writer.put_signals(frame)["id"].iloc[0])
        server.write(f"/taken {number}", ANN)
        server.write("/signals 1", ANN)
        server.write("/mute <script>", ANN)
        server.write("/<b>", ANN)
        await engine.until(server, 4)
        await engine.notifier.close()
    shown = [plain(message.text) for message in server.messages]
    assert all(message.parse_mode == "HTML" for message in server.messages), "none had to be sent plain"
    assert f"#{number} LONG {ODD} 15m" in shown[0]
    assert f"#{number} LONG {ODD} 15m PASS" in shown[1]
    assert "symbol '<script>' is neither configured" in shown[2]
    assert "no command /<b>" in shown[3]


async def test_a_long_answer_comes_in_pages_that_telegram_takes(server: TelegramServer, config: Path) -> None:
    with process(config, server) as engine:
        rows = [
            signal(
                n, exchange="synthetic", symbol=f"{'<&>' * 20}{n}/USDT", decided_ms=END_MS, key=f"k{n}", verdict="PASS"
            )
            for n in range(900, 930)
        ]
        engine.desk.writer.put_signals(conform(pd.DataFrame(rows), SIGNALS).drop(columns="id"))
        server.write("/signals 30", ANN)
        await engine.until(server, 2)
        await engine.notifier.close()
    assert all(message.parse_mode == "HTML" for message in server.messages)
    assert [message.reply_to is None for message in server.messages] == [True, True]
    assert sum(message.text.count("entry <code>") for message in server.messages) == 30


async def test_commands_go_on_while_a_chat_cannot_be_reached(server: TelegramServer, config: Path) -> None:
    with process(config, server) as engine:
        server.script.append(broken())
        server.write("/help", ANN)
        for _ in range(100):
            await converse.run(engine.desk, END_MS)
            await alert.run(engine.desk, END_MS)
            if not server.script:
                break
            await asyncio.sleep(0)
        assert server.messages == []
        await alert.run(engine.desk, END_MS + 10_000)
        assert len(server.messages) == 1
        await engine.notifier.close()
