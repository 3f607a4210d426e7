"""From what pydantic found to the one line a person reads.

The law: file and line where known, the key, its value, what was expected, the nearest valid choice; never a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.config._reference import config_keys, expectation, names_at, schema_at
from core.config._tree import Node, Origin, find
from core.errors import ConfigError, nearest

__all__ = ["is_hidden", "problems_to_error", "scrub"]

_HIDDEN = (
    *("notify.telegram.bot_token", "notify.telegram.chat_id", "notify.telegram.base_url"),
    *("app.ping_url", "exchange.base_url"),
)
# The look behind lets a search begin once a run of digits: a value of 100 000 digits is looked through in no time.
_TOKEN = re.compile(r"(?<![0-9])[0-9]{6,}:[A-Za-z0-9_-]{8,}")
_SHOWN = 60
_LONGEST_NUMBER = 40
_LONGEST_LINE = 600
_MOST_EXPLAINED = 100  # of a file that is wrong all over, enough to find the first
_RETIRED = {
    "models.meta.calibration.path": "a calibrator is kept with its model, under models.meta.model_path",
}


class _Problem(NamedTuple):
    origin: Origin
    text: str


def is_hidden(key: str) -> bool:
    """Say whether the value of a dotted key is never shown in a message: a hidden one's, or one in its section's place.

    Examples
    --------
    >>> is_hidden("notify.telegram.bot_token"), is_hidden("notify.telegram"), is_hidden("notify.console")
    (True, True, False)
    """
    return any(hidden == key or hidden.startswith(f"{key}.") for hidden in _HIDDEN)


def scrub(text: str) -> str:
    """Replace whatever looks like a bot's token, wherever somebody may have written it."""
    return _TOKEN.sub("***", text)


def problems_to_error(error: ValidationError, root: Node) -> ConfigError:
    """Return the error to raise: the first problem in the order of the files, and how many more there are.

    Parameters
    ----------
    error : pydantic.ValidationError
    root : Node
        What was written.
    """
    problems: list[_Problem] = []
    more = 0
    details = error.errors(include_url=False, include_input=False)
    for detail in details[:_MOST_EXPLAINED]:
        # A list whose entries were all refused is called too short as well; that is no further problem.
        if detail["type"] == "too_short" and any(other["loc"][:-1] == detail["loc"] for other in details):
            continue
        problems.append(_problem(detail, root))
        more += int(detail.get("ctx", {}).get("more", 0)) if detail["type"] == "rule" else 0
    kinds = ("file", "dotenv", "environment")
    problems.sort(key=lambda problem: (kinds.index(problem.origin.kind), problem.origin.line))
    more += len(problems) - 1 + len(details[_MOST_EXPLAINED:])
    first = problems[0]
    tail = f" (+{more} more)" if more else ""
    told = " ".join(f"{first.origin}: {first.text}".split())
    line = (f"{told[: _LONGEST_LINE - 3]}..." if len(told) > _LONGEST_LINE else told) + tail
    # What was written may hold control characters; a message must not steer a terminal.
    return ConfigError(scrub("".join(letter if letter.isprintable() else "?" for letter in line)))


def _problem(detail: ErrorDetails, root: Node) -> _Problem:
    context = detail.get("ctx", {})
    if detail["type"] == "rule":
        return _rule_problem(context, root)
    path = tuple(step for step in detail["loc"] if step != "[key]")
    key = _dotted(path)
    node, is_written = find(root, path)
    if detail["type"] == "extra_forbidden":
        return _Problem(node.origin, f"{key}: unknown key; {_unknown(path)}")
    if detail["type"] == "missing":
        wanted = expectation(schema_at(path) or {})
        return _Problem(node.origin, f"{key}: missing; expected {wanted}")
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return _Problem(node.origin, f"{key}: {_demand(detail, str(path[-1]))}")
    schema = schema_at(path) or {}
    demand = _demand(detail, node.value if is_written else None, schema)
    hint = _hint(node, schema) if is_written else ""
    return _Problem(node.origin, f"{key}{_shown(key, node)}: {demand}{hint}")


