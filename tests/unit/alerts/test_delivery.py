"""The alert job over a real outbox, with notifiers that do as they are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.clock import MINUTE_MS
from core.errors import ChatRefused, CredentialsError, NotifierError, NotifierUnavailable
from core.jobs import alert
from core.jobs._announce import answer_rows, new_signal_rows, note_rows, queue_events
from core.ports import Heard, Message
from core.schema import Candles
from core.store.writer import Writer
from tests.unit.alerts.rows import DECIDED, closed, event, events, opened, settings, signal, signals, trade, trades

NOW = DECIDED + MINUTE_MS


class Recorder:
    """A notifier that keeps what it was given and fails as scripted."""

    def __init__(self, name: str = "telegram") -> None:
        self.name = name
        self.messages: list[Message] = []
        self.failures: list[Exception] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.configured = self.address = "42"

    def moved_to(self, address: str) -> None:
        self.address = address

    async def send(self, message: Message) -> str:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.messages.append(message)
        self.before_answer()
        return str(100 + len(self.messages) - 1)

    async def close(self) -> None:
        return None

    @property
    def heads(self) -> list[str]:
        return [message.plain.splitlines()[0] for message in self.messages]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path / "ohlcv.db") as opened_writer:
        yield opened_writer


@pytest.fixture
def told() -> Recorder:
    return Recorder()


def desk_of(writer: Writer, *notifiers: Recorder, synthetic: bool = False, config: Any = None) -> Any:
    return SimpleNamespace(
        config=config or settings(),
        writer=writer,
        reader=writer.reader,
        exchange="bitget",
        notifiers={notifier.name: notifier for notifier in notifiers},
        market=SimpleNamespace(synthetic=synthetic, now_ms=lambda: NOW),
        log=logging.getLogger("test"),
        memory={},
    )


def announce(writer: Writer, *numbers: int, channels: tuple[str, ...] = ("telegram",)) -> None:
    """Store signals as a scan does, and queue their alerts in the same transaction."""
    rows = signals(*(signal(number) for number in numbers))
    with writer.transaction():
        ids = writer.put_signals(rows.drop(columns="id"))["id"].to_numpy()
        rows = rows.assign(id=ids)
        made = trades(*(trade(int(number)) for number in ids))
        writer.put_trades(made)
        writer.queue(new_signal_rows(rows, made, settings(), channels, NOW))


def happen(writer: Writer, row: dict[str, Any], *happened: dict[str, Any], now_ms: int = NOW) -> None:
    """Move a trade on as the execution stage does, and queue what became of it."""
    moved, new = trades(row), events(*happened)
    with writer.transaction():
        writer.put_trades(moved)
        writer.put_events(new)
        about = writer.reader.signals(ids=[row["signal_id"]])
        queue_events(desk_of(writer, Recorder()), new, moved, about, now_ms)


async def test_a_signal_is_sent_with_the_price_of_now_and_marked(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    writer.put_candles(
        "bitget", "BTC/USDT:USDT", "1m", Candles.of([DECIDED - MINUTE_MS], [1], [2], [0.5], [64310], [1]), NOW
    )
    report = await alert.run(desk_of(writer, told), NOW)
    assert report.ok
    assert report.counts["sent"] == 1
    assert "Price now: 64310, 0.09 % above the entry (2024-05-01 12:00 UTC)" in told.messages[0].plain
    assert "<code>64250</code>" in told.messages[0].html
    row = writer.reader.outbox().iloc[0]
    assert (row["state"], row["remote_id"]) == ("sent", "100")


async def test_a_sent_alert_is_not_sent_again(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    desk = desk_of(writer, told)
    await alert.run(desk, NOW)
    announce(writer, 1)
    assert (await alert.run(desk, NOW)).counts == {}
    assert len(told.messages) == 1


async def test_what_became_of_a_signal_answers_its_first_message(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2)
    desk = desk_of(writer, told)
    await alert.run(desk, NOW)
    happen(writer, opened(2), event("FILL", 2))
    await alert.run(desk, NOW)
    happen(writer, closed(2), event("TARGET", 2, seq=1, minutes=99), event("TP1_TRAIL", 2, seq=2, minutes=300))
    await alert.run(desk, NOW)
    assert told.heads == [
        "#1 LONG BTC/USDT:USDT 15m",
        "#2 LONG BTC/USDT:USDT 15m",
        "#2 LONG BTC/USDT:USDT 15m: filled",
        "#2 LONG BTC/USDT:USDT 15m: target 1 hit",
        "#2 LONG BTC/USDT:USDT 15m: closed +2.34 %, +1.31 R",
    ]
    assert [message.reply_to for message in told.messages] == [None, None, "101", "101", "101"]


async def test_what_became_of_a_signal_is_told_though_a_limit_blocks_it_since(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2)
    desk = desk_of(writer, told)
    await alert.run(desk, NOW)
    blocked = {"taken": 0, "blocked_by": "STOP_GUARD"}  # a symbol that lagged has caught up
    writer.set_taken(trades(trade(1, **blocked), trade(2, **blocked)))
    happen(writer, opened(1, **blocked), event("FILL", 1))
    assert (await alert.run(desk, NOW)).counts == {"sent": 1}
    assert told.heads[2:] == ["#1 LONG BTC/USDT:USDT 15m: filled"] and told.messages[2].reply_to == "100"
    left_out = "Left out of the paper account since: too many stops in a short time had paused everything"
    assert left_out in told.messages[2].plain


async def test_what_a_limit_blocked_at_once_is_not_told_of(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, channels=())
    blocked = {"taken": 0, "blocked_by": "MAX_OPEN"}
    happen(writer, opened(1, **blocked), event("FILL", 1))
    assert writer.reader.outbox().empty


async def test_a_signal_and_its_fill_in_one_run_are_message_and_reply(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    happen(writer, opened(1), event("FILL", 1))
    await alert.run(desk_of(writer, told), NOW)
    assert [message.reply_to for message in told.messages] == [None, "100"]


async def test_the_second_target_is_called_the_second(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    happen(writer, opened(1), event("FILL", 1), event("TARGET", 1, seq=1), event("TARGET", 1, seq=2, minutes=40))
    await alert.run(desk_of(writer, told), NOW)
    assert [head.rsplit(": ", 1)[-1] for head in told.heads[2:]] == ["target 1 hit", "target 2 hit"]


async def test_an_event_of_a_signal_never_announced_is_left_out(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, channels=())
    happen(writer, opened(1), event("FILL", 1))
    report = await alert.run(desk_of(writer, told), NOW)
    assert told.messages == []
    assert report.ok
    assert report.counts["skipped"] == 1
    assert writer.reader.outbox().iloc[0]["state"] == "skipped"


async def test_with_new_signals_switched_off_events_stand_alone(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, channels=())
    happen(writer, opened(1), event("FILL", 1))
    await alert.run(desk_of(writer, told, config=settings(new_signal=False)), NOW)
    assert [message.reply_to for message in told.messages] == [None]


async def test_a_failing_messenger_keeps_order_and_backs_off(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2)
    desk = desk_of(writer, told)
    waits = []
    now = NOW
    for _ in range(9):
        told.failures = [NotifierUnavailable("telegram: not reached (connection reset)")] * 2
        report = await alert.run(desk, now)
        assert (report.ok, report.counts["waiting"]) == (True, 2)
        assert report.problems == ("telegram: telegram: not reached (connection reset)",)
        head = writer.reader.outbox(state="queued").iloc[0]
        waits.append(int(head["next_try_ms"] - now) // 1000)
        now = int(head["next_try_ms"])
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    told.failures.clear()
    await alert.run(desk, now - 1)
    assert told.messages == []
    await alert.run(desk, now)
    assert [head.split(" ")[0] for head in told.heads] == ["#1", "#2"]


async def test_a_pause_asked_for_survives_a_restart(tmp_path: Path, told: Recorder) -> None:
    with Writer(tmp_path / "ohlcv.db") as writer:
        announce(writer, 1)
        told.failures = [NotifierUnavailable("telegram: asked to wait 37 s", 37.0)]
        await alert.run(desk_of(writer, told), NOW)
    with Writer(tmp_path / "ohlcv.db") as writer:
        desk = desk_of(writer, told)
        await alert.run(desk, NOW + 36_999)
        assert told.messages == []
        await alert.run(desk, NOW + 37_000)
        assert len(told.messages) == 1


async def test_a_pause_counts_from_when_it_was_asked_for(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    desk = desk_of(writer, told)
    desk.market.now_ms = lambda: NOW + 90_000  # the run has been pacing for a while
    told.failures = [NotifierUnavailable("telegram: asked to wait 30 s", 30.0)]
    await alert.run(desk, NOW)
    assert writer.reader.outbox().iloc[0]["next_try_ms"] == NOW + 120_000


async def test_a_refused_message_is_marked_with_its_reason_and_the_next_one_goes(
    writer: Writer, told: Recorder
) -> None:
    announce(writer, 1, 2)
    told.failures = [NotifierError("telegram: chat 42 refuses the bot")]
    report = await alert.run(desk_of(writer, told), NOW)
    assert not report.ok
    assert report.counts == {"failed": 1, "sent": 1}
    first, second = writer.reader.outbox().to_dict("records")
    assert (first["state"], first["error"]) == ("failed", "telegram: chat 42 refuses the bot")
    assert second["state"] == "sent"


async def test_a_reply_to_a_refused_message_stands_alone(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    happen(writer, opened(1), event("FILL", 1))
    told.failures = [NotifierError("telegram: refused")]
    await alert.run(desk_of(writer, told), NOW)
    assert [message.reply_to for message in told.messages] == [None]


async def test_refused_credentials_lose_no_alert(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    desk = desk_of(writer, told)
    told.failures = [CredentialsError("telegram: the bot token was refused")]
    report = await alert.run(desk, NOW)
    assert not report.ok
    await alert.run(desk, NOW + 5 * MINUTE_MS)
    assert len(told.messages) == 1


async def test_one_channel_in_trouble_delays_no_other(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2, channels=("telegram", "console"))
    console = Recorder("console")
    told.failures = [NotifierUnavailable("telegram: not reached")]
    report = await alert.run(desk_of(writer, told, console), NOW)
    assert len(console.messages) == 2
    assert report.counts == {"sent": 2, "waiting": 2}


async def test_alerts_of_a_channel_that_is_switched_off_stay(writer: Writer) -> None:
    announce(writer, 1)
    console = Recorder("console")
    assert (await alert.run(desk_of(writer, console), NOW)).counts == {}
    assert len(writer.reader.outbox(state="queued")) == 1


async def test_ten_signals_at_once_are_ten_messages(writer: Writer, told: Recorder) -> None:
    announce(writer, *range(1, alert.DIGEST_OVER + 1))
    await alert.run(desk_of(writer, told), NOW)
    assert len(told.messages) == alert.DIGEST_OVER


async def test_a_burst_becomes_digests_that_name_every_signal(writer: Writer, told: Recorder) -> None:
    announce(writer, *range(1, 46))
    happen(writer, opened(7), event("FILL", 7))
    report = await alert.run(desk_of(writer, told), NOW)
    assert told.heads == ["15 new signals"] * 3 + ["#7 LONG BTC/USDT:USDT 15m: filled"]
    words = "\n".join(message.plain for message in told.messages)
    assert all(f"#{number} LONG" in words for number in range(1, 46))
    assert told.messages[3].reply_to == "100"
    assert report.counts["sent"] == 46
    assert set(writer.reader.outbox()["state"]) == {"sent"}


async def test_a_digest_that_cannot_leave_waits_as_a_whole(writer: Writer, told: Recorder) -> None:
    announce(writer, *range(1, 13))
    desk = desk_of(writer, told)
    told.failures = [NotifierUnavailable("telegram: not reached")]
    assert (await alert.run(desk, NOW)).counts["waiting"] == 12
    await alert.run(desk, NOW + 5_000)
    assert told.heads == ["12 new signals"]


async def test_what_an_outage_delayed_says_how_late_it_is(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    happen(writer, opened(1), event("FILL", 1))
    await alert.run(desk_of(writer, told), DECIDED + 45 * MINUTE_MS)
    assert told.messages[0].plain.splitlines()[1] == "Late by 45 min: this is from 2024-05-01 12:00 UTC."
    assert told.messages[1].plain.splitlines()[1] == "Late by 15 min: this is from 2024-05-01 12:30 UTC."


async def test_every_message_of_a_synthetic_market_says_so(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    happen(writer, opened(1), event("FILL", 1))
    writer.queue(note_rows("weekly", "a good week", ["telegram"], NOW))
    await alert.run(desk_of(writer, told, synthetic=True), NOW)
    assert len(told.heads) == 3
    assert all(head.startswith("SYNTHETIC ") for head in told.heads)


async def test_the_mark_is_committed_before_the_next_message_leaves(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2, 3)
    seen = []
    told.before_answer = lambda: seen.append(writer.reader.outbox()["state"].tolist().count("sent"))
    await alert.run(desk_of(writer, told), NOW)
    assert seen == [0, 1, 2]


async def test_a_note_is_told_as_it_was_written(writer: Writer, told: Recorder) -> None:
    writer.queue(note_rows("weekly", "12 closed & +1.2 R", ["telegram"], NOW))
    await alert.run(desk_of(writer, told), NOW)
    assert told.messages == [Message("12 closed &amp; +1.2 R", "12 closed & +1.2 R")]


async def test_an_empty_outbox_is_nothing_to_do(writer: Writer, told: Recorder) -> None:
    report = await alert.run(desk_of(writer, told), NOW)
    assert (report.ok, report.counts, str(report)) == (True, {}, "alert: nothing to do")


async def test_a_muted_pair_is_left_out_with_its_reason_and_what_was_announced_is_still_told(
    writer: Writer, told: Recorder
) -> None:
    announce(writer, 1)
    desk = desk_of(writer, told)
    await alert.run(desk, NOW)
    writer.mute("telegram", "bitget", "BTC/USDT:USDT", NOW, NOW + 60 * MINUTE_MS, 7)
    announce(writer, 2)
    happen(writer, opened(1), event("FILL", 1))
    happen(writer, opened(2), event("FILL", 2))
    report = await alert.run(desk, NOW)
    assert told.heads == ["#1 LONG BTC/USDT:USDT 15m", "#1 LONG BTC/USDT:USDT 15m: filled"]
    assert report.counts == {"sent": 1, "skipped": 2}
    left_out = writer.reader.outbox(state="skipped").set_index("key")["error"]
    assert left_out["new:key2:telegram"] == "muted until 2024-05-01 13:01 UTC"
    announce(writer, 3)
    await alert.run(desk, NOW + 61 * MINUTE_MS)
    assert writer.reader.outbox()["state"].tolist()[-1] == "sent"


async def test_a_mute_of_one_channel_silences_no_other(writer: Writer, told: Recorder) -> None:
    console = Recorder("console")
    writer.mute("telegram", "bitget", "BTC/USDT:USDT", NOW, NOW + 60 * MINUTE_MS, 7)
    announce(writer, 1, channels=("telegram", "console"))
    await alert.run(desk_of(writer, told, console), NOW)
    assert (len(told.messages), len(console.messages)) == (0, 1)


async def test_an_answer_leaves_before_the_alerts_that_wait(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2)
    asked = Heard(5, 7, "42", "900", "/help")
    writer.queue(answer_rows("x", ["<b>one</b>", "two"], "telegram", asked, NOW))
    await alert.run(desk_of(writer, told), NOW)
    assert [head.split()[0] for head in told.heads] == ["one", "two", "#1", "#2"]
    assert [message.reply_to for message in told.messages] == ["900", None, None, None]
    assert [message.chat for message in told.messages][:2] == ["42", "42"]


async def test_an_answer_that_could_not_be_given_for_long_is_not_given(writer: Writer, told: Recorder) -> None:
    writer.queue(answer_rows("x", ["late"], "telegram", Heard(5, 7, "42", "900", "/help"), NOW))
    await alert.run(desk_of(writer, told), NOW + 16 * MINUTE_MS)
    assert told.messages == []
    assert writer.reader.outbox().iloc[0]["error"] == "nobody could be answered for too long"


async def test_a_chat_that_refuses_its_answer_holds_up_nobody_else(writer: Writer, told: Recorder) -> None:
    announce(writer, 1)
    writer.queue(answer_rows("x", ["hello"], "telegram", Heard(5, 7, "99", "900", "/help"), NOW))

    class Closed(Recorder):
        async def send(self, message: Message) -> str:
            if message.chat == "99":
                raise ChatRefused("telegram: chat 99 refuses the bot")
            return await super().send(message)

    closed_chat = Closed()
    await alert.run(desk_of(writer, closed_chat), NOW)
    assert writer.reader.outbox()["state"].tolist() == ["sent", "failed"]


async def test_a_document_is_named_by_the_note_it_goes_with(writer: Writer, told: Recorder) -> None:
    writer.queue(note_rows("weekly:2024-W07:page", "Week: /data/x.html", ["telegram"], NOW, document="/data/x.html"))
    await alert.run(desk_of(writer, told), NOW)
    assert told.messages == [Message("Week: /data/x.html", "Week: /data/x.html", document="/data/x.html")]


async def test_who_asks_while_a_paced_chat_is_served_is_answered_at_once(writer: Writer, told: Recorder) -> None:
    announce(writer, 1, 2, 3)
    go_on = asyncio.Event()

    class Paced(Recorder):
        async def send(self, message: Message) -> str:
            if not message.chat:
                await go_on.wait()
            sent = await super().send(message)
            if len(self.messages) == 2:
                go_on.set()
            return sent

    chat = Paced()
    running = asyncio.create_task(alert.run(desk_of(writer, chat), NOW))
    await asyncio.sleep(0.05)
    writer.queue(answer_rows("a", ["elsewhere"], "telegram", Heard(5, 7, "99", "900", "/help"), NOW))
    writer.queue(answer_rows("b", ["elsewhere too"], "telegram", Heard(6, 7, "98", "901", "/help"), NOW))
    report = await asyncio.wait_for(running, 10.0)
    assert [head.split()[0] for head in chat.heads] == ["elsewhere", "elsewhere", "#1", "#2", "#3"]
    assert report.counts == {"sent": 5}


async def test_an_end_that_is_asked_for_stops_what_is_being_sent(writer: Writer) -> None:
    announce(writer, 1)

    class Endless(Recorder):
        async def send(self, message: Message) -> str:
            await asyncio.Event().wait()
            return ""

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alert.run(desk_of(writer, Endless()), NOW), 0.1)
    assert writer.reader.outbox()["state"].tolist() == ["queued"]
    assert len(asyncio.all_tasks()) == 1
