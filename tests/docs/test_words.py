"""Words: what is promised nowhere, what every module says of itself, what the changelog holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

CORE = sorted((ROOT / "core").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
SHIPPED = sorted(
    path
    for name in ("*.py", "*.yaml", "*.toml", "Makefile", ".env.example", "importlinter.ini", ".streamlit/*")
    for path in ROOT.glob(name)
)

# Promises nobody can keep: a message may arrive twice, a past is no future, and what is certain needs no word for it.
PROMISES = re.compile(
    r"exactly[- ]once|no[- ]look-?ahead|guarantee|risk[- ]free|sure[- ]fire|bullet-?proof", re.IGNORECASE
)
# A page speaks of the program, not of how it came about.
ELSEWHERE = re.compile(r"\bseed document\b|\bspecs?/|\bthe spec\b|\bspec page|/work/|/tmp/brief", re.IGNORECASE)


def lines_with(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_promised_that_cannot_be_kept() -> None:
    assert lines_with(PROMISES, [*PAGES, *CORE, *SHIPPED]) == []


def test_the_product_speaks_of_itself_only() -> None:
    assert lines_with(ELSEWHERE, [*PAGES, *CORE, *SHIPPED, *TESTS]) == []


def test_every_page_has_one_title() -> None:
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1, page.name


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is_and_its_law(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = ast.get_docstring(tree) or ""
    if len(tree.body) == (1 if told else 0):
        return  # a package's own file that holds nothing
    assert told[:1].isalpha() or told[:1] == "`", "no docstring"
    assert "law:" in told.lower(), "the docstring does not state the module's law"


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert "unreleased" in headings[0].lower()
