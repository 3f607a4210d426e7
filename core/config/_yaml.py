"""Read YAML without trusting it, and write it back.

The law: text becomes numbers, words, lists and mappings, and nothing else: no tags, no aliases, no merge keys,
no second document, each key once. Where YAML 1.1 and 1.2 read a word differently (`no`, `off`, `12:30`, `010`,
`1_000`, dates), it stays text; `1e-3` is a number. So `evidence: off` is the word off, and `enabled: no` is refused
by a key that wants true or false.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.config._tree import Node, Origin
from core.errors import ConfigError

__all__ = ["MAX_DEPTH", "config_to_yaml", "read_text", "read_yaml", "scalar"]

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 20

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./@][A-Za-z0-9_./@:+-]*")
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SPECIAL = {".inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}


def scalar(text: str) -> str | int | float | bool | None:
    """Return what a word outside quotes means.

    Examples
    --------
    >>> scalar("1e-3"), scalar("no"), scalar("12:30"), scalar("true")
    (0.001, 'no', '12:30', True)
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text.lower() in _SPECIAL:
        return _SPECIAL[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    if len(text) <= 40 and _FLOAT.fullmatch(text) and not _LEADING_ZERO.fullmatch(text):
        return float(text)
    return text


def read_text(path: Path) -> str:
    """Return the text of a small UTF-8 file.

    Raises
    ------
    ConfigError
        Missing, a folder, unreadable, too large or not UTF-8.
    """
    try:
        # One byte more than allowed is enough to know; a device or pipe never fills the memory.
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; expected the configuration here") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: a folder; expected a configuration file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a readable file") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path.name}: larger than {MAX_BYTES // 1000} kB; expected a configuration file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        # Without the chain: its error carries the whole file, secrets included.
        raise ConfigError(f"{path.name}:{line}: not UTF-8 text; save the file as UTF-8") from None


def read_yaml(text: str, origin: Origin) -> Node:
    """Return what a YAML text says, each value with its line.

    Parameters
    ----------
    text : str
        The whole text.
    origin : Origin
        Where it came from; lines are filled in for files.

    Raises
    ------
    ConfigError
        Not YAML, or more of YAML than is read here. The text itself is never part of the message.
    """
    builder = _Builder(origin)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None and mark.line >= len(text.splitlines()):  # what was never closed began earlier
            mark = error.context_mark or mark
        raise ConfigError(f"{builder.place(mark)}: not valid YAML: {_problem(text, error, mark)}") from error
    except yaml.YAMLError as error:  # the reader, on characters no text file holds
        raise ConfigError(f"{builder.place(None)}: not valid YAML: it holds control characters") from error
    return builder.root if builder.root is not None else Node(None, origin)


def _problem(text: str, error: yaml.MarkedYAMLError, mark: Any) -> str:
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "\t" in line:
        return "a tab; indent with spaces"
    if line.lstrip().startswith(("@", "`", "%")):
        return f"a value may not begin with {line.lstrip()[0]}; put it in quotes"
    return " ".join((error.problem or "cannot be read").split()) + "; check indentation, quotes and colons here"


_ValueEvent = yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent


@dataclass(slots=True)
class _Open:
    """A mapping or list not yet ended: in a mapping, the last key and whether it still waits for its value."""

    node: Node
    key: str = ""
    is_waiting: bool = False

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node.value, dict)


