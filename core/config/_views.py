"""The configuration as others may see it: without secrets, as plain values, as a hash, as differences.

The law: no view holds a secret, and none depends on where the files lie.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from core.config._problems import scrub
from core.config.model import Config

__all__ = ["config_diff", "config_hash", "redacted", "secrets_of"]

_MASK = "***"
_TOKEN_LENGTH = 12  # a shorter path is a word, and hiding it would blot out ordinary text


def redacted(config: Config) -> dict[str, Any]:
    """Return the configuration as plain JSON values; secrets are ``'***'``, or ``''`` where none is set."""
    values: dict[str, Any] = _plain(config.model_dump(by_alias=True), config.home)
    return values


def _plain(value: Any, home: Path) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(inner, home) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, home) for inner in value]
    if isinstance(value, SecretStr):
        return _MASK if value.get_secret_value() else ""
    if isinstance(value, Path):
        inside = value.is_relative_to(home)
        return scrub((value.relative_to(home) if inside else value).as_posix())
    return _relative(scrub(value), home) if isinstance(value, str) else value


def _relative(text: str, home: Path) -> str:
    """Return a tape's path, which may have the prefix db:, without the folder of the configuration."""
    prefix, path = ("db:", Path(text[3:])) if text.startswith("db:") else ("", Path(text))
    inside = path.is_absolute() and path.is_relative_to(home)
    return f"{prefix}{path.relative_to(home).as_posix()}" if inside else text


def config_hash(config: Config) -> str:
    """Return 12 hexadecimal digits that change with any setting but a secret.

    Examples
    --------
    >>> len(config_hash(Config(symbols=["BTC/USDT:USDT"])))
    12
    """
    values = redacted(config)
    for path in _secrets(config):
        section = values
        for name in path[:-1]:
            section = section[name]
        del section[path[-1]]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def config_diff(old: Config, new: Config) -> list[str]:
    """Return one line for every key that differs, in the order of the keys, without secrets.

    Returns
    -------
    list of str
        Such as ``"risk.max_leverage: 10 -> 5"``.
    """
    before, after = dict(_flat(redacted(old))), dict(_flat(redacted(new)))
    lines = []
    for key in [*after, *(key for key in before if key not in after)]:
        if key not in before:
            lines.append(f"{key}: added {_shown(after[key])}")
        elif key not in after:
            lines.append(f"{key}: removed, was {_shown(before[key])}")
        elif before[key] != after[key]:
            lines.append(f"{key}: {_shown(before[key])} -> {_shown(after[key])}")
    was = _secrets(old)
    for path, value in _secrets(new).items():
        name = ".".join(path)
        if was[path] != value and before[name] == after[name]:  # both are set: their masks are the same
            lines.append(f"{name}: {_MASK} -> {_MASK}")
    return lines


def secrets_of(config: Config) -> list[str]:
    """Return every secret that is set, for whoever cuts them out of texts.

    Of an address the path counts by itself as well: that is where a token stands, and a library may log it alone.

    Examples
    --------
    >>> secrets_of(Config(symbols=["BTC/USDT:USDT"], app={"ping_url": SecretStr("https://host/ABCDEF123456")}))
    ['https://host/ABCDEF123456', 'ABCDEF123456']
    """
    found = [value for value in _secrets(config).values() if value]
    paths = [urlsplit(value).path.strip("/") for value in found if value.startswith(("http://", "https://"))]
    return [*found, *(path for path in paths if len(path) >= _TOKEN_LENGTH)]


def _secrets(section: BaseModel, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Return every key that holds a secret, set or not."""
    found: dict[tuple[str, ...], str] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, SecretStr):
            found[*path, name] = value.get_secret_value()
        elif isinstance(value, BaseModel):
            found |= _secrets(value, (*path, name))
    return found


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    elif not isinstance(value, dict):
        yield path, value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
