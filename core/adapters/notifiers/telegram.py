"""Messages to Telegram chats through a bot, and what people say to it.

The law: an answer may be lost, so a message may arrive twice; it never counts as delivered without an answer. What is
heard is handed out again until the caller says that it is done with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from pathlib import Path

import telegram
from telegram.constants import MessageLimit, ParseMode
from telegram.error import BadRequest, ChatMigrated, TelegramError
from telegram.request import HTTPXRequest
from telegram.warnings import PTBDeprecationWarning

from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers._telegram_words import heard_of, translated
from core.adapters.notifiers._trim import trim_html, trim_plain
from core.errors import ConfigError, CredentialsError, NotifierError, NotifierUnavailable
from core.ports import Heard, Message

__all__ = ["TelegramNotifier"]

# https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
_INTERVAL_S = 1.0
_GROUP_PER_MINUTE = 20

_CONNECT_S, _ANSWER_S = 10.0, 20.0
_LIMIT, _CAPTION_LIMIT = int(MessageLimit.MAX_TEXT_LENGTH), int(MessageLimit.CAPTION_LENGTH)

_LISTEN_S = 25  # Telegram answers a question about news at once when there is any, else after this
_HEARD_AT_ONCE = 50
_PATIENCE_S = 0.02  # what asking costs whoever asks


class TelegramNotifier:
    """Sends to one chat through a bot, at the pace Telegram allows, and listens to whoever writes to the bot.

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
        self.configured = self.address = chat_id
        self.hears_as = token.partition(":")[0]  # the bot's number; it is public, what follows is not
        self._token = token
        self._base_url = (base_url or "https://api.telegram.org").rstrip("/").removesuffix("/bot") + "/bot"
        self._pace = pace or _pace_for(chat_id)
        self._lanes: dict[str, tuple[Pace, asyncio.Lock]] = {"": (self._pace, asyncio.Lock())}
        self._starting = asyncio.Lock()
        self._bot: telegram.Bot | None = None
        self._listening: asyncio.Task[list[Heard]] | None = None
        # The library warns whenever Telegram asks for a pause, of a type that `_seconds` reads either way.
        warnings.filterwarnings("ignore", message=".*retry_after", category=PTBDeprecationWarning)

    def moved_to(self, address: str) -> None:
        """Send to another chat from now on: the same people, under a new number."""
        self.address = address

    async def send(self, message: Message) -> str:
        """Deliver a message; return Telegram's id of it.

        A text over the limit is trimmed; one whose HTML Telegram cannot read is sent again plain; one that answers a
        deleted message is sent on its own; one for a group that became a supergroup follows it there.

        Raises
        ------
        NotifierUnavailable
            Not now: no connection, no answer, an error on Telegram's side, or a pause it asked for.
        ChatRefused
            Not before a person mends it: the bot was blocked, the chat does not exist.
        NotifierError
            Never: this message is refused.
        CredentialsError
            The token was refused.
        """
        own = message.chat in ("", self.configured, self.address)
        pace, turn = self._lane("" if own else message.chat)
        async with turn:
            resting_s = pace.resting_s()
            if resting_s > 0:
                raise NotifierUnavailable(f"telegram: resting for {resting_s:.0f} s, as it was asked to", resting_s)
            chat = self.address if own else message.chat
            try:
                bot = await self._ready()
                try:
                    return await self._deliver(bot, pace, chat, message)
                except ChatMigrated as error:
                    chat = str(error.new_chat_id)
                    if own:
                        self.moved_to(chat)
                    return await self._deliver(bot, pace, chat, message)
            except TelegramError as error:
                told = translated(error, self._token, chat)
                if isinstance(told, NotifierUnavailable) and told.retry_after_s is not None:
                    pace.rest(told.retry_after_s)
                raise told from None

    async def hear(self, after: int) -> list[Heard]:
        """Return at once what was written to the bot behind an id; a question about more is left with Telegram.

        Raises
        ------
        NotifierUnavailable
            Not now: no connection, no answer, or another program listens with the same token.
        CredentialsError
            The token was refused.
        """
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(after))
        done, _ = await asyncio.wait({self._listening}, timeout=_PATIENCE_S)
        if not done:
            return []
        finished, self._listening = self._listening, None
        return finished.result()

    async def check(self) -> None:
        """Ask Telegram who the bot is and whether it knows the chat; follow a group that became a supergroup.

        Raises
        ------
        NotifierUnavailable
            Not now: no connection, no answer, an error on Telegram's side, or a pause it asked for.
        ChatRefused
            Not before a person mends it: the chat does not exist, or the bot is not in it.
        CredentialsError
            The token was refused.
        """
        try:
            bot = await self._ready()
            try:
                await _ask_for(bot, self.address)
            except ChatMigrated as error:
                self.moved_to(str(error.new_chat_id))
                await _ask_for(bot, self.address)
        except TelegramError as error:
            raise translated(error, self._token, self.address) from None

    async def close(self) -> None:
        """Release connections; what is being asked is given up, and asked again by whoever comes next."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, NotifierError, CredentialsError):
                await self._listening
            self._listening = None
        if self._bot is not None:
            await self._bot.shutdown()
            self._bot = None

    def _lane(self, chat: str) -> tuple[Pace, asyncio.Lock]:
        """Return the pace of a chat, and the lock that lets one message at a time go there."""
        if chat not in self._lanes:
            self._lanes[chat] = (_pace_for(chat), asyncio.Lock())
        return self._lanes[chat]

    async def _ready(self) -> telegram.Bot:
        """Return the bot, connected and its token checked."""
        async with self._starting:
            if self._bot is None:
                request, listening = (
                    HTTPXRequest(connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, write_timeout=_ANSWER_S)
                    for _ in range(2)
                )
                self._bot = telegram.Bot(
                    self._token, base_url=self._base_url, request=request, get_updates_request=listening
                )
            await self._bot.initialize()
            return self._bot

    async def _listen(self, after: int) -> list[Heard]:
        """Wait for what is written to the bot; asking behind an id tells Telegram to forget the rest."""
        try:
            bot = await self._ready()
            updates = await bot.get_updates(
                offset=after + 1 if after else None,
                limit=_HEARD_AT_ONCE,
                timeout=_LISTEN_S,
                allowed_updates=[telegram.Update.MESSAGE],
                read_timeout=_ANSWER_S,
            )
        except TelegramError as error:
            raise translated(error, self._token, "") from None
        return [heard_of(update, bot.username) for update in updates if update.update_id > after]

    async def _deliver(self, bot: telegram.Bot, pace: Pace, chat: str, message: Message) -> str:
        try:
            return await self._post(bot, pace, chat, message, ParseMode.HTML)
        except BadRequest as error:
            if isinstance(error, ChatMigrated) or "parse" not in error.message.lower():
                raise
        return await self._post(bot, pace, chat, message, None)

    async def _post(self, bot: telegram.Bot, pace: Pace, chat: str, message: Message, parse_mode: str | None) -> str:
        await pace.turn()
        limit = _CAPTION_LIMIT if message.document else _LIMIT
        text = trim_html(message.html, limit) if parse_mode else trim_plain(message.plain, limit)
        answers = None
        if message.reply_to is not None and message.reply_to.isdigit():
            answers = telegram.ReplyParameters(int(message.reply_to), allow_sending_without_reply=True)
        if message.document:
            sent = await bot.send_document(
                chat,
                _file(Path(message.document)),
                caption=text,
                parse_mode=parse_mode,
                disable_notification=message.silent,
                reply_parameters=answers,
            )
        else:
            sent = await bot.send_message(
                chat,
                text,
                parse_mode=parse_mode,
                disable_notification=message.silent,
                reply_parameters=answers,
                link_preview_options=telegram.LinkPreviewOptions(is_disabled=True),
            )
        return str(sent.message_id)


async def _ask_for(bot: telegram.Bot, chat: str) -> None:
    """Ask for a chat, which shows nothing in it."""
    # A server of one's own that is older than the library leaves out fields it wants; that it found the chat is enough.
    with contextlib.suppress(TypeError):
        await bot.get_chat(chat)


def _pace_for(chat: str) -> Pace:
    return Pace(_INTERVAL_S, None if chat.isdigit() else _GROUP_PER_MINUTE)


def _file(path: Path) -> telegram.InputFile:
    try:
        return telegram.InputFile(path.read_bytes(), filename=path.name)
    except OSError as error:
        raise NotifierError(f"telegram: {path}: cannot be read ({error.strerror or error})") from error