def _rule_problem(context: dict[str, Any], root: Node) -> _Problem:
    key = str(context["key"])
    steps = _steps(key, root)
    node, _ = find(root, steps)
    value = context["value"]
    figure = f"{value:.10g}" if isinstance(value, float) else value
    shown = "" if value is None else " = ***" if is_hidden(key) else f" = {figure}"
    return _Problem(node.origin, f"{key}{shown}: {context['demand']}")


def _steps(key: str, root: Node) -> list[str | int]:
    """Split a dotted key along what was written, as names of symbols may hold dots themselves."""
    steps: list[str | int] = []
    node, rest = root, key
    while rest:
        names = node.value if isinstance(node.value, dict) else {}
        fitting = [name for name in names if rest == name or rest.startswith(name + ".")]
        name = max(fitting, key=len) if fitting else rest.partition(".")[0]
        steps.append(name)
        node = names.get(name, Node(None, node.origin))
        rest = rest[len(name) + 1 :]
    return steps


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _demand(detail: ErrorDetails, value: Any, schema: dict[str, Any] | None = None) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "expected":
        hint = f"; {context['hint']}" if context["hint"] else ""
        return f"expected {context['expected']}{hint}"
    if schema is None:  # the name of an entry, one of a fixed few
        choices = [word.strip(" '") for word in re.split(r",| or ", str(context.get("expected", "")))]
        return f"expected one of {', '.join(choices)}{_meant(str(value), choices)}"
    wanted = expectation(schema)
    options = schema.get("enum", ())
    return f"expected {wanted}{_meant(value, options) if isinstance(value, str) else ''}"


def _meant(value: str, options: Sequence[str]) -> str:
    exact = {option.lower(): option for option in options}.get(value.lower())
    hint = f"did you mean '{exact}'?" if exact else nearest(value, options)
    return f"; {hint}" if hint.startswith("did you mean") else ""


def _hint(node: Node, schema: dict[str, Any]) -> str:
    """Say what went wrong with a value that is nearly right."""
    kind, text = schema.get("type"), node.text.strip()
    if node.value is None:
        return "; nothing is written here"
    if kind == "boolean" and text.lower() in ("yes", "on", "no", "off", "y", "n"):
        return f"; did you mean {'true' if text.lower() in ('yes', 'on', 'y') else 'false'}?"
    if kind == "boolean" and text.lower() in ("true", "false"):
        return "; leave out the quotes"
    if kind in ("number", "integer") and isinstance(node.value, str):
        return _number_hint(text, node.quoted)
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if kind == "number" and high == 1 and is_number and 1 < node.value < 100:
        return f"; did you mean {node.value / 100:g}?"
    return ""


def _number_hint(text: str, is_quoted: bool) -> str:
    if len(text) > _LONGEST_NUMBER:
        return ""
    if is_quoted and re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", text):
        return "; leave out the quotes"
    if re.fullmatch(r"[0-9]+:[0-9]+(:[0-9]+)?", text):
        return "; older YAML reads this as minutes and seconds, here it is text"
    bare = re.sub(r"[_%\s]", "", text).replace(",", ".")
    bare = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", bare)
    return f"; write {bare}" if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", bare) else ""


def _shown(key: str, node: Node) -> str:
    if isinstance(node.value, dict | list) or node.value is None:
        return ""
    if is_hidden(key):
        return " = ***"
    text = " ".join(node.text.split())
    return f" = {text[: _SHOWN - 3]}..." if len(text) > _SHOWN else f" = {text or repr('')}"


def _unknown(path: Sequence[str | int]) -> str:
    *section, name = path
    retired = _RETIRED.get(_dotted(path))
    if retired:
        return retired
    hint = nearest(str(name), names_at(section))
    elsewhere = next((key for key in _all_keys() if key.rpartition(".")[2] == name), None)
    if not hint.startswith("did you mean") and elsewhere is not None:
        return f"did you mean '{elsewhere}'?"
    return hint


def _all_keys() -> Iterator[str]:
    """Yield the dotted names of sections and keys."""
    seen: set[str] = set()
    for info in config_keys():
        names = info.name.partition(".*")[0].split(".")
        for length in range(1, len(names) + 1):
            name = ".".join(names[:length])
            if name not in seen:
                seen.add(name)
                yield name
