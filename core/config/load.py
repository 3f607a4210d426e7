"""Load the configuration, and keep it while it can be used.

The law: a configuration is taken whole or not at all; while the files are broken, the last good one stays in force.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.config._problems import problems_to_error
from core.config._reference import schema_at
from core.config._sources import dotenv_path, read_sources
from core.config._tree import Node, leaves, plain
from core.config._views import config_diff
from core.config.model import Config
from core.errors import ConfigError, nearest

__all__ = ["ConfigSource", "Reload", "config_source", "load_config", "profile_overlays"]

_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Stamp = tuple[tuple[int, int, int] | None, ...]


def load_config(path: Path, environ: Mapping[str, str], overlays: Sequence[Path] = ()) -> Config:
    """Read, merge and check the configuration.

    Parameters
    ----------
    path : Path
        The YAML file; an `.env` beside it is read as well, and relative paths start at its folder.
    environ : mapping
        The environment, usually ``os.environ``.
    overlays : sequence of Path
        Further YAML files laid over the first, in order.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        Anything is wrong; one line that names file, line, key, value and what was expected.
    """
    root = read_sources(path, environ, overlays)
    home = path.absolute().parent
    try:
        config = Config.model_validate(_filled(root, ()), context={"home": home})
    except ValidationError as error:
        # Without the chain: pydantic's own text is longer and says less.
        raise problems_to_error(error, root) from None
    config._home = home
    config._origins = dict(leaves(root))
    return config


def _filled(node: Node, path: tuple[str, ...]) -> Any:
    """Return plain values, an empty section (``auto:`` and nothing under it) as a section without keys."""
    if isinstance(node.value, dict):
        return {name: _filled(inner, (*path, name)) for name, inner in node.value.items()}
    if node.value is None and (schema_at(path) or {}).get("type") == "object":
        return {}
    return plain(node)


@dataclass(frozen=True, slots=True)
class Reload:
    """What looking again gave.

    Parameters
    ----------
    config : Config
        The one in force: the new one, or the old one where nothing changed or the files are broken.
    changed : bool
        Whether any setting differs from before, secrets included.
    diff : list of str
        One line a changed key, without secrets.
    error : str or None
        Why the files cannot be used as they are now.
    """

    config: Config
    changed: bool = False
    diff: list[str] = field(default_factory=list)
    error: str | None = None


class ConfigSource:
    """The configuration of a process that runs for long.

    Parameters
    ----------
    path, environ, overlays
        As for `load_config`.

    Raises
    ------
    ConfigError
        The first load fails; there is nothing to fall back on.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], overlays: Sequence[Path] = ()) -> None:
        self._path = path
        self._environ = dict(environ)
        self._overlays = tuple(overlays)
        self._stamp = self._look()
        self._error: str | None = None
        self._current = load_config(path, self._environ, self._overlays)

    @property
    def current(self) -> Config:
        """The configuration in force."""
        return self._current

    @property
    def files(self) -> tuple[Path, Mapping[str, str], Sequence[Path]]:
        """What it was made of, as `load_config` takes it."""
        return self._path, self._environ, self._overlays

    @property
    def target(self) -> Path:
        """The file that a change is written to: the last overlay, else the first file."""
        return (self._path, *self._overlays)[-1]

    def files_with(self, other: Path) -> tuple[Path, Mapping[str, str], Sequence[Path]]:
        """Return what `load_config` takes, with another file in the place of `target`."""
        return (
            (self._path, self._environ, (*self._overlays[:-1], other)) if self._overlays else (other, self._environ, ())
        )

    def reload(self) -> Reload:
        """Look again: cheap while no file changed, whole or not at all when one did."""
        stamp = self._look()
        if stamp == self._stamp:
            return Reload(self._current, error=self._error)
        # The stamp is taken before reading: a write during the reading is seen the next time.
        self._stamp = stamp
        try:
            new = load_config(self._path, self._environ, self._overlays)
        except ConfigError as error:
            self._error = str(error)
            return Reload(self._current, error=self._error)
        self._error = None
        old, self._current = self._current, new
        diff = config_diff(old, new)
        return Reload(new, changed=bool(diff), diff=diff)

    def _look(self) -> Stamp:
        files = (self._path, *self._overlays, dotenv_path(self._path))
        return tuple(_file_stamp(file) for file in files)


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def config_source(path: Path, profile: str | None, environ: Mapping[str, str] | None = None) -> ConfigSource:
    """Return the configuration of a file and a profile.

    Parameters
    ----------
    path : Path
        Such as ``config.yaml``.
    profile : str or None
        NAME lays ``config.NAME.yaml`` beside `path` over it.
    environ : mapping, optional
        The environment; the process's own where not given.

    Raises
    ------
    ConfigError
        No such profile, or a configuration that does not hold.
    """
    return ConfigSource(path, os.environ if environ is None else environ, profile_overlays(path, profile))


def profile_overlays(path: Path, profile: str | None) -> list[Path]:
    """Return the files a profile lays over the configuration, which lie beside it; none without a profile.

    Raises
    ------
    ConfigError
        The profile is no name, or there is no such file.
    """
    if not profile:
        return []
    if not _PROFILE.fullmatch(profile):
        shown = "".join(letter if letter.isprintable() else "?" for letter in profile[:40])
        raise ConfigError(f"profile '{shown}': expected a name of letters, digits, - and _, such as demo")
    overlay = path.with_name(f"{path.stem}.{profile}{path.suffix}")
    if not overlay.is_file():
        known = [other.name.split(".")[1] for other in path.parent.glob(f"{path.stem}.*{path.suffix}")]
        raise ConfigError(f"profile '{profile}': there is no {overlay.name}; {nearest(profile, known)}".rstrip("; "))
    return [overlay]
