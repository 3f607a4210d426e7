"""A name that comes from a file, a person or an exchange never leads out of the folder it belongs to."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from pydantic import ValidationError

from core import plugins
from core.adapters.markets.files import write_candles
from core.cli.data import export_name
from core.config import Config
from core.errors import InputFileError, ModelError, TraderError
from core.store import artefacts
from tests.factories import walk

EVIL = [
    *("..", "../evil", "a/../../evil", "/etc/evil", "a\\..\\..\\evil", "C:\\evil", "\\\\host\\share", "a\0b"),
    *(
        "con",
        "NUL",
        "aux.txt",
        "com1",
        "lpt9.db",
        ".hidden",
        "-rf",
        "a b",
        "a\nb",
        "\x1b[31m",
        "",
        ".",
        "x" * 300,
        "a.",
    ),
]


def inside(folder: Path) -> list[str]:
    """Return what lies beside a folder: nothing but itself, where nothing escaped."""
    return sorted(path.name for path in folder.parent.iterdir())


@pytest.mark.parametrize("name", EVIL)
def test_a_version_or_file_of_a_model_is_a_plain_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    before = inside(folder)
    for attempt in (
        lambda: artefacts.publish(folder, name, {"card.json": b"{}"}),
        lambda: artefacts.publish(folder, "m1", {name: b"{}"}),
        lambda: artefacts.load(folder, name, "0" * 64),
    ):
        with pytest.raises(ModelError):
            attempt()
    assert inside(folder) == before
    assert artefacts.versions(folder) == []


def test_a_manifest_that_names_files_elsewhere_is_refused_before_they_are_opened(tmp_path: Path) -> None:
    import hashlib
    import json

    (tmp_path / "secret.json").write_text("{}")
    home = tmp_path / "models" / "m1"
    home.mkdir(parents=True)
    listed = {"../../secret.json": {"bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}}
    raw = json.dumps({"format": 1, "version": "m1", "files": listed}).encode()
    (home / "manifest.json").write_bytes(raw)
    with pytest.raises(ModelError, match="not a name for a file"):
        artefacts.load(tmp_path / "models", "m1", hashlib.sha256(raw).hexdigest())


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models").mkdir()
    try:
        (tmp_path / "models" / "m1").symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(ModelError):
        artefacts.load(tmp_path / "models", "m1", "0" * 64)
    assert artefacts.versions(tmp_path / "models") == []


@pytest.mark.parametrize("name", EVIL)
def test_a_plug_in_is_a_plain_name(name: str) -> None:
    for shelf in ("core.setups", "core.exits", "core.estimators"):
        with pytest.raises(TraderError):
            plugins.build(shelf, name, {}, "signals.setups")


@pytest.mark.parametrize(
    "base", ["..", "../../evil", "a\\b", "CON", "C:evil", "a\0b", "<img src=x>", "x" * 300, "NUL", "币"]
)
def test_an_exported_file_has_a_plain_name_whatever_a_symbol_is_called(base: str, tmp_path: Path) -> None:
    name = export_name("bitget", f"{base}/USDT:USDT", "1m")
    assert name.isprintable()
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    assert not set(name) & set('<>:"/\\|?*\0')
    assert len(name) < 120
    (tmp_path / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "symbol", ["../x", "a\\b/USDT", "<b>/USDT", "A?/USDT", "A*/USDT", "A|B/USDT", "A\x1b/USDT", "A\n/USDT"]
)
def test_a_configured_symbol_is_neither_a_path_nor_markup(symbol: str) -> None:
    with pytest.raises(ValidationError):
        Config(symbols=[symbol])


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "1000PEPE/USDT", "$PAAL/USDT", "币安人生/USDT", "A_B.C/USDT"])
def test_symbols_as_exchanges_have_them_are_taken(symbol: str) -> None:
    assert Config(symbols=[symbol]).symbols == (symbol,)


def test_what_a_file_of_candles_is_called_decides_nothing_but_its_symbol(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    write_candles(target, walk(1))
    with pytest.raises(InputFileError, match="exists already"):
        write_candles(target, walk(1))
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
