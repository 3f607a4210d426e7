"""What people write to the bot, over HTTP, as the Telegram adapter hands it on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.console import ConsoleNotifier
from core.adapters.notifiers.telegram import TelegramNotifier
from core.errors import CredentialsError, NotifierUnavailable
from core.ports import Heard, Listener, Message
from tests.servers.telegram import CANARY_TOKEN, CONFLICT, RESET, Answer, TelegramServer, broken, flood, portal

GROUP = -100200


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


@pytest.fixture
async def notifier(server: TelegramServer) -> AsyncIterator[TelegramNotifier]:
    made = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
    yield made
    await made.close()


async def heard(notifier: TelegramNotifier, after: int = 0) -> list[Heard]:
    """Ask until something is there, as the job does every second."""
    for _ in range(200):
        found = await notifier.hear(after)
        if found:
            return found
    raise AssertionError("nothing was heard")


async def test_a_private_command_is_heard_with_who_said_it_and_where(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    assert isinstance(notifier, Listener)
    assert not isinstance(ConsoleNotifier(None), Listener)
    number = server.write("/status now", user_id=7)
    assert await heard(notifier) == [Heard(number, 7, "7", str(number % 1_000), "/status now", True)]


async def test_asking_costs_no_time_while_nothing_is_said(server: TelegramServer, notifier: TelegramNotifier) -> None:
    began = time.monotonic()
    for _ in range(5):
        assert await notifier.hear(0) == []
    assert time.monotonic() - began < 20.0  # a question waits longer for its answer
    assert server.calls.count("getUpdates") <= 1


async def test_what_is_said_while_the_question_waits_comes_at_once(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    assert await notifier.hear(0) == []
    server.write("/help")
    began = time.monotonic()
    assert [one.text for one in await heard(notifier)] == ["/help"]
    assert time.monotonic() - began < 20.0


async def test_closing_does_not_wait_for_an_answer(server: TelegramServer, notifier: TelegramNotifier) -> None:
    assert await notifier.hear(0) == []
    began = time.monotonic()
    await notifier.close()
    assert time.monotonic() - began < 20.0


async def test_what_is_not_confirmed_is_heard_again_by_the_next_process(server: TelegramServer) -> None:
    number = server.write("/mute BTC")
    for _ in range(2):
        notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
        assert [one.id for one in await heard(notifier)] == [number]
        await notifier.close()
    notifier = TelegramNotifier(CANARY_TOKEN, "42", server.base_url, Pace(0.0))
    later = server.write("/help")
    assert [one.id for one in await heard(notifier, number)] == [later]
    assert [update["update_id"] for update in server.updates] == [later], "Telegram was told that it is done with"
    await notifier.close()


@pytest.mark.parametrize(
    ("text", "told", "private"),
    [
        ("/status", "/status", False),
        ("/status@trader_bot", "/status", True),
        ("/why@Trader_Bot 12", "/why 12", True),
        ("/status@other_bot", "", False),
        ("good morning", "", False),
    ],
)
async def test_in_a_group_only_commands_for_this_bot_are_words_to_it(
    server: TelegramServer, notifier: TelegramNotifier, text: str, told: str, private: bool
) -> None:
    server.write(text, chat=GROUP)
    (one,) = await heard(notifier)
    assert (one.text, one.private, one.chat) == (told, private, str(GROUP))


async def test_an_edited_message_is_no_command(server: TelegramServer, notifier: TelegramNotifier) -> None:
    server.write("/taken 1", edited=True)
    server.write("/help")
    assert [one.text for one in await heard(notifier)] == ["/help"]


@pytest.mark.parametrize("answer", [broken(), RESET, portal(200), flood(9), CONFLICT])
async def test_a_listener_that_cannot_hear_says_so_and_hears_the_next_time(
    server: TelegramServer, notifier: TelegramNotifier, answer: Answer
) -> None:
    server.news.append(answer)
    server.write("/help")
    with pytest.raises(NotifierUnavailable) as caught:
        await heard(notifier)
    assert "CANARY" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [one.text for one in await heard(notifier)] == ["/help"]


async def test_a_flood_of_questions_does_not_hold_up_messages(
    server: TelegramServer, notifier: TelegramNotifier
) -> None:
    server.news.append(flood(30))
    with pytest.raises(NotifierUnavailable):
        await heard(notifier)
    assert await notifier.send(Message("a", "a")) == "100"


async def test_a_wrong_token_is_a_matter_of_credentials(server: TelegramServer) -> None:
    notifier = TelegramNotifier("123456789:WRONG_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "42", server.base_url, Pace(0.0))
    with pytest.raises(CredentialsError):
        await heard(notifier)
    await notifier.close()


async def test_sending_goes_on_while_the_question_waits(server: TelegramServer, notifier: TelegramNotifier) -> None:
    assert await notifier.hear(0) == []
    await asyncio.wait_for(notifier.send(Message("a", "a")), 2.0)
    assert len(server.messages) == 1
