"""Words from outside, such as names of symbols and answers, steer no terminal, forge no log and run in no browser."""

from __future__ import annotations

import io
import logging
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import core.dashboard
from core.adapters.notifiers.console import ConsoleNotifier
from core.cli._log import TextLines
from core.cli._told import told
from core.errors import MarketError
from core.ports import Message
from core.redact import escaped
from core.results.explain import Moment, digest_words, event_words, note_words, signal_words
from tests.factories import Story, write_database
from tests.unit.alerts.rows import DECIDED, closed, event, signal

ROOT = Path(__file__).resolve().parents[3]
NOW = Moment(DECIDED + 60_000)
MARKUP = "<img src=x onerror=alert(1)>/USDT"
HOSTILE = [
    "BTC\n2030-01-01 00:00:00,000 INFO all is well",
    "BTC\r\nERROR forged",
    "BTC\x1b[2J\x1b[31mred",
    "BTC\x1b]0;title\x07",
    "BTC\x00\x07\x08",
    "BTC\u202egnol",
    "BTC\u2028forged\u2029\x85\x0b\x0c",
    "BTC\x9b31m",
]


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines())
    logger = logging.getLogger("tests.injection")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_word_is_one_line_of_the_log(text: str, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.error("symbol %s is not traded there", text)
    written = stream.getvalue()
    assert written.endswith("is not traded there\n")
    assert written[:-1].isprintable(), repr(written)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_lines_of_a_traceback_cannot_pass_for_lines_of_the_log(
    text: str, log: tuple[logging.Logger, io.StringIO]
) -> None:
    logger, stream = log
    try:
        raise MarketError(text)
    except MarketError:
        logger.exception("failed")
    first, *rest = stream.getvalue().removesuffix("\n").split("\n")
    assert first.endswith("ERROR failed")
    assert rest
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


@pytest.mark.parametrize("text", HOSTILE)
async def test_the_console_shows_a_hostile_word_as_what_it_is(text: str) -> None:
    stream = io.StringIO()
    await ConsoleNotifier(stream).send(Message("x", f"first\n{text.replace(chr(10), ' ')}\nlast"))
    lines = stream.getvalue().split("\n")
    assert lines[0] == "first"
    assert lines[2:] == ["last", "", ""]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_of_a_command_is_one_line_that_steers_nothing(text: str) -> None:
    line, code = told(MarketError(f"symbol '{text}' is not traded there"))
    assert line.isprintable()
    assert code == 7


def test_what_can_be_printed_stays_as_it_is() -> None:
    for text in ("BTC/USDT:USDT 5 € ±0.2 %, Grüße, 币, 🙂", "", "a" * 10_000):
        assert escaped(text) == text


@pytest.mark.parametrize("text", [MARKUP, "a & b < c", "</code><a href='x'>"])
def test_words_to_a_chat_have_their_markup_escaped(text: str) -> None:
    changed = signal(symbol=text, timeframe=text, reason=text, verdict="PASS", ml_p=0.5, ev_pct=0.1)
    said = [
        note_words(text, NOW),
        signal_words(changed, NOW, None),
        digest_words([changed, changed], NOW),
        event_words(event("SL"), closed(), changed, NOW),
    ]
    for words in said:
        assert set(re.findall(r"<[^>]*>", words)) <= {"<b>", "</b>", "<code>", "</code>"}, words
        assert words.count("<b>") == words.count("</b>")
        assert words.count("<code>") == words.count("</code>")


# --- the viewer


def pages() -> list[str]:
    """Return the modules of the viewer that draw a page."""
    names = [info.name for info in pkgutil.iter_modules(core.dashboard.__path__) if not info.name.startswith("_")]
    return sorted(names)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_database(tmp_path_factory.mktemp("marked") / "ohlcv.db", Story(days=4, symbols=(MARKUP,), every=8))


@pytest.mark.parametrize("name", pages())
def test_a_symbol_of_markup_is_drawn_as_text(name: str, marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_DB", str(marked))
    monkeypatch.setenv("TRADER_CONFIG", str(ROOT / "config.yaml"))
    monkeypatch.delenv("TRADER_PROFILE", raising=False)
    at = AppTest.from_string(f"from core.dashboard.{name} import page; page()", default_timeout=60).run()
    assert not at.exception, at.exception
    drawn = [element for block in (at.main, at.sidebar) for element in _below(block)]
    assert len(drawn) > 5
    kinds = {element.type for element in drawn}
    assert not kinds & {"html", "iframe", "component_instance", "bidi_component"}, kinds
    assert not [element for element in drawn if getattr(element.proto, "allow_html", False)]


def _below(block: object) -> Iterator[object]:
    for child in getattr(block, "children", {}).values():
        if hasattr(child, "children"):
            yield from _below(child)
        else:
            yield child


def test_no_page_asks_for_markup_of_its_own() -> None:
    for path in (ROOT / "core" / "dashboard").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"unsafe_allow_html|st\.html|components\.(v1|html|iframe)|unsafe_allow_javascript", text
        ), path
