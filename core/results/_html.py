"""The frame of a page that needs nothing but itself, and its tables.

The law: no script and nothing fetched; every text from data is escaped; it is readable on light and on dark, on a
screen, a phone and paper.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from core.results.metrics import Metric

__all__ = ["document", "escaped", "figures", "table"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1f23; --paper: #ffffff; --line: #d5d9de; --soft: #5b6470;
  --up: #0072b2; --good: #00775a; --bad: #c24100; --held: #a8487d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaee; --paper: #14171a; --line: #343a41; --soft: #9aa4af;
    --up: #56b4e9; --good: #009e73; --bad: #d55e00; --held: #cc79a7; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.warning { border: 2px solid currentColor; font-weight: 600; padding: .5rem .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; white-space: nowrap; }
td.number, th.number { font-variant-numeric: tabular-nums; text-align: right; }
td.words { white-space: normal; } .soft { color: var(--soft); }
"""


def escaped(text: str) -> str:
    """Return a text that is shown as it is and means nothing to a browser."""
    return html.escape(text)


def document(title: str, blocks: Iterable[str], style: str = "") -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
    blocks : iterable of str
        HTML, in order.
    style : str
        More rules, behind the common ones.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title><style>{_STYLE}{style}</style></head><body>",
            f"<h1>{escaped(title)}</h1>",
            *blocks,
            "</body></html>",
            "",
        ]
    )


def figures(shown: Sequence[Metric]) -> str:
    """Return figures with their intervals and what they mean."""
    rows = [[one.label, one.value, one.detail, one.explanation] for one in shown]
    return table(["Figure", "", "", "What it means"], rows, "<><~")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    """Return a table; of `sides` ``>`` is a number, ``~`` a text that wraps."""
    kinds = {"<": "", ">": ' class="number"', "~": ' class="words soft"'}
    classes = [kinds[side] for side in sides]
    head = "".join(f"<th{kind}>{escaped(cell)}</th>" for kind, cell in zip(classes, heads, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escaped(cell)}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
