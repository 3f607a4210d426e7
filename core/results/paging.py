"""Long texts as several messages.

The law: a page is cut between lines only, where no tag is open, so each is valid by itself; what does not fit into the
last page is left out and said to be.
"""

from __future__ import annotations

import html
import re

__all__ = ["PAGES", "PAGE_UNITS", "pages"]

PAGE_UNITS = 3_900
"""What shows of a page, in UTF-16 units; a message to Telegram takes 4096."""

PAGES = 3
"""Most messages one answer is made of."""

_LEFT_OUT = "... {} more lines; the command line and the viewer show all."
_TAG = re.compile(r"</?[A-Za-z][^>]*>")


def pages(text: str, monospaced: bool = False, units: int = PAGE_UNITS, most: int = PAGES) -> list[str]:
    """Return an HTML text as pages, each with as many whole lines as fit.

    Parameters
    ----------
    text : str
        HTML whose tags are closed in the line that opens them.
    monospaced : bool
        Set each page in ``<code>``, so that columns line up; the text has no tags of its own then.
    units : int
        UTF-16 units that may show on a page. A single line over it is a page of its own, for the notifier to trim.
    most : int
        Pages at most.

    Examples
    --------
    >>> pages("one\\ntwo\\nthree\\nfour", units=9)
    ['one\\ntwo', 'three', 'four']
    """
    found: list[list[str]] = [[]]
    room = units
    lines = text.split("\n")
    for line in lines:
        size = _shown(line) + 1
        if found[-1] and size > room:
            found.append([])
            room = units
        found[-1].append(line)
        room -= size
    kept = found[:most]
    if len(found) > most:
        missing = sum(len(page) for page in found[most:])
        while kept[-1] and sum(_shown(line) + 1 for line in kept[-1]) + len(_LEFT_OUT) + 8 > units:
            kept[-1].pop()
            missing += 1
        kept[-1].append(_LEFT_OUT.format(missing))
    return [f"<code>{page}</code>" if monospaced else page for page in map("\n".join, kept)]


def _shown(line: str) -> int:
    plain = html.unescape(_TAG.sub("", line))
    return len(plain) + sum(1 for char in plain if ord(char) > 0xFFFF)
