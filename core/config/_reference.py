"""What each key expects, in words: for messages, for editors, for the documentation.

The law: the words come from the declarations, so that message, schema and page cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from core.config.model import Config

__all__ = ["KeyInfo", "config_keys", "config_schema", "config_tables", "expectation", "names_at", "schema_at"]

Schema = dict[str, Any]


class KeyInfo(NamedTuple):
    """One key: dotted name (`*` for any entry), meaning, unit, default as JSON ("" for none), what is expected."""

    name: str
    meaning: str
    unit: str
    default: str
    expected: str


@cache
def _full_schema() -> Schema:
    return Config.model_json_schema(by_alias=True)


def _resolved(schema: Schema) -> Schema:
    """Return a schema without references and without the alternative null."""
    while True:
        if "$ref" in schema:
            target = _full_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
            schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
        elif "anyOf" in schema:
            (only,) = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
            schema = {**only, **{name: value for name, value in schema.items() if name != "anyOf"}}
        else:
            return schema


def schema_at(path: Sequence[str | int]) -> Schema | None:
    """Return the schema of the key at `path`; None for a key that does not exist."""
    schema = _resolved(_full_schema())
    for step in path:
        if isinstance(step, int):
            inner = schema.get("items")
        else:
            inner = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
        if not isinstance(inner, dict):
            return None
        schema = _resolved(inner)
    return schema


def names_at(path: Sequence[str | int]) -> tuple[str, ...]:
    """Return the keys a section knows; empty for anything else."""
    return tuple((schema_at(path) or {}).get("properties", {}))


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {_figure(low)} to {_figure(high)}"
    parts = [
        f"above {_figure(above)}" if above is not None else "",
        f"below {_figure(below)}" if below is not None else "",
    ]
    parts.append(f"at most {_figure(high)}" if high is not None else "")
    parts.append(f"at least {_figure(low)}" if low is not None else "")
    words = " and ".join(part for part in parts if part)
    return f" {words}" if words else ""


def _figure(value: float) -> str:
    return f"{int(value)}" if value == int(value) else f"{value:g}"


def expectation(schema: Schema) -> str:
    """Say in words what a schema accepts.

    Examples
    --------
    >>> expectation({"type": "integer", "minimum": 1, "maximum": 125})
    'a whole number from 1 to 125'
    """
    if "x-expected" in schema:
        return str(schema["x-expected"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return f"{'a whole number' if kind == 'integer' else 'a number'}{_range(schema)}"
    if kind == "array":
        inner = expectation(_resolved(schema["items"]))
        return f"a list{' of at least one' if schema.get('minItems') else ''}, each entry {inner}"
    if isinstance(schema.get("additionalProperties"), dict):
        inner = expectation(_resolved(schema["additionalProperties"]))
        return f"a table{' of at least one' if schema.get('minProperties') else ''}, each entry {inner}"
    if kind == "object":
        names = ", ".join(list(schema.get("properties", {}))[:3])
        return f"keys such as {names}" if names else "a table"
    return {"boolean": "true or false", "string": "text"}.get(str(kind), "a value")


def config_keys() -> list[KeyInfo]:
    """Return every key that holds a value, in the order of the file."""
    return list(_walk((), _resolved(_full_schema())))


def _walk(path: tuple[str, ...], schema: Schema) -> Iterator[KeyInfo]:
    for name, inner in schema["properties"].items():
        found = _resolved(inner)
        if "properties" in found:
            yield from _walk((*path, name), found)
            continue
        default = json.dumps(inner["default"]) if "default" in inner else ""
        yield KeyInfo(
            ".".join((*path, name)), inner["description"], inner.get("x-unit", ""), default, expectation(found)
        )
        steps = (*path, name)
        while isinstance(found.get("additionalProperties"), dict):
            found, steps = _resolved(found["additionalProperties"]), (*steps, "*")
        if "*" in steps and "properties" in found:
            yield from _walk(steps, found)


def config_tables() -> str:
    """Return the reference of every key as Markdown, one table a section."""
    parts: list[str] = []
    for name, inner in _full_schema()["properties"].items():
        keys = [info for info in config_keys() if info.name.partition(".")[0] == name]
        parts += [f"### `{name}`", "", inner.get("description") or _resolved(inner)["description"], ""]
        parts += ["| key | meaning | unit | default | expected |", "|---|---|---|---|---|"]
        for info in keys:
            default = f"`{info.default}`" if info.default else "must be written"
            parts.append(f"| `{info.name}` | {info.meaning} | {info.unit} | {default} | {info.expected} |")
        parts.append("")
    return "\n".join(parts)


def config_schema() -> Schema:
    """Return the JSON schema of the configuration file, for editors and for `docs/config.schema.json`."""
    schema = _published(_full_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Trader AI configuration"}


def _published(value: Any) -> Any:
    """Drop our own marks; say units where editors show them; let an empty section stand."""
    if isinstance(value, list):
        return [_published(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _published(inner) for name, inner in value.items() if name not in ("x-unit", "x-expected")}
    if isinstance(value.get("x-unit"), str) and value["x-unit"] and isinstance(value.get("description"), str):
        kept["description"] = f"{value['description']} Unit: {value['x-unit']}."
    if kept.get("type") == "object":
        kept["type"] = ["object", "null"]
    return kept
