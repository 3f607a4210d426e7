"""A Bot API on loopback: what Telegram does with a message, and every way it has of not doing it.

It accepts what Telegram accepts (balanced tags, 4096 characters, replies to messages that exist), keeps what was
delivered, and answers the next calls of sendMessage as a test scripts them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
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
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        form = {key: values[0] for key, values in parse_qs(body, keep_blank_values=True).items()}
        path, method = unquote(handler.path).rsplit("/", 1)
        self.calls.append(method)
        if path != f"/bot{self.token}":
            self._answer(handler, UNAUTHORIZED)
        elif method == "getMe":
            answer = self.getme.popleft() if self.getme else Answer()
            self._answer(handler, answer, {"id": 1, "is_bot": True, "first_name": "Trader", "username": "trader_bot"})
        else:
            self._send_message(handler, form)

    def _send_message(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
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
        if form.get("parse_mode") == "HTML":
            tags = _Tags()
            tags.feed(form["text"])
            tags.close()
            if not tags.valid or tags.open:
                return UNPARSED
            shown = tags.shown
        if len(shown.encode("utf-16-le")) // 2 > 4096:
            return Answer(400, "Bad Request: message is too long")
        reply = json.loads(form.get("reply_parameters", "{}"))
        known = {message.message_id for message in self.messages}
        if reply and reply["message_id"] not in known and not reply.get("allow_sending_without_reply"):
            return Answer(400, "Bad Request: message to be replied not found")
        return Answer(delivers=True)

    def _kill(self, handler: BaseHTTPRequestHandler) -> None:
        assert self.victim is not None
        os.kill(self.victim, signal.SIGKILL)
        handler.close_connection = True

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Answer, result: dict[str, Any] | None = None) -> None:
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
