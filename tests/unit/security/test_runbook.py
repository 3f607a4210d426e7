"""docs/operations.md: what it quotes is said by the program, and what it names is there."""

from __future__ import annotations

import re

import pytest

from core.cli import INTERRUPTED, USAGE
from core.errors import WATCHDOG_EXIT, TraderError
from tests.docs.pages import ROOT, table_after, text_of

PAGE = text_of("docs/operations.md")
PROGRAM = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "core").rglob("*.py")))

QUOTED = (
    *("locked by another process; try again, or end that process", "the disk is full", "is not traded there"),
    *("is running on this database; end it first", "configuration kept as it was", "configuration changed: "),
    *("no model is in force: signals are UNGATED, proposed by the rule and filtered by nothing", "up to date"),
    *("sound, every index agrees with its table", "log empty", "pages are in the file", "is not as it was published"),
    *("the bot token was refused", "Stale: the newest candle of", "listens on every address", "symbols are up to date"),
    *("none waits", "restored "),
)
ASKED_FOR = (
    *(
        '"database is locked"',
        "No signals",
        "No alerts arrive",
        "The model ABSTAINs",
        "answers 429",
        "The disk is full",
    ),
    *("The clock is wrong", '"configuration kept as it was"', "A second scheduler ends with 3", "says stale"),
    *("The write-ahead log grows", "Gaps", "ends with 70"),
)


@pytest.mark.parametrize("words", QUOTED)
def test_what_the_runbook_quotes_is_said_by_the_program(words: str) -> None:
    assert words in " ".join(PAGE.split())
    joined = re.sub(r'"\s*\n\s*f?"', "", PROGRAM)
    assert words in joined


@pytest.mark.parametrize("title", ASKED_FOR)
def test_each_trouble_has_a_heading(title: str) -> None:
    assert any(title in heading for heading in re.findall(r"^### (.+)$", PAGE, re.MULTILINE))


def test_every_exit_code_is_in_the_table_with_what_to_do() -> None:
    def below(error: type[TraderError]) -> list[type[TraderError]]:
        return [error, *(deeper for child in error.__subclasses__() for deeper in below(child))]

    codes = {0, INTERRUPTED, USAGE, WATCHDOG_EXIT, *(error.exit_code for error in below(TraderError))}
    rows = table_after(PAGE, "## Exit codes")
    assert [int(row[0]) for row in rows] == sorted(codes)
    assert all(row[2] for row in rows)


@pytest.mark.parametrize("name", ["docs/operations.md", "docs/security.md"])
def test_files_named_on_the_page_are_there(name: str) -> None:
    text = text_of(name)
    named = set(re.findall(r"`((?:deploy|tools|tests|docs|core)/[\w./-]+\.\w+|Dockerfile|compose\.yaml)`", text))
    named |= {f"tests/unit/security/{test}" for test in re.findall(r"`(test_\w+\.py)`", text)}
    assert len(named) > 3
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []
