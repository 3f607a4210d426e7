"""Trimming leaves valid HTML, wherever it cuts."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.notifiers._trim import trim_html, trim_plain, units


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def shown(text: str) -> str:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open, "a tag was left open"
    return reader.shown


TEXT = "<b>bold &amp; <code>1.5</code></b> plain &lt;tag&gt; \U0001f600\U0001f600 and <code>more</code> to say"


@pytest.mark.parametrize("limit", range(4, 45))
def test_a_cut_anywhere_is_valid_and_within_the_limit(limit: int) -> None:
    whole = shown(TEXT)
    cut = shown(trim_html(TEXT, limit))
    assert units(cut) <= limit
    assert cut == whole or (cut.endswith("...") and whole.startswith(cut[:-3]))


def test_a_text_that_fits_is_left_alone() -> None:
    assert trim_html(TEXT, units(shown(TEXT))) == TEXT
    assert trim_plain("as it is", 8) == "as it is"


def test_plain_text_is_cut_in_utf16_units() -> None:
    assert trim_plain("\U0001f600" * 10, 9) == "\U0001f600" * 3 + "..."


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["<b>x</b>", "word ", "&amp;", "<code>1</code>", "\U0001f600", "<b><code>n</code></b>"])),
    st.integers(4, 60),
)
def test_any_text_stays_valid(parts: list[str], limit: int) -> None:
    assert units(shown(trim_html("".join(parts), limit))) <= limit
