"""The weekly summary and the daily heartbeat."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from core.errors import DiskError
from core.jobs import alert, summary
from core.jobs._desk import Desk
from core.jobs._page import write_page
from core.jobs._period import week_name
from core.schema import SIGNALS, TRADES, conform
from tests.explained import World, open_world, write_world
from tests.unit.alerts.rows import closed, signal
from tests.unit.alerts.test_delivery import Recorder

SUNDAY = parse_time("2024-01-21T23:00")  # the end of week 3 as it is told
BEFORE = SUNDAY - DAY_MS
ODD = "<script>alert(1)</script>&/USDT"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    change = {"notify": {"console": False, "telegram": {"daily_heartbeat": True}}}
    return write_world(tmp_path_factory.mktemp("world"), change)


@pytest.fixture
def config(world: World, tmp_path: Path) -> Path:
    folder = tmp_path / "engine"
    shutil.copytree(world.config.parent, folder)
    path = folder / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(str(world.config.parent), str(folder)), encoding="utf-8")
    return path


@pytest.fixture
def desk(config: Path) -> Iterator[Desk]:
    with open_world(config) as opened:
        opened.notifiers = {"telegram": Recorder()}
        yield opened


def queued(desk: Desk, prefix: str = "note:weekly") -> list[str]:
    return [str(key) for key in desk.reader.outbox()["key"] if str(key).startswith(prefix)]


def page_of(desk: Desk, name: str = "2024-W03") -> Path:
    return Path(desk.config.app.data_dir) / "reports" / f"weekly-{name}.html"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_week_is_told_once_when_it_is_over(desk: Desk) -> None:
    for now_ms in (BEFORE, SUNDAY - MINUTE_MS):
        await summary.run(desk, now_ms)
        assert queued(desk) == []
    for now_ms in (SUNDAY, SUNDAY + MINUTE_MS, SUNDAY + DAY_MS):
        await summary.run(desk, now_ms)
    assert queued(desk) == ["note:weekly:2024-W03:telegram", "note:weekly:2024-W03:page:telegram"]
    await summary.run(desk, SUNDAY + 7 * DAY_MS)
    assert len(queued(desk)) == 4


async def test_a_week_nobody_ran_at_the_end_of_is_told_when_somebody_does(config: Path) -> None:
    with open_world(config) as desk:
        desk.notifiers = {"telegram": Recorder()}
        await summary.run(desk, BEFORE)
    with open_world(config) as desk:
        desk.notifiers = {"telegram": Recorder()}
        await summary.run(desk, SUNDAY + 2 * DAY_MS)
        assert "note:weekly:2024-W03:telegram" in queued(desk)
        text = json.loads(desk.reader.outbox().set_index("key").loc["note:weekly:2024-W03:telegram", "payload"])["text"]
        assert "2024-01-14 23:00 UTC to 2024-01-21 23:00 UTC" in text


async def test_an_engine_that_starts_does_not_tell_of_a_week_it_has_not_seen(desk: Desk) -> None:
    await summary.run(desk, SUNDAY + HOUR_MS)
    assert queued(desk) == []


async def test_what_died_before_the_message_was_queued_is_made_again(desk: Desk, config: Path) -> None:
    await summary.run(desk, BEFORE)
    desk.writer.set_meta("summary:weekly", str(BEFORE))
    page_of(desk).parent.mkdir()
    page_of(desk).write_text("of the run that died", encoding="utf-8")
    await summary.run(desk, SUNDAY)
    assert "Trader AI: Week 2024-W03" in page_of(desk).read_text(encoding="utf-8")
    assert len(queued(desk)) == 2


async def test_the_words_of_the_week(desk: Desk) -> None:
    await summary.run(desk, BEFORE)
    await summary.run(desk, SUNDAY)
    await alert.run(desk, SUNDAY)
    told = desk.notifiers["telegram"]
    assert isinstance(told, Recorder)
    (words,) = (message.plain for message in told.messages if "Signals:" in message.plain and "Week" in message.plain)
    for line in (
        "SYNTHETIC Week 2024-W03: 2024-01-14 23:00 UTC to 2024-01-21 23:00 UTC",
        "Signals: 19 candidates, 4 passed, 2 taken",
        "Ended: 1 closed (0 won), 1 never filled",
        "Win rate: not enough data (1 closed, 30 needed)",
        "Result: -1.12 R, -55.80 USD at the planned sizes, after costs",
        "Open now:",
        "Model: m20240101-",
        "Evidence: certified: 15m",
        "Drift: no alarm",
        "Not learned: auto_train has not run yet",
    ):
        assert line in words, words
    assert [message.document for message in told.messages if message.document] == [str(page_of(desk))]


async def test_the_page_needs_nothing_but_itself_and_escapes_what_comes_from_data(desk: Desk) -> None:
    await summary.run(desk, BEFORE)
    decided = SUNDAY - DAY_MS
    made = signal(1, key="odd", exchange="synthetic", symbol=ODD, decided_ms=decided, origin="live", verdict="PASS")
    frame = conform(pd.DataFrame([made]), SIGNALS).drop(columns="id")
    number = int(desk.writer.put_signals(frame)["id"].iloc[0])
    ended = closed(number, opened_ms=decided, closed_ms=decided + HOUR_MS, known_ms=decided + HOUR_MS)
    desk.writer.put_trades(conform(pd.DataFrame([ended]), TRADES))
    await summary.run(desk, SUNDAY)
    text = page_of(desk).read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "a"} & set(page.tags)
    assert not {"src", "href", "onload"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;/USDT" in text
    assert "prefers-color-scheme: dark" in text
    assert "SYNTHETIC MARKET" in text
    assert "Not enough data to judge" in text
    assert f"#{number}" in text


async def test_a_page_that_cannot_be_written_is_due_again(desk: Desk) -> None:
    await summary.run(desk, BEFORE)
    folder = page_of(desk).parent
    folder.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(DiskError, match="cannot be written"):
        await summary.run(desk, SUNDAY)
    assert queued(desk) == []
    folder.unlink()
    await summary.run(desk, SUNDAY + MINUTE_MS)
    assert len(queued(desk)) == 2


def test_pages_of_a_kind_are_bounded_and_others_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.html").write_text("mine", encoding="utf-8")
    for week in range(1, 8):
        write_page(tmp_path, f"weekly-2024-W{week:02d}.html", "x", 3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["notes.html", *(f"weekly-2024-W{week:02d}.html" for week in (5, 6, 7))]


async def test_the_heartbeat_is_said_once_a_day_at_its_hour(desk: Desk) -> None:
    midnight = parse_time("2024-01-22")
    await summary.run(desk, midnight)
    for hour in range(0, 49, 1):
        await summary.run(desk, midnight + hour * HOUR_MS)
    assert queued(desk, "note:daily") == ["note:daily:2024-01-22:telegram", "note:daily:2024-01-23:telegram"]
    text = json.loads(desk.reader.outbox().set_index("key").loc["note:daily:2024-01-22:telegram", "payload"])["text"]
    assert text.startswith("Still running.\nLast 24 hours: 2024-01-21 07:00 UTC to 2024-01-22 07:00 UTC")


def test_weeks_are_named_as_the_calendar_names_them() -> None:
    assert week_name(parse_time("2024-12-30")) == "2025-W01"
    assert week_name(parse_time("2027-01-03T23:00") - 1) == "2026-W53"