class _Builder:
    """Grow the tree event by event, so that neither depth nor size can surprise."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.root: Node | None = None
        self._open: list[_Open] = []
        self._key_place = origin
        self._count = 0
        self._documents = 0

    def place(self, mark: Any) -> Origin:
        """Return the place of a mark; a variable of the environment has no lines."""
        if self.origin.kind != "file" or mark is None:
            return self.origin
        return self.origin._replace(line=mark.line + 1)

    def take(self, event: yaml.Event) -> None:
        """Take the next event of the parser."""
        place = self.place(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise ConfigError(f"{place}: a second document (---); expected one")
        elif isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{place}: {self._path()}an alias (*name) is not read here; write the value out")
        elif isinstance(event, _ValueEvent):
            self._count += 1
            self._refuse_excess(event, place)
            if self._open and self._open[-1].is_mapping and not self._open[-1].is_waiting:
                self._take_key(event, place)
            else:
                self._take_value(event, place)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()

    def _path(self, *more: str) -> str:
        inside = self._open if self._open and self._open[-1].is_waiting else self._open[:-1]
        names = [item.key for item in inside if item.is_mapping]
        path = ".".join([*names, *more])
        return f"{path}: " if path else ""

    def _refuse_excess(self, event: _ValueEvent, place: Origin) -> None:
        if self._count > MAX_NODES or len(self._open) >= MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self._count > MAX_NODES else f"{MAX_DEPTH} levels"
            raise ConfigError(f"{place}: more than {limit}; expected a configuration file")
        if event.tag is not None and event.tag != "!":
            raise ConfigError(f"{place}: {self._path()}a tag (!) is not read here; write the plain value")

    def _take_key(self, event: _ValueEvent, place: Origin) -> None:
        mapping = self._open[-1]
        if not isinstance(event, yaml.ScalarEvent):
            raise ConfigError(f"{place}: {self._path()}a list or mapping stands where a key should; expected a name")
        if event.value in mapping.node.value:
            first = mapping.node.value[event.value].origin
            where = f", first in line {first.line}" if first.line else ""
            raise ConfigError(f"{place}: {self._path(event.value)}written twice{where}; keep one")
        mapping.key, mapping.is_waiting = event.value, True
        self._key_place = place

    def _take_value(self, event: _ValueEvent, place: Origin) -> None:
        parent = self._open[-1] if self._open else None
        # A value belongs to the line of its key, also when it begins below it.
        node = _event_to_node(event, self._key_place if parent is not None and parent.is_mapping else place)
        if parent is None:
            self.root = node
        elif parent.is_mapping:
            parent.node.value[parent.key] = node
            parent.is_waiting = False
        else:
            parent.node.value.append(node)
        if isinstance(node.value, dict | list):
            self._open.append(_Open(node))


def _event_to_node(event: _ValueEvent, place: Origin) -> Node:
    if isinstance(event, yaml.MappingStartEvent):
        return Node({}, place)
    if isinstance(event, yaml.SequenceStartEvent):
        return Node([], place)
    is_plain = not event.style
    return Node(scalar(event.value) if is_plain else event.value, place, event.value, not is_plain)


def config_to_yaml(values: Mapping[str, Any], origins: Mapping[str, Any] | None = None) -> str:
    """Write plain values as YAML that reads back as the same values.

    Parameters
    ----------
    values : mapping
        Nested mappings, lists and scalars, such as `redacted` returns.
    origins : mapping, optional
        Dotted key to where it was written, such as ``config.origins``; added as comments, ``default`` for the rest.
    """
    return "".join(_lines(values, origins, ""))


def _lines(values: Mapping[str, Any], origins: Mapping[str, Any] | None, path: str) -> list[str]:
    lines: list[str] = []
    indent = "  " * (path.count("\0") + 1 if path else 0)
    for name, value in values.items():
        inner = f"{path}\0{name}" if path else name
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{_word(name)}:\n", *_lines(value, origins, inner)]
            continue
        line = f"{indent}{_word(name)}: {_flow(value)}"
        if origins is not None:
            line = f"{line:<48}  # {origins.get(inner.replace(chr(0), '.'), 'default')}"
        lines.append(line + "\n")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_word(name)}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return repr(value) if isinstance(value, int | float) else _word(str(value))


def _word(text: str) -> str:
    stays_text = scalar(text) == text and text.lower() not in ("yes", "no", "on", "off", "y", "n")
    return text if stays_text and _PLAIN_WORD.fullmatch(text) and not text.endswith(":") else json.dumps(text)
