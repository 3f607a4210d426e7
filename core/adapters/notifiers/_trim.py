"""Cutting a message to a messenger's limit without breaking it.

The law: what comes out is valid wherever it is cut: no half entity, no half tag, every tag closed.
"""

from __future__ import annotations

import html
import re

__all__ = ["trim_html", "trim_plain", "units"]

_TOKEN = re.compile(r"<(?P<close>/?)(?P<tag>[A-Za-z][\w-]*)[^>]*>|&(?:#\d+|#x[0-9A-Fa-f]+|\w+);|[^<&]+|.", re.DOTALL)
_MARK = "..."


def units(text: str) -> int:
    """Return the length of a text as Telegram counts it: UTF-16 code units."""
    return len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


def trim_plain(text: str, limit: int) -> str:
    """Return the text, or as much of it as fits into `limit` units with ``...`` behind it."""
    return text if units(text) <= limit else _head(text, limit - len(_MARK)) + _MARK


def trim_html(text: str, limit: int) -> str:
    """Return the text, or as much of it as shows in `limit` units, with its tags closed.

    Parameters
    ----------
    text : str
        HTML with simple tags, well formed.
    limit : int
        UTF-16 units that may show; tags do not count and an entity counts as what it stands for.

    Examples
    --------
    >>> trim_html("<b>one &amp; two</b>", 8)
    '<b>one &amp;...</b>'
    """
    tokens = list(_TOKEN.finditer(text))
    if sum(_shown(token) for token in tokens) <= limit:
        return text
    room = limit - len(_MARK)
    kept: list[str] = []
    opened: list[str] = []
    for token in tokens:
        if token["tag"]:
            kept.append(token[0])
            if token["close"]:
                opened.pop()
            else:
                opened.append(token["tag"])
            continue
        if _shown(token) > room:
            kept.append(_head(token[0], room) if token[0][0] != "&" else "")
            break
        kept.append(token[0])
        room -= _shown(token)
    return "".join(kept) + _MARK + "".join(f"</{tag}>" for tag in reversed(opened))


def _shown(token: re.Match[str]) -> int:
    return 0 if token["tag"] else units(html.unescape(token[0]))


def _head(text: str, room: int) -> str:
    """Return the longest beginning of a text that has at most `room` units."""
    used = 0
    for position, char in enumerate(text):
        used += units(char)
        if used > room:
            return text[:position]
    return text
