"""What the text of an option may be, and what is said of one that is not.

The law: each takes what was written and returns its value, or raises argparse's error: one line and exit code 64.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from core.errors import nearest

__all__ = ["address", "filled", "mode", "one_of", "positive", "whole_to"]


def one_of(*valid: str) -> Callable[[str], str]:
    """Return a reader of names that takes only these."""

    def checked(text: str) -> str:
        if text not in valid:
            raise argparse.ArgumentTypeError(f"'{text}' is not known; {nearest(text, valid)}")
        return text

    return checked


def mode(text: str) -> str:
    """Return what is tuned; ``pwin`` is an older name of ``p``."""
    return one_of("ev", "p")("p" if text == "pwin" else text)


def filled(text: str) -> str:
    """Refuse a text without a word: most often a variable of the shell that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"'{text}': expected a name, not an empty text")
    return text


def whole_to(most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from 1 to `most`."""

    def checked(text: str) -> int:
        if not text.isdecimal() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}': expected a whole number of at least 1 and at most {most}")
        return int(text)

    return checked


positive = whole_to(2**31 - 1)
"""Reads a whole number from 1 to what fits into any library's."""


def address(text: str) -> str:
    """Return the address of a cluster as it was written; without a port it would be asked in vain for long."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        is_whole = bool(parts.hostname and parts.port)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise argparse.ArgumentTypeError(f"'{text}': expected host and port, such as tcp://10.0.0.5:8786")
    return text
