"""Long texts as pages."""

from __future__ import annotations

import html
import re

import pytest

from core.results.paging import PAGE_UNITS, PAGES, pages


def shown(page: str) -> str:
    return html.unescape(re.sub(r"</?\w+>", "", page))


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("line", ["x" * 50, "<b>a &amp; b</b> " * 5, "\N{CHART WITH UPWARDS TREND}" * 30, ""])
@pytest.mark.parametrize("n", [1, 5, 200, 2_000])
@pytest.mark.parametrize("monospaced", [False, True])
def test_every_page_fits_is_whole_and_nothing_is_lost_unsaid(line: str, n: int, monospaced: bool) -> None:
    told = [html.escape(shown(line)) if monospaced else line] * n
    made = pages("\n".join(told), monospaced)
    assert 1 <= len(made) <= PAGES
    assert all(units(shown(page)) <= PAGE_UNITS for page in made)
    for page in made:
        for tag in ("b", "code"):
            assert page.count(f"<{tag}>") == page.count(f"</{tag}>")
    lines = [shown(part) for page in made for part in page.split("\n")]
    left_out = re.fullmatch(r"\.\.\. (\d+) more lines; .*", lines[-1])
    whole = lines[:-1] if left_out else lines
    assert whole == [shown(line)] * len(whole)
    assert len(whole) + (int(left_out[1]) if left_out else 0) == n


def test_a_line_that_is_too_long_stands_alone_for_the_notifier_to_trim() -> None:
    made = pages("a\n" + "x" * 9_000 + "\nb", units=100)
    assert [page[0] for page in made] == ["a", "x", "b"]
