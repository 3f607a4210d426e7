"""Job `alert`: deliver what the outbox holds.

The law: at least once, in order, each alert marked as sent in its own commit as soon as its delivery is answered. A
chat that cannot be reached keeps its alerts and delays no other; a single message that never passes while others do is
given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.errors import ChatRefused, CredentialsError, NotifierError, NotifierUnavailable
from core.jobs._announce import ANSWER, EVENT, NEW_SIGNAL
from core.jobs._desk import Desk, Report
from core.jobs._letters import DIGEST_OVER, DIGEST_SIZE, Row, compose, letters, obsolete, records
from core.jobs._moves import follow, note_move
from core.ports import Addressed, Notifier

__all__ = ["DIGEST_OVER", "DIGEST_SIZE", "PARK_AFTER", "REFUSED_FOR_MS", "REFUSED_WAIT_MS", "run"]

QUEUED, SENT, FAILED, SKIPPED = "queued", "sent", "failed", "skipped"

PARK_AFTER = 5
"""Tries after which a message is parked as soon as another one passes."""

REFUSED_WAIT_MS = HOUR_MS
"""How long a chat that refuses the bot is left alone."""

REFUSED_FOR_MS = DAY_MS
"""How long alerts wait for such a chat to open again."""

_LOOK_S = 1.0  # while a chat is being served: how often it is looked whether somebody asked something
_FIRST_WAIT_MS = 5_000
_LONGEST_WAIT_MS = 5 * MINUTE_MS
_MEMORY = "alert"


@dataclass(slots=True)
class _Lane:
    """One chat's run: whom it tells, what was announced there before, and what came of it."""

    channel: str
    chat: str  # "" for the notifier's usual audience
    notifier: Notifier
    firsts: dict[int, str]  # signal id -> remote id of the message that announced it; "" where that was refused
    inbox: list[Row] = field(default_factory=list)  # answers that were queued while it runs
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    needs_a_person: bool = False

    @property
    def name(self) -> str:
        return f"{self.channel}:{self.chat}"


async def run(desk: Desk, now_ms: int) -> Report:
    """Deliver what is due, every chat on its own.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of alerts sent, failed (refused for good), skipped (left out, with the reason on record) and waiting.
        Not ok when an alert was refused, or the chat or the credentials were.
    """
    queued = desk.reader.outbox(state=QUEUED)
    told = queued[queued["channel"].isin(list(desk.notifiers))]
    if told.empty:
        return Report("alert")
    lanes = await _deliver_all(desk, told, now_ms)
    counts = sum((lane.counts for lane in lanes), Counter())
    return Report(
        "alert",
        ok=not any(lane.needs_a_person for lane in lanes),
        counts=dict(sorted(counts.items())),
        problems=tuple(line for lane in lanes for line in lane.problems),
    )


async def _deliver_all(desk: Desk, told: pd.DataFrame, now_ms: int) -> list[_Lane]:
    """Serve every chat at the same time; who asks something meanwhile does not wait for a paced chat."""
    firsts = _first_messages(desk, told)
    lanes: list[_Lane] = []
    work: dict[asyncio.Task[None], _Lane] = {}

    def serve(rows: Sequence[Row]) -> None:
        at_work = {lane.name: lane for task, lane in work.items() if not task.done()}
        for (channel, chat), mine in sorted(_by_chat(desk, rows).items()):
            lane = _Lane(channel, chat, desk.notifiers[channel], firsts.setdefault(channel, {}))
            if lane.name in at_work:
                at_work[lane.name].inbox += mine
                continue
            lanes.append(lane)
            work[asyncio.create_task(_deliver(desk, lane, mine, now_ms))] = lane

    try:
        serve(records(told.sort_values("id")))
        seen = int(told["id"].max())
        while (await asyncio.wait(work, timeout=_LOOK_S))[1]:
            new = desk.reader.outbox(state=QUEUED, signal_ids=[0])
            new = new[(new["id"] > seen) & (new["kind"] == ANSWER) & new["channel"].isin(list(desk.notifiers))]
            seen = max(seen, *new["id"].tolist(), 0)
            serve(records(new))
    finally:
        for task in work:
            task.cancel()
    for task in work:
        task.result()  # what nobody has named: only after every other chat had its turn
    return lanes


