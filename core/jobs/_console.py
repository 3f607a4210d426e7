"""Texts for a terminal: without tags, long lines wrapped.

The law: the words are those of the bot and the viewer; only their form differs.
"""

from __future__ import annotations

import textwrap

from core.results.explain import to_plain

__all__ = ["console", "wrapped"]

_WIDTH = 100  # of a terminal


def console(html: str) -> str:
    """Return a text with ``<b>`` and ``<code>`` as a terminal shows it."""
    return "\n".join(part for line in to_plain(html).splitlines() for part in wrapped(line))


def wrapped(line: str) -> list[str]:
    """Return a line in several where it is long, those after the first set in.

    Examples
    --------
    >>> [len(part) for part in wrapped("  " + "word " * 30)]
    [96, 58]
    """
    indent = line[: len(line) - len(line.lstrip())] + "  "
    return textwrap.wrap(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
