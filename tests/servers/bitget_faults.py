"""What a Bitget on the loopback does wrong on request.

The law: a fault answers one request and is over; what it answers looks like what exchanges, their shields and bad
lines have been seen to answer.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from core.clock import HOUR_MS

__all__ = ["ALL_FAULTS", "DATA_FAULTS", "FAULTS", "REFUSALS", "SILENCES", "Body", "send", "send_fault"]

Body = dict[str, Any]
Rows = list[list[str]]

FAULTS = (
    "server_error",  # 500 with Bitget's JSON
    "too_many",  # 429 with Retry-After
    "html",  # 200, a page
    "empty_body",  # 200, nothing
    "empty_list",  # 200, an empty data list
    "cut_json",  # 200, half of the answer
    "reset",  # the connection is reset
    "wrong_time",  # candles stamped 1.234 s late
)
"""Those a server draws from where it is not told otherwise."""

REFUSALS = (
    "too_many_silent",  # 429 without Retry-After
    "banned",  # 418 without Retry-After
    "forbidden",  # 403, a shield's page
    "bad_gateway",  # 502, a page
    "unavailable",  # 503, nothing
    "maintenance",  # Bitget's code for an upgrade
    "null",  # 200, null
    "null_data",  # 200, data is null
    "no_rows",  # 200, rows of another shape
)

SILENCES = (
    "hang",  # the request is read and never answered
    "trickle",  # the answer comes byte by byte
)

DATA_FAULTS = (
    "fewer",  # the newest candles are missing
    "holed",  # every third candle is missing
    "doubled",  # every candle twice
    "shuffled",  # in another order
    "future",  # candles of the next two hours as well
    "not_numbers",  # every third candle with prices NaN, zero, negative, absurd or text
    "upside_down",  # every third candle with high and low exchanged
    "stale",  # nothing newer than an hour ago
)

ALL_FAULTS = (*FAULTS, *REFUSALS, *SILENCES, *DATA_FAULTS)

_PAGE = "<html><body>Checking your browser</body></html>"
_ABSURD = ("NaN", "0", "-5", "1e400", "oops")


def send(handler: BaseHTTPRequestHandler, status: int, text: str, kind: str = "application/json", **more: str) -> None:
    """Answer."""
    raw = text.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(raw)))
    for name, value in more.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(raw)


def send_fault(handler: BaseHTTPRequestHandler, fault: str, body: Body, ended: threading.Event) -> None:
    """Answer wrongly; what lasts ends when the server does."""
    text = json.dumps(body)
    plain: dict[str, tuple[int, str] | tuple[int, str, str]] = {
        "server_error": (500, _coded(body, "40015", "System is abnormal")),
        "too_many_silent": (429, _coded(body, "429", "Too many")),
        "banned": (418, _coded(body, "418", "I am a teapot")),
        "forbidden": (403, _PAGE, "text/html"),
        "bad_gateway": (502, _PAGE, "text/html"),
        "unavailable": (503, "", "text/plain"),
        "maintenance": (400, _coded(body, "40200", "Server upgrade, please try again later")),
        "html": (200, _PAGE, "text/html"),
        "empty_body": (200, ""),
        "null": (200, "null"),
        "null_data": (200, json.dumps({**body, "data": None})),
        "no_rows": (200, json.dumps({**body, "data": [["x"], [], "y"]})),
        "empty_list": (200, json.dumps({**body, "data": []})),
        "cut_json": (200, text[: len(text) // 2]),
    }
    if fault in plain:
        send(handler, *plain[fault])
    elif fault == "too_many":
        send(handler, 429, _coded(body, "429", "Too many"), Retry_After="0.1")
    elif fault == "reset":
        # SO_LINGER of 0 makes close() send a reset instead of a goodbye.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()
    elif fault == "hang":
        ended.wait(60)
        handler.close_connection = True
    elif fault == "trickle":
        _trickle(handler, text, ended)
    else:
        send(handler, 200, json.dumps({**body, "data": _spoilt(fault, body)}))


def _coded(body: Body, code: str, message: str) -> str:
    return json.dumps({**body, "code": code, "msg": message, "data": None})


def _trickle(handler: BaseHTTPRequestHandler, text: str, ended: threading.Event) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.close_connection = True
    try:
        for letter in text.encode():
            handler.wfile.write(bytes([letter]))
            if ended.wait(0.2):
                return
    except OSError:
        return  # the client has lost patience


def _spoilt(fault: str, body: Body) -> object:
    """Spoil candles; what is not a list of rows is left as it is."""
    data = body["data"]
    if not (isinstance(data, list) and data and isinstance(data[0], list)):
        return data
    spoil: dict[str, Callable[[Rows], Rows]] = {
        "wrong_time": lambda rows: [[str(int(float(row[0])) + 1234), *row[1:]] for row in rows],
        "fewer": lambda rows: rows[: len(rows) // 2],
        "holed": lambda rows: [row for number, row in enumerate(rows) if number % 3],
        "doubled": lambda rows: [*rows, *rows],
        "shuffled": lambda rows: [*rows[1::2], *rows[::-2]],
        "future": lambda rows: [*rows, *([str(int(float(row[0])) + 2 * HOUR_MS), *row[1:]] for row in rows)],
        "not_numbers": _not_numbers,
        "upside_down": lambda rows: [
            [*row[:2], row[3], row[2], *row[4:]] if number % 3 == 0 else row for number, row in enumerate(rows)
        ],
        "stale": lambda rows: [row for row in rows if int(float(row[0])) < int(body["requestTime"]) - HOUR_MS],
    }
    return spoil[fault](data)


def _not_numbers(rows: Rows) -> Rows:
    out = [list(row) for row in rows]
    for number, row in enumerate(out[::3]):
        row[1 + number % 4] = _ABSURD[number % len(_ABSURD)]
    return out
