"""Job `converse`: hear what people ask, and queue the answers.

The law: only those who are listed are answered, everybody else meets silence. What a command changes, its answer and
the note that it was heard are one transaction, so a restart neither loses a command nor obeys it twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from core.clock import DAY_MS, monotonic_s
from core.config import secrets_of
from core.errors import CredentialsError, NotifierUnavailable, TraderError
from core.jobs._announce import answer_rows
from core.jobs._asking import Ask, Reply
from core.jobs._commands import reply_to
from core.jobs._desk import Desk, Report
from core.ports import Heard, Listener
from core.redact import redact
from core.results.explain import escaped
from core.store.reader import Reader

__all__ = ["AT_ONCE", "A_MINUTE", "run"]

AT_ONCE = 5
"""Most commands obeyed in one run; the rest are heard again in the next."""

A_MINUTE = 20
"""Most commands of one person in a minute; they are told once, and what is more is not obeyed."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 300.0
_STRANGERS_EVERY_S = 3_600.0

# Telegram numbers anew, from anywhere, when nothing arrived for a week; with an old number nothing would be heard.
_MARK_HOLDS_MS = 6 * DAY_MS

_MEMORY = "converse"


@dataclass(slots=True)
class _Ear:
    """What is remembered of one listener between runs; all of it may be forgotten."""

    resume_s: float = 0.0
    failures: int = 0
    told: str = ""
    strangers: int = 0
    newest_stranger: int = 0
    strangers_told_s: float = -_STRANGERS_EVERY_S
    recent: dict[int, deque[float]] = field(default_factory=dict)
    done: deque[int] = field(default_factory=lambda: deque(maxlen=1_000))


async def run(desk: Desk, now_ms: int) -> Report:
    """Hear every notifier that listens once, and queue answers in the outbox.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of commands answered. Problems name a listener that cannot be reached (once,
        until it can) and, at most once an hour, that strangers wrote.
    """
    allowed = frozenset(desk.config.notify.telegram.allowed_user_ids)
    counts = {"answered": 0}
    problems: list[str] = []
    is_fine = True
    for channel, notifier in sorted(desk.notifiers.items()):
        if not allowed or not isinstance(notifier, Listener):
            continue
        ear = desk.memory.setdefault(_MEMORY, {}).setdefault(channel, _Ear())
        if monotonic_s() < ear.resume_s:
            continue
        mark = f"heard:{channel}:{notifier.hears_as}"
        try:
            heard = await notifier.hear(_last_heard(desk, mark, now_ms))
        except (NotifierUnavailable, CredentialsError) as error:
            problems += _failed(ear, error, channel)
            is_fine &= not isinstance(error, CredentialsError)
            continue
        ear.failures, ear.told = 0, ""
        counts["answered"] += await _attend(desk, ear, channel, mark, heard, allowed, now_ms)
        problems += _of_strangers(ear, channel)
    return Report("converse", ok=is_fine, counts=counts, problems=tuple(problems))


async def _attend(
    desk: Desk, ear: _Ear, channel: str, mark: str, heard: Sequence[Heard], allowed: frozenset[int], now_ms: int
) -> int:
    """Obey what may be obeyed, in order; return how many commands were answered."""
    answered = last = 0
    for one in heard:
        if answered == AT_ONCE:
            break
        last = one.id
        if one.id in ear.done:
            continue  # handed out again: the note of it was older than it is relied on
        if one.user_id not in allowed:
            ear.strangers += bool(one.text)
            ear.newest_stranger = one.user_id if one.text else ear.newest_stranger
            continue
        refusal = _too_many(ear, one.user_id) if one.text else None
        reply = Reply(refusal) if refusal else None if refusal == "" else await _reply(desk, channel, one, now_ms)
        if reply is None:
            continue
        with desk.writer.transaction():
            if reply.change is not None:
                reply.change(desk.writer)
            desk.writer.queue(answer_rows(f"{mark}:{one.id}", reply.pages, channel, one, now_ms))
            desk.writer.set_meta(mark, json.dumps([one.id, now_ms]))
        ear.done.append(one.id)
        answered, last = answered + 1, 0
    if last:
        desk.writer.set_meta(mark, json.dumps([last, now_ms]))
    return answered


async def _reply(desk: Desk, channel: str, one: Heard, now_ms: int) -> Reply | None:
    """Return what to answer; None where nothing was said to us."""
    if not one.text:
        return None
    ask = Ask(_aside(desk), channel, one.user_id, one.text, one.private, now_ms)
    try:
        return await asyncio.to_thread(reply_to, ask)
    except TraderError as error:
        return Reply(escaped(redact(str(error), secrets_of(desk.config))))
    except Exception:  # a fault of one command must not be met again at every start, nor end the engine
        desk.log.exception("converse: the command %r of user %d failed", one.text[:80], one.user_id)
        return Reply("That failed here, and the log says why. Nothing was changed.")


def _aside(desk: Desk) -> Desk:
    """Return a desk to read at in another thread: a reader and a memory of its own, so that the minute goes on."""
    return replace(desk, reader=Reader(desk.writer.path), memory={})


def _last_heard(desk: Desk, mark: str, now_ms: int) -> int:
    noted = desk.reader.meta(mark)
    if noted is None:
        return 0
    last, at_ms = json.loads(noted)
    return int(last) if now_ms - at_ms < _MARK_HOLDS_MS else 0


def _failed(ear: _Ear, error: TraderError, channel: str) -> list[str]:
    """Leave a listener alone for a while, longer each time; say so where that is new."""
    wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(ear.failures, 10))
    asked_s = error.retry_after_s if isinstance(error, NotifierUnavailable) else None
    ear.resume_s = monotonic_s() + (wait_s if asked_s is None else asked_s)
    ear.failures += 1
    is_new = ear.told != str(error)
    ear.told = str(error)
    return [f"{channel} does not hear: {error}"] if is_new else []


def _of_strangers(ear: _Ear, channel: str) -> list[str]:
    if not ear.strangers or monotonic_s() - ear.strangers_told_s < _STRANGERS_EVERY_S:
        return []
    line = (
        f"{channel}: {ear.strangers} message{'' if ear.strangers == 1 else 's'} of people who are not listed in "
        f"notify.telegram.allowed_user_ids got no answer, the newest of user {ear.newest_stranger}"
    )
    ear.strangers, ear.strangers_told_s = 0, monotonic_s()
    return [line]


def _too_many(ear: _Ear, user_id: int) -> str | None:
    """Return None while a person may go on, what to tell them when they first may not, then ``""``."""
    now_s = monotonic_s()
    said = ear.recent.setdefault(user_id, deque())
    while said and now_s - said[0] >= 60.0:
        said.popleft()
    if len(said) > A_MINUTE:
        return ""
    said.append(now_s)
    return f"That is more than {A_MINUTE} commands in a minute; wait a little." if len(said) > A_MINUTE else None