def _by_chat(desk: Desk, rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return rows by channel and chat; answers to the usual audience share its turn."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        chat = json.loads(row["payload"])["chat"] if row["kind"] == ANSWER else ""
        notifier = desk.notifiers[row["channel"]]
        if isinstance(notifier, Addressed):
            follow(desk, row["channel"], notifier)
            chat = "" if chat in (notifier.address, notifier.configured) else chat
        found.setdefault((row["channel"], chat), []).append(row)
    return found


async def _deliver(desk: Desk, lane: _Lane, rows: list[Row], now_ms: int) -> None:
    """Send one chat's alerts in order, up to the first that has to wait: a reply never precedes its signal."""
    at_ms = _time(desk, now_ms)
    if any(row["tries"] and row["next_try_ms"] > at_ms for row in rows):
        lane.counts["waiting"] += len(rows)
        return
    gone = obsolete(desk, lane.channel, rows, at_ms)
    for row, reason in gone:
        _mark(desk, lane, [row], SKIPPED, at_ms, error=reason)
    left_out = {row["id"] for row, _ in gone}
    queue = letters([row for row in rows if row["id"] not in left_out])
    while queue or lane.inbox:
        queue[:0] = [[row] for row in lane.inbox]
        lane.inbox.clear()
        if not await _deliver_one(desk, lane, queue, _time(desk, now_ms)):
            break
        queue.pop(0)
    lane.counts["waiting"] += sum(map(len, queue)) + len(lane.inbox)


def _time(desk: Desk, now_ms: int) -> int:
    """Return the market's time by now: a paced run takes a while, and a pause counts from when it is asked for."""
    return max(now_ms, desk.market.now_ms())


async def _deliver_one(desk: Desk, lane: _Lane, queue: list[list[Row]], at_ms: int) -> bool:
    """Send the first message and mark its rows; return False when the chat has to wait."""
    letter = queue[0]
    try:
        await _send(desk, lane, letter, at_ms)
    except (NotifierUnavailable, CredentialsError) as error:
        needs_a_person = isinstance(error, CredentialsError)
        if not needs_a_person and await _others_pass(desk, lane, queue, error, at_ms):
            with contextlib.suppress(NotifierError, CredentialsError):
                await _send(desk, lane, letter, at_ms)  # a line that has just come back is no reason to give up
                return True
            _give_up(desk, lane, letter, at_ms, f"given up after {letter[0]['tries'] + 1} tries, others pass: {error}")
            return True
        _mark(desk, lane, letter, QUEUED, at_ms, None, str(error), at_ms + _wait_ms(letter[0], error))
        _complain(desk, lane, str(error), once=needs_a_person)
        lane.needs_a_person |= needs_a_person
        return False
    except ChatRefused as error:
        return _refused(desk, lane, queue, error, at_ms)
    except NotifierError as error:
        _give_up(desk, lane, letter, at_ms, str(error))
    return True


async def _send(desk: Desk, lane: _Lane, letter: list[Row], at_ms: int) -> None:
    """Send one message and mark its rows, or mark that there is nothing to say any more."""
    message, refusal = compose(desk, lane.firsts, letter, at_ms)
    if message is None:
        _mark(desk, lane, letter, SKIPPED, at_ms, error=refusal)
        return
    remote_id = await lane.notifier.send(message)
    _mark(desk, lane, letter, SENT, at_ms, remote_id=remote_id)
    _announced(lane, letter, remote_id)
    _complaints(desk).pop(lane.name, None)
    if isinstance(lane.notifier, Addressed):
        lane.problems += note_move(desk, lane.channel, lane.notifier, at_ms)


async def _others_pass(
    desk: Desk, lane: _Lane, queue: list[list[Row]], error: NotifierUnavailable | CredentialsError, at_ms: int
) -> bool:
    """Say whether another message passes where the first one did not, often enough: another one each time."""
    others, beyond = queue[1:], int(queue[0][0]["tries"]) + 1 - PARK_AFTER
    if beyond < 0 or not others or (isinstance(error, NotifierUnavailable) and error.retry_after_s is not None):
        return False
    unsaid = {row["signal_id"] for one in queue for row in one if row["kind"] == NEW_SIGNAL}
    strangers = [other for other in others if other[0]["kind"] != EVENT or other[0]["signal_id"] not in unsaid]
    if not strangers:  # news of a signal never overtakes its announcement
        return False
    chosen = strangers[beyond % len(strangers)]
    before = lane.counts[SENT]
    try:
        await _send(desk, lane, chosen, at_ms)
    except (NotifierError, CredentialsError):
        return False  # its own turn will say why
    queue.remove(chosen)
    return lane.counts[SENT] > before


def _refused(desk: Desk, lane: _Lane, queue: list[list[Row]], error: ChatRefused, at_ms: int) -> bool:
    """Leave a chat that takes nothing alone for an hour; what has waited for a day by then is given up."""
    if lane.chat:
        _give_up(desk, lane, queue[0], at_ms, str(error))
        return True
    _complain(desk, lane, str(error), once=True)
    lane.needs_a_person = True
    while queue and all(at_ms - row["created_ms"] >= REFUSED_FOR_MS for row in queue[0]):
        _mark(desk, lane, queue[0], FAILED, at_ms, error=str(error))
        _announced(lane, queue.pop(0), "")
    if queue:
        _mark(desk, lane, queue[0], QUEUED, at_ms, error=str(error), next_try_ms=at_ms + REFUSED_WAIT_MS)
    return False


def _give_up(desk: Desk, lane: _Lane, letter: list[Row], at_ms: int, why: str) -> None:
    """Mark a message as refused for good; what becomes of its signals is told on its own."""
    _mark(desk, lane, letter, FAILED, at_ms, error=why)
    lane.problems.append(f"{lane.channel}: alert {letter[0]['key']} was refused: {why}")
    lane.needs_a_person = True
    _announced(lane, letter, "")


def _announced(lane: _Lane, letter: list[Row], remote_id: str) -> None:
    lane.firsts.update({row["signal_id"]: remote_id for row in letter if row["kind"] == NEW_SIGNAL})


def _mark(
    desk: Desk,
    lane: _Lane,
    letter: list[Row],
    state: str,
    at_ms: int,
    remote_id: str | None = None,
    error: str | None = None,
    next_try_ms: int | None = None,
) -> None:
    """Commit what became of a message, for all its rows at once."""
    with desk.writer.transaction():
        for row in letter:
            desk.writer.mark_outbox(
                int(row["id"]), state, at_ms, remote_id=remote_id, error=error, next_try_ms=next_try_ms
            )
    if state != QUEUED:
        lane.counts[state] += len(letter)


def _complaints(desk: Desk) -> dict[str, str]:
    complaints: dict[str, str] = desk.memory.setdefault(_MEMORY, {})
    return complaints


def _complain(desk: Desk, lane: _Lane, line: str, once: bool) -> None:
    """Report a trouble; what only a person can mend is said once, until something passes again."""
    if not once or _complaints(desk).get(lane.name) != line:
        lane.problems.append(f"{lane.channel}: {line}")
    if once:
        _complaints(desk)[lane.name] = line


def _wait_ms(row: Row, error: NotifierUnavailable | CredentialsError) -> int:
    """Return how long to leave the chat alone: as it asked, else longer each time, up to five minutes."""
    if isinstance(error, CredentialsError):
        return _LONGEST_WAIT_MS  # a person has to mend it; the alerts wait for that
    if error.retry_after_s is not None:
        return math.ceil(error.retry_after_s * 1000)
    return min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS << min(int(row["tries"]), 10))


def _first_messages(desk: Desk, told: pd.DataFrame) -> dict[str, dict[int, str]]:
    """Return, per channel, the remote id of the message that announced each signal something is told about."""
    firsts: dict[str, dict[int, str]] = {}
    about = sorted(set(told.loc[told["kind"] == EVENT, "signal_id"].tolist()))
    if about:
        known = desk.reader.outbox(signal_ids=about)
        for row in records(known[(known["kind"] == NEW_SIGNAL) & known["state"].isin([SENT, FAILED])]):
            firsts.setdefault(row["channel"], {})[row["signal_id"]] = row["remote_id"]
    return firsts
