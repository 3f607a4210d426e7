"""The pages of the documentation, as the tests of it read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

Row = list[str]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(name: str) -> str:
    """Return a page by its path below the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def tables_of(text: str) -> list[list[Row]]:
    """Return every table of a text, heading row first."""
    found: list[list[Row]] = []
    inside = False
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            inside = False
            continue
        if not inside:
            found.append([])
        inside = True
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not all(set(cell) <= set("-: ") for cell in cells):
            found[-1].append(cells)
    return found


def table_after(text: str, mark: str) -> list[Row]:
    """Return the rows of the first table behind a mark such as a heading, without its heading row."""
    assert mark in text, f"no '{mark}' on the page"
    return tables_of(text.partition(mark)[2])[0][1:]


def codes_in(text: str) -> list[str]:
    """Return what stands between single backticks, in order, code blocks left out."""
    return _CODE.findall(_FENCE.sub("", text))


def first_codes(rows: list[Row], column: int = 0) -> list[str]:
    """Return the first code of one cell of each row that has any."""
    return [codes[0] for row in rows if (codes := codes_in(row[column]))]


def blocks_of(text: str, *languages: str) -> Iterator[str]:
    """Yield the code blocks of some languages."""
    for language, body in _FENCE.findall(text):
        if language in languages:
            yield body


def anchors_of(text: str) -> set[str]:
    """Return what links may point at: the headings, as a code host writes them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
