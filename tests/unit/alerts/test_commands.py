"""The bot's commands on a real desk, heard from a listener that says what a test tells it to."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.errors import CredentialsError, NotifierUnavailable
from core.jobs import converse
from core.jobs._commands import COMMANDS
from core.jobs._desk import Desk
from core.jobs._period import live_rows
from core.ports import Heard, Message
from tests.explained import BTC, END_MS, TIMEFRAME, World, open_world, write_world

ANN, BOB, STRANGER = 7, 8, 666
CHANGE = {"notify": {"console": False, "telegram": {"allowed_user_ids": [ANN, BOB]}}}


class Ear:
    """A notifier one can talk to: hands out what was said behind the id it is asked with."""

    name, hears_as = "telegram", "987"

    def __init__(self) -> None:
        self.said: list[Heard] = []
        self.asked: list[int] = []
        self.failures: list[Exception] = []

    def say(self, text: str, user_id: int = ANN, private: bool = True, chat: str = "42") -> int:
        number = 500 + len(self.said)
        self.said.append(Heard(number, user_id, chat, str(number), text, private))
        return number

    async def hear(self, after: int) -> list[Heard]:
        self.asked.append(after)
        if self.failures:
            raise self.failures.pop(0)
        return [one for one in self.said if one.id > after]

    async def send(self, message: Message) -> str:
        raise AssertionError("answers leave by the outbox")

    async def check(self) -> None:
        """Reachable."""

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"), CHANGE)


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    """The world in a folder of its own, so that what a command changes stays in its test."""
    folder = tmp_path / "engine"
    shutil.copytree(world.config.parent, folder)
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace(str(world.config.parent), str(folder)), encoding="utf-8")
    with open_world(folder / "config.yaml") as opened:
        opened.notifiers = {"telegram": Ear()}
        yield opened


@pytest.fixture
def ear(desk: Desk) -> Ear:
    found = desk.notifiers["telegram"]
    assert isinstance(found, Ear)
    return found


def answers(desk: Desk) -> list[dict[str, Any]]:
    rows = desk.reader.outbox()
    return [json.loads(row) for row in rows.loc[rows["kind"] == "answer", "payload"]]


async def asked(desk: Desk, text: str, now_ms: int = END_MS, user_id: int = ANN) -> str:
    """Say something and return the answer as plain text; several pages one after the other."""
    ear = desk.notifiers["telegram"]
    assert isinstance(ear, Ear)
    ear.say(text, user_id)
    before = len(answers(desk))
    await converse.run(desk, now_ms)
    pages = [one["html"] for one in answers(desk)[before:]]
    assert pages, f"{text} was not answered"
    return html.unescape(re.sub("</?(?:b|code)>", "", "\n".join(pages)))


READING = (
    ("/help", ("SYNTHETIC Commands", "/whynot PAIR TF: why the newest close has no signal")),
    ("/start", ("SYNTHETIC Commands",)),
    ("/status", ("SYNTHETIC Status", "Follows 2 symbols of synthetic", "Messages waiting: 0", "WRONG: cycle")),
    ("/signals", ("5 newest signals", "entry", "stop")),
    ("/signals 2", ("2 newest signals",)),
    ("/open", ("Nothing is open",)),
    ("/trades", ("newest finished trades", "-1.12 R, -0.95 % (SL)", "never filled (MISSED)")),
    ("/balance", ("Paper account", "from 10,000.00 USD, n = 2", "Simulated; no order is ever sent.")),
    ("/daily", ("Last 24 hours: 2024-01-24 00:00 UTC", "Signals: 1 candidate, 0 passed", "not enough data (0 closed")),
    (
        "/weekly",
        ("Last 7 days", "Ended: 2 closed (0 won), 1 never filled", "Result: -2.18 R", "Best: #36", "Worst: #24"),
    ),
    (
        "/performance",
        ("Record of synthetic", "Not enough data to judge: 21 closed, 30 needed", "Fill rate: 47.7 % (95 %:"),
    ),
    ("/why 44", ("FILTERED: it was judged and refused", "p(win)")),
    ("/why #44", ("FILTERED",)),
    (f"/whynot {BTC} {TIMEFRAME}", ("no signal", "fibo_avwap found nothing")),
    ("/whynot btc 15M", ("no signal",)),
    ("/whynot btcusdt 15m", ("no signal",)),
    ("/funnel", ("SYNTHETIC MARKET", "Closes looked at", "95 %: 14.6 to 43.1 %")),
    ("/reliability", ("SYNTHETIC MARKET", "not enough data (14 closed predictions in 2 weeks)")),
    ("/model", ("in force since 2024-01-13", "certified: 15m", "no alarm", "auto_train has not run yet")),
    ("/health", ("2 of 5 checks failed", "WRONG  candidates" if False else "WRONG  candles: 1 of 2 symbols are late")),
    ("/unmute", ("Nothing is muted",)),
)


@pytest.mark.parametrize(("text", "told"), READING, ids=[text for text, _ in READING])
async def test_a_command_is_answered_from_the_record(desk: Desk, text: str, told: tuple[str, ...]) -> None:
    answer = await asked(desk, text)
    for words in told:
        assert words in answer, answer
    assert "SYNTHETIC" in answer.splitlines()[0]


def test_every_command_has_a_test_above_or_below() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"/{name}' in here for name in COMMANDS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/statsu", "no command /statsu; did you mean '/status'?"),
        ("/xyzzy", "no command /xyzzy; /help lists them"),
        ("/why", "expected /why ID: why a signal was decided as it was"),
        ("/why 1 2", "expected /why ID: why a signal was decided as it was"),
        ("/why abc", "'abc' is no id of a signal; expected a number such as 12"),
        ("/why 99999999999999999999", "is no id of a signal"),
        ("/why ٣", "is no id of a signal"),
        ("/why 4000", "signal #4000 is not on record; the newest is #44"),
        ("/taken 4000", "signal #4000 is not on record; /signals lists the newest"),
        ("/taken 44 cheap", "'cheap': expected a price, a plain number such as 64250"),
        ("/taken 44 -5", "'-5': expected a price, a plain number such as 64250"),
        ("/taken 44 5h", "'5h': expected a price, a plain number such as 64250"),
        ("/taken 44 64_250", "'64_250': expected a price"),
        ("/signals 0", "'0': expected a number from 1 to 30"),
        ("/signals ³", "'³': expected a number from 1 to 30"),
        ("/whynot BTC 7y", "timeframe '7y': expected a number and m, h, d or w, such as 15m"),
        ("/whynot XRP 15m", "symbol 'XRP' is neither configured nor stored; valid: BTC/USDT:USDT, ETH/USDT:USDT"),
        ("/mute BTC nan", "'nan': expected a number of hours"),
        ("/mute BTC 100000", "100000 hours: at most 720"),
        ("hello", "I answer commands: /help lists them."),
        ("/", "no command /; /help lists them"),
    ],
)
async def test_what_cannot_be_understood_is_answered_in_one_line(desk: Desk, text: str, told: str) -> None:
    answer = await asked(desk, text)
    assert told in answer
    assert "\n" not in answer
    assert len(desk.reader.journal()) == 0


async def test_an_answer_goes_to_who_asked_and_answers_the_question(desk: Desk, ear: Ear) -> None:
    number = ear.say("/help", chat="-100200", private=False)
    await converse.run(desk, END_MS)
    (answer,) = answers(desk)
    assert (answer["chat"], answer["reply_to"]) == ("-100200", str(number))


async def test_a_stranger_gets_no_answer_and_one_line_an_hour_is_logged(desk: Desk, ear: Ear) -> None:
    reports = []
    for _ in range(5):
        ear.say("/status", STRANGER)
        ear.say("/taken 44", STRANGER)
        reports.append(await converse.run(desk, END_MS))
    assert answers(desk) == []
    assert desk.reader.journal().empty
    assert sum(len(report.problems) for report in reports) == 1
    assert "not listed in notify.telegram.allowed_user_ids got no answer" in reports[0].problems[0]
    assert "user 666" in reports[0].problems[0]
    assert ear.asked[-1] == ear.said[-3].id, "what they wrote is not heard again"
    assert all(report.ok for report in reports)


async def test_nobody_listed_means_that_nobody_is_even_heard(desk: Desk, ear: Ear) -> None:
    telegram = desk.config.notify.telegram.model_copy(update={"allowed_user_ids": ()})
    notify = desk.config.notify.model_copy(update={"telegram": telegram})
    desk.config = desk.config.model_copy(update={"notify": notify})
    ear.say("/status")
    await converse.run(desk, END_MS)
    assert ear.asked == []
    assert answers(desk) == []


async def test_people_who_talk_to_each_other_in_a_group_are_left_alone(desk: Desk, ear: Ear) -> None:
    ear.say("", private=False)
    ear.say("/price", private=False)
    await converse.run(desk, END_MS)
    assert answers(desk) == []
    ear.say("/statsu", private=False)
    await converse.run(desk, END_MS)
    assert "did you mean" in answers(desk)[0]["html"]


async def test_a_restart_neither_loses_a_command_nor_obeys_it_twice(desk: Desk, ear: Ear) -> None:
    ear.say("/taken 44")
    ear.say("/mute BTC")
    await converse.run(desk, END_MS)
    desk.memory.clear()  # a new process knows what the store knows
    again = Ear()
    again.said = ear.said
    desk.notifiers = {"telegram": again}
    await converse.run(desk, END_MS + MINUTE_MS)
    assert again.asked == [ear.said[-1].id]
    assert len(answers(desk)) == 2
    assert len(desk.reader.journal()) == 1


async def test_a_command_whose_answer_cannot_be_stored_is_heard_again(
    desk: Desk, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear.say("/taken 44")

    def full(*_: object) -> None:
        raise NotifierUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.writer), "queue", full)
        with pytest.raises(NotifierUnavailable):
            await converse.run(desk, END_MS)
    assert desk.reader.journal().empty, "what it changes is taken back with its answer"
    await converse.run(desk, END_MS)
    assert len(desk.reader.journal()) == 1
    assert len(answers(desk)) == 1


async def test_after_a_week_of_silence_numbers_are_not_relied_on(desk: Desk, ear: Ear) -> None:
    ear.say("/help")
    await converse.run(desk, END_MS)
    await converse.run(desk, END_MS + 5 * DAY_MS)
    await converse.run(desk, END_MS + 7 * DAY_MS)
    assert ear.asked == [0, 500, 0]


async def test_too_many_commands_are_answered_once_and_not_obeyed(desk: Desk, ear: Ear) -> None:
    for _ in range(converse.A_MINUTE + 5):
        ear.say("/help")
    ear.say("/taken 44")
    ear.say("/help", BOB)
    for _ in range(10):
        await converse.run(desk, END_MS)
    told = [answer["html"] for answer in answers(desk)]
    assert len(told) == converse.A_MINUTE + 2
    assert told[converse.A_MINUTE] == f"That is more than {converse.A_MINUTE} commands in a minute; wait a little."
    assert "Commands" in told[-1], "somebody else is answered"
    assert desk.reader.journal().empty


async def test_one_run_obeys_a_few_commands_and_the_next_the_rest(desk: Desk, ear: Ear) -> None:
    for _ in range(converse.AT_ONCE + 2):
        ear.say("/help")
    report = await converse.run(desk, END_MS)
    assert report.counts == {"answered": converse.AT_ONCE}
    assert (await converse.run(desk, END_MS)).counts == {"answered": 2}


async def test_a_listener_that_cannot_hear_is_left_alone_and_said_once(desk: Desk, ear: Ear) -> None:
    ear.failures = [NotifierUnavailable("telegram: not reached")]
    report = await converse.run(desk, END_MS)
    assert report.problems == ("telegram does not hear: telegram: not reached",)
    assert report.ok
    await converse.run(desk, END_MS)
    assert len(ear.asked) == 1, "it rests"
    desk.memory["converse"]["telegram"].resume_s = 0.0
    ear.failures = [NotifierUnavailable("telegram: not reached")]
    assert (await converse.run(desk, END_MS)).problems == ()
    desk.memory["converse"]["telegram"].resume_s = 0.0
    ear.failures = [CredentialsError("telegram: the bot token was refused")]
    assert not (await converse.run(desk, END_MS)).ok


async def test_a_fault_in_a_command_is_answered_and_does_not_come_again(
    desk: Desk, ear: Ear, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no trades")

    monkeypatch.setitem(COMMANDS, "help", COMMANDS["help"].__class__("help", "", "", broken))  # type: ignore[arg-type]
    assert await asked(desk, "/help") == "That failed here, and the log says why. Nothing was changed."
    assert "ZeroDivisionError" in caplog.text
    await converse.run(desk, END_MS)
    assert len(answers(desk)) == 1


async def test_a_position_shows_what_it_has_realised_with_what_is_still_held(desk: Desk) -> None:
    number = 36
    (symbol,) = desk.reader.signals(ids=[number], columns=["id", "symbol"])["symbol"]
    (price,) = desk.reader.last_candles("synthetic", symbol, "1m", 1).close
    half = "UPDATE trades SET status = 'OPEN', remaining = 0.5, r_multiple = 0.75, fill_price = ? WHERE signal_id = ?"
    with desk.writer.transaction():
        desk.writer._connection.execute(half, (float(price), number))
    assert ", 50 % left, now " in (told := await asked(desk, "/open"))
    assert "(+0.75 R in all, before the cost of leaving), stop " in told


# -- what people write down


async def test_the_journal_keeps_a_change_of_mind_and_not_the_same_word_twice(desk: Desk) -> None:
    assert "#44 SHORT BTC/USDT:USDT 15m\nYou took it at 40873.1." in await asked(desk, "/taken 44 40873.1")
    assert "That is what the journal says already." in await asked(desk, "/taken 44 40873.1")
    assert "You skipped it." in await asked(desk, "/skipped #44")
    assert "You took it." in await asked(desk, "/taken 44")
    await asked(desk, "/skipped 44", user_id=BOB)
    rows = desk.reader.journal()
    assert rows["action"].tolist() == ["taken", "skipped", "taken", "skipped"]
    assert rows["user_id"].tolist() == [ANN, ANN, ANN, BOB]
    assert rows["price"].tolist()[0] == 40873.1


async def test_the_answer_names_the_list_that_shows_what_was_said_and_none_where_none_does(desk: Desk) -> None:
    finished, waiting = 24, 36
    with desk.writer.transaction():
        desk.writer._connection.execute("UPDATE trades SET status = 'PENDING' WHERE signal_id = ?", (waiting,))
    shown = {"/trades 30": finished, "/open": waiting, "/signals 30": _passed_by(desk)}
    for command, number in shown.items():
        told = await asked(desk, f"/taken {number}")
        assert told.endswith(f"/skipped {number} says otherwise; {command.split()[0]} shows it.")
        assert re.search(rf"#{number} [^#]*you took it", await asked(desk, command))
    signals = desk.reader.signals(columns=["id", "origin", "verdict"])
    live = signals["origin"] == "live"
    for unlisted in (~live, live & (signals["verdict"] == "FILTERED")):
        number = signals.loc[unlisted, "id"].iloc[0]
        assert (await asked(desk, f"/taken {number}")).endswith(f"/skipped {number} says otherwise.")


def _passed_by(desk: Desk) -> int:
    """Return a live signal that passed and was not taken."""
    signals = desk.reader.signals(origin="live", columns=["id", "verdict"])
    passed = signals.loc[signals["verdict"].isin(["PASS", "UNGATED"]), "id"]
    return int(passed[~passed.isin(live_rows(desk)["signal_id"])].iloc[0])


async def test_what_was_taken_stands_beside_the_trade_for_who_said_it(desk: Desk) -> None:
    await asked(desk, "/taken 24 42000")
    await asked(desk, "/skipped 36")
    told = await asked(desk, "/trades")
    assert re.search(r"#24 LONG .* \(you took it at 42000\)", told)
    assert re.search(r"#36 SHORT .* \(you skipped it\)", told)
    assert "you took it" not in await asked(desk, "/trades", user_id=BOB)


async def test_a_mute_ends_by_itself_and_can_be_ended(desk: Desk) -> None:
    assert "No new signals of it here until 2024-01-26 00:00 UTC." in await asked(desk, "/mute BTC")
    assert len(desk.reader.mutes(END_MS + DAY_MS - 1)) == 1
    assert desk.reader.mutes(END_MS + DAY_MS).empty
    assert f"Muted: {BTC} until 2024-01-26 00:00 UTC" in await asked(desk, "/status")
    assert "until 2024-01-25 00:30 UTC" in await asked(desk, "/mute btc 0.5h")
    row = desk.reader.mutes(END_MS).iloc[0]
    assert (row["channel"], row["symbol"], row["until_ms"]) == ("telegram", BTC, END_MS + HOUR_MS // 2)
    assert f"Heard again\n{BTC}" in await asked(desk, "/unmute btc")
    assert "is not muted" in await asked(desk, "/unmute btc")
    assert desk.reader.mutes(END_MS).empty


async def test_a_command_that_is_handed_out_again_is_not_obeyed_again(desk: Desk, ear: Ear) -> None:
    ear.say("/mute BTC")
    await converse.run(desk, END_MS)
    await asked(desk, "/help", END_MS + 8 * DAY_MS)
    assert ear.asked == [0, 0]
    assert desk.reader.mutes(END_MS + 8 * DAY_MS).empty
