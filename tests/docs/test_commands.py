"""Every command is in the README, and every command line on a page is one the program understands."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from core.cli import INTERRUPTED, USAGE, _parser
from core.errors import WATCHDOG_EXIT, TraderError
from tests.docs.pages import PAGES, ROOT, blocks_of, codes_in, table_after, tables_of, text_of

README = text_of("README.md")
MAKEFILE = text_of("Makefile")
TARGETS = re.findall(r"^([a-z-]+):.*?## (.+)$", MAKEFILE, re.MULTILINE)
SCRIPT = re.compile(r'main\(\["([a-z-]+)", \*sys\.argv\[1:\]\]\)')
PYTHON = re.compile(r"^(?:\S*[/\\])?(?:python3?|py)$")
PLACEHOLDERS = {"COMMAND": "run", "PATH": "candles", "FOLDER": "out", "SYMBOL": "BTC/USDT", "NAME": "demo", "TF": "1h"}


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (item for item in _parser()._actions if isinstance(item, argparse._SubParsersAction))
    return dict(action.choices)


def scripts() -> dict[str, str]:
    """Return the command each script at the top stands for."""
    found = ((path.name, SCRIPT.search(path.read_text(encoding="utf-8"))) for path in ROOT.glob("*.py"))
    return {name: match[1] for name, match in found if match}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def command_lines(page: Path) -> list[str]:
    """Return what a page tells a person to type."""
    text = page.read_text(encoding="utf-8")
    typed = [line for block in blocks_of(text, "bash", "powershell", "sh") for line in block.splitlines()]
    programs = ("python", "make ", "trader ", "streamlit")
    return [line for line in [*typed, *codes_in(text)] if line.startswith(programs) or line in typed]


def understood(line: str) -> str | None:
    """Return what is wrong with a command line, or None."""
    words = shlex.split(line.replace("\\", "/"), comments=True)
    words = [PLACEHOLDERS.get(word, word) for word in words]
    words = words[next((k + 1 for k, word in enumerate(words) if word.endswith(";")), 0) :]
    if not words:
        return None
    if words[0] == "make":
        asked = [word for word in words[1:] if "=" not in word]
        known = {name for name, _ in TARGETS}
        return None if set(asked) <= known else f"make knows {sorted(known)}"
    if words[0] == "trader":
        return parsed(words[1:])
    if words[0] == "streamlit":
        return None if words[1] == "run" and (ROOT / words[2]).exists() else "no such page"
    if PYTHON.match(words[0]):
        return python_understood([word for word in words[1:] if not re.fullmatch(r"-3\.\d+", word)])
    return None if words[0] in ("pip", "sqlite3") else f"unknown program {words[0]}"


def python_understood(words: list[str]) -> str | None:
    if words[0] == "-m":
        if words[1] == "core":
            return parsed(words[2:])
        return None if words[1] in ("pip", "pytest", "venv", "streamlit", "core.config") else f"module {words[1]}"
    if words[0] not in scripts():
        return f"no script {words[0]}"
    return parsed([scripts()[words[0]], *words[1:]])


def parsed(words: list[str]) -> str | None:
    try:
        _parser().parse_args(words)
    except SystemExit as end:
        return None if end.code == 0 else f"refused with {end.code}"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_line_of_a_page_is_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {line: told for line in command_lines(path) if (told := understood(line))}
    assert not wrong, capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_readme_and_says_what_it_does(name: str) -> None:
    told = [f"python {script}" for script, command in scripts().items() if command == name]
    assert any(words in README for words in [*told, f"python -m core {name}"])
    assert commands()[name].description


def test_every_script_at_the_top_is_in_the_readme_and_stands_for_a_command() -> None:
    at_the_top = {path.name for path in ROOT.glob("*.py")}
    assert at_the_top == {*scripts(), "dashboard.py"}
    assert [name for name in at_the_top if name not in README] == []
    assert set(scripts().values()) <= set(commands())


def test_the_options_in_the_readmes_table_of_commands_exist() -> None:
    (table,) = (table for table in tables_of(README) if table[0][0] == "command")
    for row in table[1:]:
        (line,) = codes_in(row[0])
        words = shlex.split(line)[1:]
        parser = commands()[words[2] if words[0] == "-m" else scripts()[words[0]]]
        assert set(re.findall(r"--[a-z-]+", row[1])) <= options_of(parser), line


def test_requirements_files_named_on_pages_exist() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"requirements[\w-]*\.txt", pages))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_target_of_the_makefile_is_declared_explained_and_does_not_stand_for_a_file() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony
    targets = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE)
    assert sorted(phony[1].split()) == sorted(targets) == sorted(name for name, _ in TARGETS)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    listed = dict(line.split(maxsplit=2)[1:] for line in told.splitlines() if line.startswith("  make "))
    assert listed == dict(TARGETS)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_test_runs_without_recorded_candles_and_with_them() -> None:
    def plan(**more: str) -> str:
        asked = ["make", "--dry-run", "test", *(f"{name}={value}" for name, value in more.items())]
        return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout

    folders = ("tests/unit", "tests/contracts", "tests/docs", "tests/acceptance", "tests/viewer")
    without = plan(TRADER_REALDATA="")
    assert [folder for folder in folders if folder not in without] == []
    assert '"realdata' not in without
    assert '"realdata' in plan(TRADER_REALDATA="somewhere")


def test_pages_makefile_and_package_agree_on_the_versions_of_python() -> None:
    package = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert package["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in MAKEFILE
    assert "Python 3.11, 3.12 or 3.13" in README
    assert f"## {package['version']} (unreleased)" in text_of("CHANGELOG.md")


def test_every_exit_code_is_described() -> None:
    def below(error: type[TraderError]) -> list[type[TraderError]]:
        return [error, *(deeper for child in error.__subclasses__() for deeper in below(child))]

    codes = {0, INTERRUPTED, USAGE, WATCHDOG_EXIT, *(error.exit_code for error in below(TraderError))}
    told = [int(row[0]) for row in table_after(text_of("docs/architecture.md"), "## Exit codes")]
    assert told == sorted(codes)
