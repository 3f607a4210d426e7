"""What was written, before it is checked: a tree in which every value knows where it was written.

The law: merging never loses the place of a value, so that a refusal can name file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Node", "Origin", "find", "leaves", "merge", "plain"]


class Origin(NamedTuple):
    """Where a value was written.

    Parameters
    ----------
    kind : str
        ``file`` (YAML), ``dotenv`` or ``environment``.
    name : str
        The file's name; empty for the environment.
    line : int
        Counted from 1; 0 where unknown.
    variable : str
        The variable's name; empty in YAML.
    """

    kind: str
    name: str = ""
    line: int = 0
    variable: str = ""

    def __str__(self) -> str:
        if self.kind == "environment":
            return f"environment: {self.variable}"
        place = f"{self.name}:{self.line}" if self.line else self.name
        return f"{place}: {self.variable}" if self.variable else place


@dataclass(frozen=True, slots=True)
class Node:
    """A value as written.

    Parameters
    ----------
    value : dict, list, str, int, float, bool or None
        Mappings and lists hold nodes.
    origin : Origin
    text : str
        A scalar as it stands in the file.
    quoted : bool
        Whether a scalar stands in quotes.
    """

    value: Any
    origin: Origin
    text: str = ""
    quoted: bool = False


def merge(base: Node, over: Node) -> Node:
    """Lay `over` on `base`: mappings are joined key by key, anything else is replaced.

    A mapping with nothing under it (``risk:`` alone) changes nothing.
    """
    if isinstance(base.value, dict) and over.value is None:
        return base
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    joined = dict(base.value)
    for name, node in over.value.items():
        joined[name] = merge(joined[name], node) if name in joined else node
    return Node(joined, base.origin)


def plain(node: Node) -> Any:
    """Return the values without their places."""
    if isinstance(node.value, dict):
        return {name: plain(inner) for name, inner in node.value.items()}
    if isinstance(node.value, list):
        return [plain(inner) for inner in node.value]
    return node.value


def find(node: Node, path: Sequence[str | int]) -> tuple[Node, bool]:
    """Return the node at `path` and True, or its nearest written ancestor and False."""
    for step in path:
        inner = _inner(node.value, step)
        if inner is None:
            return node, False
        node = inner
    return node, True


def _inner(value: Any, step: str | int) -> Node | None:
    found: Node | None = None
    if isinstance(value, dict):
        found = value.get(step)
    elif isinstance(value, list) and isinstance(step, int) and step < len(value):
        found = value[step]
    return found


def leaves(node: Node, path: str = "") -> Iterator[tuple[str, Origin]]:
    """Yield the dotted key and the place of every value that is not a mapping."""
    if isinstance(node.value, dict) and node.value:
        for name, inner in node.value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif path:
        yield path, node.origin
