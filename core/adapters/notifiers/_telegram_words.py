"""What Telegram says, in the house's errors, and what people say to the bot, as the engine reads it.

The law: translated here, once: a retry can help, or the chat takes nothing, or this message is refused, or the token is
wrong. The token never appears in what is raised.
"""

from __future__ import annotations

import datetime as dt

import telegram
from telegram.constants import ChatType
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, RetryAfter, TelegramError

from core.errors import ChatRefused, CredentialsError, NotifierError, NotifierUnavailable
from core.ports import Heard
from core.redact import redact

__all__ = ["heard_of", "translated"]

_CONFLICT_S = 60.0

# Of the chat, not of the message: https://core.telegram.org/bots/api#making-requests names no codes for them.
_NO_ENTRY = (
    *("chat not found", "peer_id_invalid", "not enough rights", "have no rights", "need administrator rights"),
    *("chat_write_forbidden", "chat was deleted", "group chat was deactivated", "is not a member"),
)


def translated(error: TelegramError, token: str, chat: str) -> NotifierError | CredentialsError:
    """Return what Telegram said as an error of the house.

    Parameters
    ----------
    error : telegram.error.TelegramError
    token : str
        What must not appear.
    chat : str
        Whom the message was for; ``""`` for a question that concerns no chat.
    """
    said = redact(error.message, [token])
    if isinstance(error, RetryAfter):
        seconds = _seconds(error.retry_after)
        return NotifierUnavailable(f"telegram: asked to wait {seconds:.0f} s", seconds)
    if _from_something_else(error):
        return NotifierUnavailable(f"telegram: answered by something that is not Telegram ({said[:200]})")
    if isinstance(error, InvalidToken):
        return CredentialsError("telegram: the bot token was refused; check TELEGRAM_BOT_TOKEN or ask @BotFather")
    if isinstance(error, Conflict):
        return NotifierUnavailable(
            f"telegram: somebody else listens with this bot's token ({said[:200]}); stop the other program, or "
            "remove its webhook",
            _CONFLICT_S,
        )
    if isinstance(error, Forbidden):
        return ChatRefused(f"telegram: chat {chat} refuses the bot ({said}); unblock or add it there")
    if isinstance(error, BadRequest):  # before NetworkError, whose child it is
        if any(words in said.lower() for words in _NO_ENTRY):
            return ChatRefused(f"telegram: chat {chat} takes nothing ({said}); check notify.telegram.chat_id")
        return NotifierError(f"telegram: chat {chat}: refused ({said})")
    return NotifierUnavailable(f"telegram: not reached ({said or type(error).__name__})")


def heard_of(update: telegram.Update, username: str) -> Heard:
    """Return what an update says to a bot; without words where it says nothing to this one.

    Parameters
    ----------
    update : telegram.Update
    username : str
        The bot's, without ``@``.
    """
    message = update.message
    if message is None:
        return Heard(update.update_id, 0, "", "", "")
    person = 0 if message.from_user is None else message.from_user.id
    private = message.chat.type == ChatType.PRIVATE
    text, is_named = _for_bot(message.text or "", username)
    if not private and not text.startswith("/"):
        text = ""  # people talking to each other
    return Heard(
        update.update_id, person, str(message.chat.id), str(message.message_id), text.strip(), private or is_named
    )


def _for_bot(text: str, username: str) -> tuple[str, bool]:
    """Return a text without the bot's name behind its command, and whether it was there; none of another bot's."""
    first, blank, rest = text.partition(" ")
    command, at, name = first.partition("@")
    if not first.startswith("/") or not at:
        return text, False
    if name.lower() != username.lower():
        return "", False
    return command + blank + rest, True


def _seconds(value: int | float | dt.timedelta) -> float:
    return value.total_seconds() if isinstance(value, dt.timedelta) else float(value)


def _from_something_else(error: BaseException) -> bool:
    """Say whether the answer was not in Telegram's form: the page of a proxy or a portal, which refuses nothing."""
    cause = error.__cause__
    while cause is not None:
        if type(cause) is TelegramError:
            return True
        cause = cause.__cause__
    return False
