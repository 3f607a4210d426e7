"""Messages to one Telegram chat.

The law: what Telegram says is translated here, once: a retry can help, or it cannot, or the token is wrong.
The token never appears in what is raised. An answer may be lost, so a message may arrive twice; it never
counts as delivered without an answer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import warnings

import telegram
from telegram.constants import MessageLimit, ParseMode
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter, TelegramError
from telegram.request import HTTPXRequest
from telegram.warnings import PTBDeprecationWarning

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers._trim import trim_html, trim_plain
from core.errors import ConfigError, CredentialsError, NotifierError, NotifierUnavailable
from core.ports import Message
from core.redact import redact

__all__ = ["TelegramNotifier"]

# https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
_INTERVAL_S = 1.0
_GROUP_PER_MINUTE = 20

_CONNECT_S, _ANSWER_S = 10.0, 20.0
_LIMIT = int(MessageLimit.MAX_TEXT_LENGTH)


class TelegramNotifier:
    """Sends to one chat through a bot, at the pace Telegram allows.

    Parameters
    ----------
    token : str
        The bot's token.
    chat_id : str
        A user's number, a group's negative number or ``@channel``.
    base_url : str, optional
        Where the Bot API is served, with or without ``/bot`` behind it; Telegram's own by default.
    pace : Pace, optional
        One message a second, and 20 a minute where the chat is a group or a channel, by default.

    Raises
    ------
    CredentialsError
        The token is empty.
    ConfigError
        The chat id is empty.
    """

    name = "telegram"

    def __init__(self, token: str, chat_id: str, base_url: str | None = None, pace: Pace | None = None) -> None:
        if not token:
            raise CredentialsError("telegram: no bot token; set TELEGRAM_BOT_TOKEN in .env (from @BotFather)")
        if not chat_id:
            raise ConfigError("notify.telegram.chat_id: empty; expected a number such as 123456789 or -1001234567890")
        self._token = token
        self._chat_id = chat_id
        self._base_url = (base_url or "https://api.telegram.org").rstrip("/").removesuffix("/bot") + "/bot"
        self._pace = pace or Pace(_INTERVAL_S, None if chat_id.isdigit() else _GROUP_PER_MINUTE)
        self._lock = asyncio.Lock()
        self._bot: telegram.Bot | None = None
        # The library warns whenever Telegram asks for a pause, of a type that `_seconds` reads either way.
        warnings.filterwarnings("ignore", message=".*retry_after", category=PTBDeprecationWarning)

    async def send(self, message: Message) -> str:
        """Deliver a message; return Telegram's id of it.

        A text over the limit is trimmed; one whose HTML Telegram cannot read is sent again plain; one that answers a
        deleted message is sent on its own.

        Raises
        ------
        NotifierUnavailable
            Not now: no connection, no answer, an error on Telegram's side, or a pause it asked for.
        NotifierError
            Never: the bot was blocked, the chat does not exist.
        CredentialsError
            The token was refused.
        """
        async with self._lock:
            resting_s = self._pace.resting_s()
            if resting_s > 0:
                raise NotifierUnavailable(f"telegram: resting for {resting_s:.0f} s, as it was asked to", resting_s)
            try:
                bot = await self._ready()
                try:
                    return await self._post(bot, trim_html(message.html, _LIMIT), ParseMode.HTML, message)
                except BadRequest as error:
                    if "parse" not in error.message.lower():
                        raise
                return await self._post(bot, trim_plain(message.plain, _LIMIT), None, message)
            except TelegramError as error:
                raise self._translated(error) from None

    async def check(self) -> None:
        """Ask Telegram who the bot is.

        Raises
        ------
        NotifierUnavailable
            Not now: no connection, no answer, an error on Telegram's side, or a pause it asked for.
        CredentialsError
            The token was refused.
        """
        async with self._lock:
            try:
                await self._ready()
            except TelegramError as error:
                raise self._translated(error) from None

    async def close(self) -> None:
        """Release connections."""
        if self._bot is not None:
            await self._bot.shutdown()
            self._bot = None

    async def _ready(self) -> telegram.Bot:
        """Return the bot, connected and its token checked."""
        if self._bot is None:
            request = HTTPXRequest(connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, write_timeout=_ANSWER_S)
            self._bot = telegram.Bot(self._token, base_url=self._base_url, request=request)
        await self._bot.initialize()
        return self._bot

    async def _post(self, bot: telegram.Bot, text: str, parse_mode: str | None, message: Message) -> str:
        await self._pace.turn()
        answers = None
        if message.reply_to is not None and message.reply_to.isdigit():
            answers = telegram.ReplyParameters(int(message.reply_to), allow_sending_without_reply=True)
        sent = await bot.send_message(
            self._chat_id,
            text,
            parse_mode=parse_mode,
            disable_notification=message.silent,
            reply_parameters=answers,
            link_preview_options=telegram.LinkPreviewOptions(is_disabled=True),
        )
        return str(sent.message_id)

    def _translated(self, error: TelegramError) -> NotifierError | CredentialsError:
        said = redact(error.message, [self._token])
        if isinstance(error, RetryAfter):
            seconds = _seconds(error.retry_after)
            self._pace.rest(seconds)
            return NotifierUnavailable(f"telegram: asked to wait {seconds:.0f} s", seconds)
        if _from_something_else(error):
            return NotifierUnavailable(f"telegram: answered by something that is not Telegram ({said[:200]})")
        if isinstance(error, InvalidToken):
            return CredentialsError("telegram: the bot token was refused; check TELEGRAM_BOT_TOKEN or ask @BotFather")
        if isinstance(error, ChatMigrated):
            return NotifierError(
                f"notify.telegram.chat_id: {self._chat_id} became a supergroup; write {error.new_chat_id}"
            )
        if isinstance(error, Forbidden):
            return NotifierError(f"telegram: chat {self._chat_id} refuses the bot ({said}); unblock or add it there")
        if isinstance(error, BadRequest):  # before NetworkError, whose child it is
            return NotifierError(f"telegram: chat {self._chat_id}: refused ({said})")
        return NotifierUnavailable(f"telegram: not reached ({said or type(error).__name__})")


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
