"""Where settings are written, and which place wins: environment over `.env` over overlays over the YAML file.

The law: a variable `TRADER__RISK__MAX_LEVERAGE` is the key `risk.max_leverage`, its value written as in YAML;
TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are taken as they stand. An empty variable is as good as none. One that was
meant as a key is never passed over in silence.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dotenv.parser import parse_stream

from core.config._reference import names_at
from core.config._tree import Node, Origin, merge
from core.config._yaml import MAX_DEPTH, read_text, read_yaml
from core.errors import ConfigError

__all__ = ["PREFIX", "SECRET_VARIABLES", "dotenv_path", "read_sources"]

PREFIX = "TRADER__"
_ENDS_IN_COLON = re.compile(r"\w+:")  # a word such as db:, for YAML a section without keys, which would say nothing
MAX_VARIABLES = 1_000  # of one `.env`
SECRET_VARIABLES = {
    "TELEGRAM_BOT_TOKEN": ("notify", "telegram", "bot_token"),
    "TELEGRAM_CHAT_ID": ("notify", "telegram", "chat_id"),
}


def dotenv_path(path: Path) -> Path:
    """Return where the `.env` of a configuration file lies, whether it exists or not."""
    return path.parent / ".env"


def read_sources(path: Path, environ: Mapping[str, str], overlays: Sequence[Path]) -> Node:
    """Read everything that was written and lay one over the other.

    Raises
    ------
    ConfigError
        A file cannot be read, or a variable does not hold a value.
    """
    root = _yaml_file(path)
    for overlay in overlays:
        root = merge(root, _yaml_file(overlay))
    dotenv = dotenv_path(path)
    if dotenv.exists():
        root = merge(root, _variables(_dotenv(dotenv)))
    environment = ((name, value, Origin("environment", variable=name)) for name, value in environ.items())
    return merge(root, _variables(environment))


def _yaml_file(path: Path) -> Node:
    root = read_yaml(read_text(path), Origin("file", path.name))
    if root.value is None:
        raise ConfigError(f"{path.name}: the file is empty; expected keys such as symbols: [BTC/USDT:USDT]")
    if not isinstance(root.value, dict):
        raise ConfigError(f"{root.origin}: expected keys such as symbols: [BTC/USDT:USDT], found a list or a word")
    return Node(root.value, Origin("file", path.name))


def _dotenv(path: Path) -> list[tuple[str, str, Origin]]:
    found = []
    for binding in parse_stream(io.StringIO(read_text(path))):
        # The parser counts the blank lines above a binding as part of it.
        skipped = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string[:skipped].count("\n")
        origin = Origin("dotenv", path.name, line, binding.key or "")
        if binding.error:
            raise ConfigError(f"{path.name}:{line}: not a variable; expected NAME=value")
        if binding.key is not None and binding.value is not None:
            found.append((binding.key, binding.value, origin))
        elif binding.key is not None and _keys(binding.key, origin):
            raise ConfigError(f"{origin}: no value; expected {binding.key}=value")
        if len(found) > MAX_VARIABLES:
            raise ConfigError(f"{path.name}:{line}: more than {MAX_VARIABLES} variables; expected a few settings")
    return found


def _variables(variables: Iterable[tuple[str, str, Origin]]) -> Node:
    """Return what variables say, the well-known names below the general ones, shorter keys below longer ones."""
    root = Node({}, Origin("environment"))
    relevant = [(name, value, origin) for name, value, origin in variables if value.strip() and _keys(name, origin)]
    for name, value, origin in sorted(relevant, key=lambda item: (item[0].startswith(PREFIX), item[0])):
        if name in SECRET_VARIABLES:
            if not value.strip().isprintable():
                raise ConfigError(f"{origin}: holds a line break or another control character; expected one plain word")
            node = Node(value.strip(), origin, value.strip(), quoted=True)
        elif _ENDS_IN_COLON.fullmatch(value.strip()):
            node = Node(value.strip(), origin, value.strip(), quoted=True)
        else:
            node = read_yaml(value, origin)
        for key in reversed(_keys(name, origin)):
            node = Node({key: node}, origin)
        root = merge(root, node)
    return root


def _keys(name: str, origin: Origin) -> tuple[str, ...]:
    if name in SECRET_VARIABLES:
        return SECRET_VARIABLES[name]
    if not name.upper().startswith(PREFIX):
        _refuse_nearly(name, origin)
        return ()
    keys = tuple(part.lower() for part in name[len(PREFIX) :].split("__"))
    if not all(keys) or len(keys) > MAX_DEPTH:
        raise ConfigError(f"{_short(origin)}: expected {PREFIX}SECTION__KEY, such as {PREFIX}RISK__MAX_LEVERAGE")
    return keys


def _refuse_nearly(name: str, origin: Origin) -> None:
    """Refuse a variable that names a section of the configuration after one underscore in place of two.

    The project's own variables, such as TRADER_PROFILE, hold no two underscores.
    """
    first, _, rest = name.upper().partition("_")
    section, more, _ = rest.partition("__")
    if first == PREFIX.rstrip("_") and more and section.lower() in names_at(()):
        raise ConfigError(f"{_short(origin)}: not a setting; did you mean {PREFIX}{rest[:60]}?")


def _short(origin: Origin) -> str:
    """Return the place of a variable whose name may be anything."""
    text = str(origin)
    return f"{text[:57]}..." if len(text) > 60 else text
