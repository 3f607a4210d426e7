"""Stress in words: tables that fit a terminal, and what each assumption means.

The law: the command line and the viewer show these cells and no other; without enough behind a figure it is
"not enough data" here as everywhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from core.results.intervals import MIN_CLOSED, MIN_WEEKS
from core.results.metrics import DISCLAIMER, NOT_ENOUGH
from core.results.stress import Line, Stress
from core.results.variants import PLAYED
from core.results.words import as_factor, in_percent, in_r, in_usd, span

__all__ = [
    "ABOUT",
    "CHANGES",
    "CHANGE_COLUMNS",
    "RESULT_COLUMNS",
    "ambiguity",
    "change_cells",
    "label",
    "notes",
    "result_cells",
    "told",
    "verdict",
]

WIDTH = 100
RESULT_COLUMNS = ("", "Closed", "Filled", "Won", "Expectancy", "95 %", "Profit factor", "Equal stakes")
CHANGE_COLUMNS = ("", "Filled", "Not filled", "Better", "Worse", "A candidate", "95 %")
ABOUT = (
    "The same candidates under other assumptions: all of them, taken or not, at equal stakes and after all costs. "
    "Nothing here is stored; it is played again each time."
)
CHANGES = (
    "What it changes, candidate by candidate (one that is not filled has 0 R): how many are filled only then, no "
    "longer filled, better, worse, and the mean difference"
)


def label(line: Line) -> str:
    """Return what a line is called."""
    return "as played" if line.variant.name == PLAYED else line.variant.name


def result_cells(line: Line) -> list[str]:
    """Return the results of a line, one cell for each of `RESULT_COLUMNS`."""
    s = line.summary
    head = [label(line), f"{s.n_closed:,}", in_percent(s.fill_rate.value) if s.fill_rate.enough else "-"]
    if not s.expectancy_r.enough:
        return [*head, "-", NOT_ENOUGH, "", "-", in_usd(s.total_usd)]
    r = s.expectancy_r
    figures = [in_percent(s.win_rate.value), in_r(r.value), span(in_r(r.low), in_r(r.high))]
    return [*head, *figures, as_factor(s.profit_factor.value), in_usd(s.total_usd)]


def change_cells(line: Line) -> list[str]:
    """Return what a line changes, one cell for each of `CHANGE_COLUMNS`."""
    c = line.change
    counts = [f"{count:,}" for count in (c.filled, c.unfilled, c.better, c.worse)]
    if line.same_rules:
        return [label(line), *counts, "none", "the same rules"]
    if not c.mean_r.enough:
        return [label(line), *counts, NOT_ENOUGH, ""]
    return [label(line), *counts, _fine(c.mean_r.value), f"{_fine(c.mean_r.low)[:-2]} to {_fine(c.mean_r.high)}"]


def ambiguity(stress: Stress) -> str:
    """Say how many minutes leave the order of stop and target open."""
    share = stress.ambiguous
    counted = f"{stress.n_ambiguous:,} of {share.n:,} minutes that decided something ({_of_held(stress)})"
    if not share.enough:
        return f"Ambiguous minutes: {NOT_ENOUGH}, {counted}; {MIN_CLOSED} in {MIN_WEEKS} weeks needed."
    between = span(_percent(share.low), _percent(share.high))
    return (
        f"Ambiguous minutes: {_percent(share.value)} (95 %: {between}), {counted}. One that holds both "
        "stop and target: nobody knows which came first."
    )


def notes(stress: Stress) -> list[str]:
    """Return what is to be known before the figures are believed."""
    if not stress.differing:
        return [f"Played again under their own rules, all {stress.n:,} candidates come out as stored."]
    verb = "comes" if stress.differing == 1 else "come"
    return [
        f"{stress.differing:,} of {stress.n:,} candidates {verb} out otherwise than stored: their candles or funding "
        "rates were revised after they had been played. The lines below agree with each other, not with the stored "
        "results."
    ]


def verdict(stress: Stress) -> str:
    """Say in a sentence how much of the result hangs on assumptions."""
    judged = [line for line in stress.lines if line.summary.expectancy_r.enough]
    if len(judged) < len(stress.lines):
        return f"Not enough data to judge every assumption: {MIN_CLOSED} closed in {MIN_WEEKS} weeks needed of each."
    above = [label(line) for line in judged if line.summary.expectancy_r.low > 0]
    below = [label(line) for line in judged if line.summary.expectancy_r.high < 0]
    if len(above) == len(judged):
        return "These trades earned under every assumption here: each interval lies above zero."
    if len(below) == len(judged):
        return "These trades lost under every assumption here: each interval lies below zero."
    if not above:
        return "No evidence of an edge under any assumption here: no interval lies above zero."
    rest = ", ".join(label(line) for line in judged if label(line) not in above)
    return f"It hangs on assumptions whether these trades earned: no evidence of an edge under {rest}."


def told(stress: Stress) -> str:
    """Return everything as text, at most 100 columns wide."""
    lines = [*_wrapped(ABOUT), *[row for note in notes(stress) for row in _wrapped(note)], ""]
    lines += [*_wrapped(verdict(stress)), *_wrapped(ambiguity(stress)), ""]
    lines += [*_aligned([RESULT_COLUMNS, *(result_cells(line) for line in stress.lines)]), ""]
    others = [line for line in stress.lines if line.variant.name != PLAYED]
    if others:
        lines += [*_wrapped(f"{CHANGES}."), *_aligned([CHANGE_COLUMNS, *(change_cells(line) for line in others)]), ""]
    lines += ["What each means", *_meanings(stress.lines), "", *_wrapped(DISCLAIMER)]
    return "\n".join(lines)


def _meanings(lines: Sequence[Line]) -> list[str]:
    width = max(len(label(line)) for line in lines)
    out: list[str] = []
    for line in lines:
        first = f"  {label(line).ljust(width)}  "
        out += textwrap.wrap(line.variant.meaning, WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
    return out


def _of_held(stress: Stress) -> str:
    return f"{stress.minutes_held:,} minutes held"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _fine(value: float) -> str:
    """Write a difference a candidate: small, since most candidates do not change."""
    return f"{value:+.4f} R"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines: names to the left, figures to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
