"""The Telegram adapter against a Bot API on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.telegram import TelegramNotifier
from core.errors import ChatRefused, ConfigError, CredentialsError, NotifierError, NotifierUnavailable, TraderError
from core.ports import Addressed, Message, Notifier
from tests.servers.telegram import (
    BLOCKED,
    CANARY_TOKEN,
    LOST,
    NO_CHAT,
    RESET,
    UNPARSED,
    Answer,
    TelegramServer,
    broken,
    flood,
    portal,
)

HELLO = Message("<b>hello</b> &amp; more", "hello & more")


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


@pytest.fixture
async def notifier(server: TelegramServer) -> AsyncIterator[TelegramNotifier]:
    made = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
    yield made
    await made.close()


async def refused(notifier: TelegramNotifier, message: Message = HELLO) -> TraderError:
    with pytest.raises(TraderError) as caught:
        await notifier.send(message)
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_message_arrives_as_html_and_its_id_comes_back(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    assert isinstance(notifier, Notifier)
    assert await notifier.send(HELLO) == "100"
    assert await notifier.send(Message("two", "two", silent=True)) == "101"
    first, second = server.messages
    assert (first.chat_id, first.text, first.parse_mode, first.silent) == ("42", HELLO.html, "HTML", False)
    assert second.silent
    assert server.calls.count("getMe") == 1


async def test_a_reply_answers_its_message(server: TelegramServer, notifier: TelegramNotifier) -> None:
    remote_id = await notifier.send(HELLO)
    await notifier.send(Message("reply", "reply", reply_to=remote_id))
    assert server.messages[1].reply_to == 100


async def test_a_reply_to_a_deleted_message_arrives_on_its_own(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    await notifier.send(Message("reply", "reply", reply_to="999"))
    assert server.messages[0].reply_to is None


async def test_html_that_telegram_cannot_read_is_sent_again_plain(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    await notifier.send(Message("<b>broken", "whole"))
    assert [(message.text, message.parse_mode) for message in server.messages] == [("whole", "")]
    server.script.append(UNPARSED)
    await notifier.send(HELLO)
    assert server.messages[1].text == HELLO.plain


async def test_a_message_over_the_limit_is_trimmed_and_accepted(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    await notifier.send(Message("<b>" + "x&amp;" * 4000 + "</b>", "x&" * 4000))
    assert server.messages[0].parse_mode == "HTML"
    assert server.messages[0].text.endswith("...</b>")


async def test_a_pause_asked_for_is_kept_without_asking_again(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    server.script.append(flood(30))
    error = await refused(notifier)
    assert isinstance(error, NotifierUnavailable)
    assert error.retry_after_s == 30.0
    again = await refused(notifier)
    assert isinstance(again, NotifierUnavailable)
    assert again.retry_after_s is not None
    assert 29.0 < again.retry_after_s <= 30.0
    assert server.calls.count("sendMessage") == 1


@pytest.mark.parametrize("answer", [broken(502), broken(500), RESET, LOST, portal(403), portal(200), portal(400)])
async def test_what_may_pass_can_be_retried(server: TelegramServer, notifier: TelegramNotifier, answer: Answer) -> None:
    server.script.append(answer)
    error = await refused(notifier)
    assert isinstance(error, NotifierUnavailable)
    assert error.retry_after_s is None
    delivered = len(server.messages)
    await notifier.send(HELLO)
    assert len(server.messages) == delivered + 1


@pytest.mark.parametrize(
    ("answer", "told", "kind"),
    [
        (BLOCKED, "bot was blocked by the user", ChatRefused),
        (Answer(403, "Forbidden: bot was kicked from the supergroup chat"), "kicked", ChatRefused),
        (NO_CHAT, "hat not found", ChatRefused),
        (Answer(400, "Bad Request: not enough rights to send text messages to the chat"), "rights", ChatRefused),
        (Answer(400, "Bad Request: message text is empty"), "essage text is empty", NotifierError),
    ],
)
async def test_a_closed_chat_is_told_from_a_message_that_is_refused(
    server: TelegramServer, notifier: TelegramNotifier, answer: Answer, told: str, kind: type[NotifierError]
) -> None:
    server.script.append(answer)
    error = await refused(notifier)
    assert type(error) is kind
    assert told in str(error)


async def test_a_group_that_moved_is_followed_at_once(server: TelegramServer) -> None:
    server.moved["-42"] = -1001234567890
    notifier = TelegramNotifier(CANARY_TOKEN, "-42", server.base_url, Pace(0.0))
    assert isinstance(notifier, Addressed)
    assert await notifier.send(HELLO) == "100"
    await notifier.send(HELLO)
    assert [message.chat_id for message in server.messages] == ["-1001234567890"] * 2
    assert (notifier.configured, notifier.address) == ("-42", "-1001234567890")
    assert server.calls.count("sendMessage") == 3
    await notifier.close()


async def test_an_answer_goes_to_the_chat_that_asked(server: TelegramServer, notifier: TelegramNotifier) -> None:
    await notifier.send(Message("a", "a", chat="77"))
    await notifier.send(Message("b", "b", chat="42"))
    assert [message.chat_id for message in server.messages] == ["77", "42"]


async def test_a_chat_that_is_paced_holds_up_no_other(server: TelegramServer) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.Event().wait()

    notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(1.0, sleep=sleep))
    await notifier.send(HELLO)
    held_up = asyncio.create_task(notifier.send(HELLO))
    await notifier.send(Message("a", "a", chat="1"))
    await notifier.send(Message("b", "b", chat="2"))
    assert len(waited) == 1
    assert [message.chat_id for message in server.messages] == ["42", "1", "2"]
    held_up.cancel()
    await notifier.close()


async def test_a_chat_that_is_not_there_is_seen_without_sending(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    await notifier.check()
    server.unknown.add("42")
    with pytest.raises(ChatRefused, match=r"chat 42 takes nothing \(Chat not found\); check notify.telegram.chat_id"):
        await notifier.check()
    assert server.calls.count("getChat") == 2 and "sendMessage" not in server.calls


async def test_a_group_that_moved_is_followed_when_it_is_looked_at(server: TelegramServer) -> None:
    server.moved["-42"] = -1001234567890
    notifier = TelegramNotifier(CANARY_TOKEN, "-42", server.base_url, Pace(0.0))
    await notifier.check()
    assert (notifier.configured, notifier.address) == ("-42", "-1001234567890")
    await notifier.close()


async def test_a_document_goes_with_its_caption(
    server: TelegramServer, notifier: TelegramNotifier, tmp_path: Path
) -> None:
    page = tmp_path / "weekly-2024-W07.html"
    page.write_text("<html>all of it</html>", encoding="utf-8")
    await notifier.send(Message("<b>week</b>" + "x" * 2_000, "week", document=str(page)))
    (sent,) = server.messages
    assert (sent.document, sent.content, sent.parse_mode) == (page.name, "<html>all of it</html>", "HTML")
    assert sent.text.endswith("...")


async def test_a_document_that_is_gone_is_refused_for_good(
    server: TelegramServer, notifier: TelegramNotifier, tmp_path: Path
) -> None:
    with pytest.raises(NotifierError, match=r"gone\.html: cannot be read") as caught:
        await notifier.send(Message("week", "week", document=str(tmp_path / "gone.html")))
    assert type(caught.value) is NotifierError
    assert server.messages == []


async def test_a_refused_token_is_a_matter_of_credentials(server: TelegramServer) -> None:
    notifier = TelegramNotifier("123456789:WRONG_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "42", server.base_url, Pace(0.0))
    error = await refused(notifier)
    assert isinstance(error, CredentialsError)
    assert "WRONG" not in str(error)
    await notifier.close()


async def test_a_first_contact_that_fails_is_made_again(server: TelegramServer, notifier: TelegramNotifier) -> None:
    server.getme.append(broken())
    assert isinstance(await refused(notifier), NotifierUnavailable)
    assert await notifier.send(HELLO) == "100"


async def test_no_server_at_all_can_be_retried() -> None:
    notifier = TelegramNotifier(CANARY_TOKEN, "42", "http://127.0.0.1:9/bot", Pace(0.0))
    assert isinstance(await refused(notifier), NotifierUnavailable)
    await notifier.close()


async def test_an_address_may_end_before_bot(server: TelegramServer) -> None:
    notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url.removesuffix("bot"), Pace(0.0))
    assert await notifier.send(HELLO) == "100"
    await notifier.close()


async def test_closing_twice_and_sending_after_it_work(server: TelegramServer, notifier: TelegramNotifier) -> None:
    await notifier.send(HELLO)
    await notifier.close()
    await notifier.close()
    assert await notifier.send(HELLO) == "101"


def test_an_empty_token_or_chat_is_refused_at_once() -> None:
    with pytest.raises(CredentialsError, match="TELEGRAM_BOT_TOKEN"):
        TelegramNotifier("", "42")
    with pytest.raises(ConfigError, match="chat_id"):
        TelegramNotifier(CANARY_TOKEN, "")


@pytest.mark.parametrize(("chat_id", "wait_s"), [("42", 1.0), ("-100123", 41.0), ("@channel", 41.0)])
async def test_groups_and_channels_are_paced_by_the_minute(chat_id: str, wait_s: float) -> None:
    notifier = TelegramNotifier(CANARY_TOKEN, chat_id)
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    notifier._pace._clock, notifier._pace._sleep = lambda: now[0], sleep
    for _ in range(20):
        await notifier._pace.turn()
    before = now[0]
    await notifier._pace.turn()
    assert now[0] - before == pytest.approx(wait_s)
