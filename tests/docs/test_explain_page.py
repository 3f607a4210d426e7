"""The page on explanations names every reason and limit there is, and shows what the commands print."""

from __future__ import annotations

import re

from core.results._verdicts import BLOCKED, REASONS, reason_words
from tests.docs.pages import blocks_of, first_codes, table_after, text_of

PAGE = text_of("docs/explain.md")


def test_every_reason_and_every_limit_is_on_the_page() -> None:
    assert first_codes(table_after(PAGE, "<!-- reasons -->")) == list(REASONS)
    assert first_codes(table_after(PAGE, "<!-- limits -->")) == list(BLOCKED)


def test_the_example_of_a_signal_speaks_the_commands_words() -> None:
    example = next(iter(blocks_of(PAGE, "text")))
    words = " ".join(example.split())
    assert reason_words("CERTIFIED") in words
    for title in ("The plan (", "How likely", "What it is worth", "What became of it"):
        assert f"\n{title}" in example
    value, before, costs, funding = map(
        float, re.findall(r"of results: (\S+) R = (\S+) R .* less (\S+) R .*less (\S+) R", words)[0]
    )
    assert abs(value - (before - costs - funding)) < 0.021
