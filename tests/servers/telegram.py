"""A Bot API on loopback: what Telegram does with a message, and every way it has of not doing it.

It accepts what Telegram accepts (balanced tags, 4096 characters, replies to messages that exist, groups under their new
number once they moved), keeps what was delivered, and answers the next calls of sendMessage as a test scripts them.
What people write is handed out by getUpdates until somebody asks behind it, as Telegram does.
"""

from __future__ import annotations

import email
import email.message
import json
import os
import signal
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

CANARY_TOKEN = "987654321:CANARY_aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

_TAGS = {"b", "i", "u", "s", "code", "pre", "a", "strong", "em"}


@dataclass(frozen=True)
class Answer:
    """How a call is answered; `delivers` whether the message reaches the chat all the same."""

    status: int = 200
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    delivers: bool = False
    page: str = ""
    drops: str = ""  # "reset" or "silent": no answer at all


def flood(seconds: int) -> Answer:
    return Answer(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})


def broken(status: int = 502) -> Answer:
    return Answer(status, "Bad Gateway" if status == 502 else "Internal Server Error")


def portal(status: int = 403) -> Answer:
    return Answer(status, page="<html>Please log in to the hotel network</html>")


BLOCKED = Answer(403, "Forbidden: bot was blocked by the user")
NO_CHAT = Answer(400, "Bad Request: chat not found")
UNPARSED = Answer(400, "Bad Request: can't parse entities: Unsupported start tag at byte offset 3")
UNAUTHORIZED = Answer(401, "Unauthorized")
MIGRATED = Answer(
    400, "Bad Request: group chat was upgraded to a supergroup chat", {"migrate_to_chat_id": -1001234567890}
)
CONFLICT = Answer(
    409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
RESET = Answer(drops="reset")
LOST = Answer(delivers=True, drops="silent")


@dataclass(frozen=True)
class Delivered:
    """A message in the chat."""

    message_id: int
    chat_id: str
    text: str
    parse_mode: str
    reply_to: int | None
    silent: bool
    document: str = ""  # its file name; the text is the caption then
    content: str = ""


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.shown = ""
        self.valid = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.valid &= tag in _TAGS
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.valid &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


class TelegramServer:
    """The server; use it as a context manager."""

    def __init__(self, token: str = CANARY_TOKEN) -> None:
        self.token = token
        self.messages: list[Delivered] = []
        self.calls: list[str] = []
        self.script: deque[Answer] = deque()
        self.getme: deque[Answer] = deque()
        self.news: deque[Answer] = deque()  # how the next calls of getUpdates are answered
        self.updates: list[dict[str, Any]] = []  # what was written to the bot and nobody has confirmed
        self.offsets: list[int] = []  # what getUpdates was asked with
        self.poisoned: dict[str, Answer] = {}  # a text with this in it is answered so, however often it is sent
        self.moved: dict[str, int] = {}  # chats that have another number now
        self.unknown: set[str] = set()  # chats that are not there
        self.next_update = 500_000
        self._arrived = threading.Condition()
        self._closing = False
        self.victim: int | None = None
        self.kill_at: dict[int, str] = {}  # number of the message -> "before" or "after" its answer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *args: object) -> None:
                """Say nothing: the tests read what the client logs."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/bot"

    def __enter__(self) -> TelegramServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._arrived:
            self._closing = True
            self._arrived.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def write(self, text: str, user_id: int = 7, chat: int | None = None, edited: bool = False) -> int:
        """Write to the bot, in private or in a chat; return the number of the update."""
        place = {"id": user_id, "type": "private"} if chat is None else {"id": chat, "type": "supergroup", "title": "G"}
        person = {"id": user_id, "is_bot": False, "first_name": "<i>Ann</i>"}
        with self._arrived:
            number, self.next_update = self.next_update, self.next_update + 1
            message = {"message_id": number % 1_000, "date": 1, "chat": place, "from": person, "text": text}
            self.updates.append({"update_id": number, "edited_message" if edited else "message": message})
            self._arrived.notify_all()
        return number

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        kind = handler.headers.get("Content-Type") or ""
        form = _parts(body, kind) if kind.startswith("multipart/") else _fields(body)
        path, method = unquote(handler.path).rsplit("/", 1)
        self.calls.append(method)
        if path != f"/bot{self.token}":
            self._answer(handler, UNAUTHORIZED)
        elif method == "getMe":
            answer = self.getme.popleft() if self.getme else Answer()
            self._answer(handler, answer, {"id": 1, "is_bot": True, "first_name": "Trader", "username": "trader_bot"})
        elif method == "getUpdates":
            self._get_updates(handler, form)
        elif method == "getChat":
            self._get_chat(handler, form["chat_id"])
        else:
            self._send_message(handler, form)

    def _get_chat(self, handler: BaseHTTPRequestHandler, chat: str) -> None:
        """Answer with the least an older server of one's own would say of a chat."""
        if chat in self.unknown:
            self._answer(handler, NO_CHAT)
        elif chat in self.moved:
            self._answer(handler, self._has_moved(chat))
        else:
            self._answer(handler, Answer(), {"id": int(chat), "type": "supergroup" if int(chat) < 0 else "private"})

    def _get_updates(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        if self.news:
            self._answer(handler, self.news.popleft())
            return
        offset, wanted = int(form.get("offset", 0)), json.loads(form.get("allowed_updates", "[]"))
        until = time.monotonic() + float(form.get("timeout", 0))
        with self._arrived:
            self.offsets.append(offset)
            self.updates = [update for update in self.updates if update["update_id"] >= offset]
            while not (found := self._wanted(wanted)) and not self._closing and time.monotonic() < until:
                self._arrived.wait(until - time.monotonic())
        limit = int(form.get("limit", 100))
        self._answer(handler, Answer(), found[:limit])

    def _wanted(self, kinds: list[str]) -> list[dict[str, Any]]:
        return [update for update in self.updates if not kinds or set(kinds) & set(update)]

    def _send_message(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        form["text"] = form.get("text") or form.get("caption", "")
        answer = self.script.popleft() if self.script else self._judge(form)
        if not answer.delivers:
            self._answer(handler, answer)
            return
        reply = json.loads(form["reply_parameters"])["message_id"] if "reply_parameters" in form else None
        known = {message.message_id for message in self.messages}
        message = Delivered(
            100 + len(self.messages),
            form["chat_id"],
            form["text"],
            form.get("parse_mode", ""),
            reply if reply in known else None,
            form.get("disable_notification") == "true",
            form.get("document", ""),
            form.get("content", ""),
        )
        self.messages.append(message)
        kill = self.kill_at.pop(len(self.messages), "")
        if kill == "before":
            self._kill(handler)
            return
        chat = {"id": 1, "type": "private"}
        self._answer(handler, answer, {"message_id": message.message_id, "date": 0, "chat": chat, "text": "-"})
        if kill == "after":
            self._kill(handler)

    def _judge(self, form: dict[str, str]) -> Answer:
        shown = form["text"]
        if form["chat_id"] in self.unknown:
            return NO_CHAT
        if form["chat_id"] in self.moved:
            return self._has_moved(form["chat_id"])
        for words, answer in self.poisoned.items():
            if words in shown:
                return answer
        if form.get("parse_mode") == "HTML":
            tags = _Tags()
            tags.feed(form["text"])
            tags.close()
            if not tags.valid or tags.open:
                return UNPARSED
            shown = tags.shown
        if len(shown.encode("utf-16-le")) // 2 > (1024 if "document" in form else 4096):
            return Answer(400, "Bad Request: message is too long")
        reply = json.loads(form.get("reply_parameters", "{}"))
        known = {message.message_id for message in self.messages}
        if reply and reply["message_id"] not in known and not reply.get("allow_sending_without_reply"):
            return Answer(400, "Bad Request: message to be replied not found")
        return Answer(delivers=True)

    def _has_moved(self, chat: str) -> Answer:
        return Answer(MIGRATED.status, MIGRATED.description, {"migrate_to_chat_id": self.moved[chat]})

    def _kill(self, handler: BaseHTTPRequestHandler) -> None:
        assert self.victim is not None
        os.kill(self.victim, signal.SIGKILL)
        handler.close_connection = True

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Answer, result: Any = None) -> None:
        if answer.drops:
            if answer.drops == "reset":
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        said: dict[str, Any] = {"ok": answer.status == 200}
        if answer.status == 200:
            said["result"] = result
        else:
            said |= {"error_code": answer.status, "description": answer.description}
            if answer.parameters:
                said["parameters"] = answer.parameters
        payload = (answer.page or json.dumps(said)).encode()
        try:
            handler.send_response(answer.status)
            handler.send_header("Content-Type", "text/html" if answer.page else "application/json")
            handler.send_header("Content-Length", str(len(payload)))
            handler.end_headers()
            handler.wfile.write(payload)
            handler.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True  # the client is gone: killed, or no longer interested


def _fields(body: bytes) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}


def _parts(body: bytes, kind: str) -> dict[str, str]:
    """Read a form with a file in it: the file's name is its value, and what is in it is `content`."""
    parsed = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    form: dict[str, str] = {}
    for part in parsed.get_payload():
        assert isinstance(part, email.message.Message)
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        file_name = part.get_filename()
        if file_name is None:
            form[name] = content.decode()
        else:
            form |= {"document": file_name, "content": content.decode()}
    return form
