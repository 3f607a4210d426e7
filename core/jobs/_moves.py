"""Audiences that move: a Telegram group that became a supergroup has another number.

The law: the new number is used at once and remembered, so that a restart finds it again; what is to be written into the
configuration is said once.
"""

from __future__ import annotations

from core.jobs._announce import note_rows
from core.jobs._desk import Desk
from core.ports import Addressed

__all__ = ["follow", "note_move"]

_MEMORY = "moves"


def follow(desk: Desk, channel: str, notifier: Addressed) -> None:
    """Let a notifier use the address its audience was last known to have."""
    known: dict[str, str] = desk.memory.setdefault(_MEMORY, {})
    if channel in known:
        return
    found = desk.reader.meta(_note(channel, notifier))
    if found is not None:
        notifier.moved_to(found)
    known[channel] = notifier.address


def note_move(desk: Desk, channel: str, notifier: Addressed, now_ms: int) -> list[str]:
    """Remember where an audience has moved to; return what there is to say, the first time."""
    known: dict[str, str] = desk.memory.setdefault(_MEMORY, {})
    if known.get(channel, notifier.configured) == notifier.address:
        return []
    line = (
        f"the chat {notifier.configured} became {notifier.address}: messages go there now; write "
        f"notify.telegram.chat_id: {notifier.address} (or TELEGRAM_CHAT_ID in .env)"
    )
    with desk.writer.transaction():
        desk.writer.set_meta(_note(channel, notifier), notifier.address)
        key = f"moved:{notifier.configured}:{notifier.address}"
        desk.writer.queue(note_rows(key, line[:1].upper() + line[1:], [channel], now_ms))
    known[channel] = notifier.address
    return [f"{channel}: {line}"]


def _note(channel: str, notifier: Addressed) -> str:
    return f"moved:{channel}:{notifier.configured}"
