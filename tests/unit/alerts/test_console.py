"""The console shows messages and never fails."""

from __future__ import annotations

import io
import os

from core.adapters.notifiers.console import ConsoleNotifier
from core.ports import Message, Notifier


async def test_messages_are_plain_blocks_and_counted() -> None:
    stream = io.StringIO()
    console = ConsoleNotifier(stream)
    assert isinstance(console, Notifier)
    assert await console.send(Message("<b>one</b>", "one\nline")) == "1"
    assert await console.send(Message("<b>two</b>", "two")) == "2"
    assert stream.getvalue() == "one\nline\n\ntwo\n\n"


async def test_a_closed_stream_is_no_failure() -> None:
    stream = io.StringIO()
    stream.close()
    assert await ConsoleNotifier(stream).send(Message("x", "x")) == "1"


async def test_a_reader_that_went_away_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        stream = io.TextIOWrapper(pipe, encoding="utf-8", write_through=True)
        assert await ConsoleNotifier(stream).send(Message("x", "x")) == "1"
        stream.detach()


async def test_what_the_terminal_cannot_show_becomes_a_question_mark() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    await ConsoleNotifier(stream).send(Message("x", "5 € é"))
    assert raw.getvalue() == b"5 ? ?\n\n"


async def test_closing_leaves_the_stream_open() -> None:
    stream = io.StringIO()
    await ConsoleNotifier(stream).close()
    assert not stream.closed
