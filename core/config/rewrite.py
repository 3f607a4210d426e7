"""Write thresholds into the configuration file, which stays the live truth.

The law: comments and order are kept; the new text is checked whole, like any other, before it replaces the old one in
one step; a file that somebody changed meanwhile is left alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from core.config._yaml import read_text
from core.config.load import ConfigSource, load_config
from core.config.model import Config
from core.durable import sync_folder
from core.errors import ConfigError, DiskError

__all__ = ["Rewrite", "propose", "replace", "undone_on_failure"]

PairThresholdValues = Mapping[str, Mapping[str, Mapping[str, Any]]]

_GATING = ("models", "meta", "gating")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A change of the configuration that has been checked and not been made.

    Parameters
    ----------
    path : Path
        The file.
    before, after : str
        Its text.
    config : Config
        The configuration as it will be.
    """

    path: Path
    before: str
    after: str
    config: Config

    @property
    def diff(self) -> str:
        """The change as a unified diff; ``""`` where there is none."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), self.path.name, self.path.name, lineterm="", n=1
        )
        return "\n".join(lines)


def propose(source: ConfigSource, per_pair_tf: PairThresholdValues) -> Rewrite:
    """Work out the text with other thresholds by symbol and timeframe.

    Parameters
    ----------
    source : ConfigSource
        Its last file is the one that is changed: the profile's where there is one.
    per_pair_tf : mapping
        Symbol to timeframe to ``{min_ev_pct, threshold, expires}``; replaces all that stand there.

    Raises
    ------
    ConfigError
        The file cannot be read, or the configuration would not hold with these thresholds.
    """
    path = source.target
    before = read_text(path)
    editor = _yaml()
    try:
        document = editor.load(before)
    except YAMLError as error:
        raise ConfigError(f"{path.name}: cannot be rewritten ({str(error).splitlines()[0]})") from error
    if not per_pair_tf and not _has_thresholds(document):
        after = before
    else:
        _section(document)["per_pair_tf"] = _block(per_pair_tf)
        stream = io.StringIO()
        editor.dump(document, stream)
        after = stream.getvalue()
    with _written_beside(path, after) as beside:
        try:
            config = load_config(*source.files_with(beside))
        except ConfigError as error:
            raise ConfigError(str(error).replace(beside.name, path.name)) from error
    return Rewrite(path, before, after, config)


def replace(change: Rewrite) -> None:
    """Make a change that was proposed.

    Raises
    ------
    ConfigError
        The file was changed since the proposal; nothing is written.
    DiskError
        It cannot be written; the old file stays.
    """
    if change.after == change.before:
        return
    path = change.path.resolve()  # of a link, what it leads to
    with _written_beside(path, change.after) as beside:
        if read_text(change.path) != change.before:
            raise ConfigError(
                f"{change.path.name}: was changed by somebody else meanwhile; nothing was written, try again"
            )
        try:
            beside.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise DiskError(f"{change.path}: cannot be replaced ({error.strerror})") from error


@contextlib.contextmanager
def undone_on_failure(change: Rewrite) -> Iterator[None]:
    """Take a change back where what is done inside fails after it was made.

    Put it around the transaction that records the change and makes it last: file and record agree, whichever fails.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(ConfigError, DiskError):  # not made yet, or changed by somebody since
            replace(dataclasses.replace(change, before=change.after, after=change.before))
        raise


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _has_thresholds(document: Any) -> bool:
    for name in (*_GATING, "per_pair_tf"):
        if not isinstance(document, dict) or not document.get(name):
            return False
        document = document[name]
    return True


def _section(document: Any) -> Any:
    """Return the section of the gate, made where the file has none."""
    for name in _GATING:
        if not isinstance(document.get(name), dict):
            document[name] = CommentedMap()
        document = document[name]
    return document


def _block(per_pair_tf: PairThresholdValues) -> CommentedMap:
    """Return thresholds as a block with one line a timeframe."""
    block = CommentedMap()
    if not per_pair_tf:
        block.fa.set_flow_style()
    for symbol, timeframes in per_pair_tf.items():
        block[symbol] = CommentedMap()
        for timeframe, values in timeframes.items():
            line = CommentedMap((name, value) for name, value in values.items() if value is not None)
            line.fa.set_flow_style()
            block[symbol][timeframe] = line
    return block


@contextlib.contextmanager
def _written_beside(path: Path, text: str) -> Iterator[Path]:
    """Write a text into a file in the same folder, with the same rights; remove it behind unless it was moved."""
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        beside = Path(name)
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(path.stat().st_mode)
    except OSError as error:
        raise DiskError(f"{path.parent}: {path.name} cannot be rewritten there ({error.strerror})") from error
    try:
        yield beside
    finally:
        beside.unlink(missing_ok=True)
