"""Hints name commands that can be followed as they stand."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import pytest

from core.cli import _HOME as COMMANDS
from core.cli import _hints, main
from core.cli._hints import completed, given, is_at_hand, spelled
from tests.engine import ROOT, trader, write_config


def test_every_script_of_the_project_s_folder_is_a_command_and_known() -> None:
    there = {path.stem for path in ROOT.glob("*.py")} - {"dashboard"}
    assert set(_hints._SCRIPTS) == there
    for script, command in _hints._SCRIPTS.items():
        assert command in COMMANDS
        assert f'main(["{command}", *sys.argv[1:]])' in (ROOT / f"{script}.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`trader restore FILE`", "`trader restore FILE --profile demo`"),
        ("`python download_data.py --symbols A/B`", "`python download_data.py --symbols A/B --profile demo`"),
        ("`trader symbols resume A/B`.", "`trader symbols resume A/B --profile demo`."),
        ("`trader run --config my.yaml`", "`trader run --config my.yaml`"),
        (
            "`python notes.py`, `trader`, `traders meet`, trader run",
            "`python notes.py`, `trader`, `traders meet`, trader run",
        ),
        ("use `a` and `trader backup --list`, `b`", "use `a` and `trader backup --list --profile demo`, `b`"),
    ],
)
def test_commands_between_backquotes_are_completed_and_nothing_else(text: str, shown: str) -> None:
    assert completed(text, "--profile demo", lambda _: True) == shown


def test_without_options_what_can_be_started_stays_as_it_is() -> None:
    text = "`python init_db.py`, `trader model list`, `python -m core why 3`"
    assert completed(text, "", lambda _: True) == text
    assert completed(text, "", lambda _: False) == (
        "`python -m core init-db`, `python -m core model list`, `python -m core why 3`"
    )


def test_what_was_given_is_given_on_and_a_path_stays_one_word() -> None:
    assert given(argparse.Namespace(config="config.yaml", profile=None)) == ""
    options = given(argparse.Namespace(config="my files/a.yaml", profile="demo"))
    assert [word.strip("\"'") for word in shlex.split(options)] == ["--config", "my files/a.yaml", "--profile", "demo"]
    assert "\n" not in given(argparse.Namespace(config="a\nb", profile=None))


def test_a_program_is_at_hand_where_it_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_at_hand("init_db.py") and not is_at_hand("nothing.py")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert not is_at_hand("trader")
    assert spelled("trader health", "") == "python -m core health"
    for name in ("trader", "trader.exe"):
        (tmp_path / name).touch(mode=0o755)
    assert is_at_hand("trader")


def test_the_way_to_a_database_is_the_one_of_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, {})
    (tmp_path / "config.other.yaml").write_text(f"app: {{db_path: {(tmp_path / 'other.db').as_posix()}}}\n", "utf-8")
    assert trader(config, "init-db") == 0
    assert trader(config, "funnel", "--profile", "other") == 4
    hint = capsys.readouterr().err.split("`")[1]
    script, *options = shlex.split(hint.removeprefix("python "))
    assert script == "init_db.py"
    assert main([_hints._SCRIPTS[Path(script).stem], *options]) == 0
    assert trader(config, "funnel", "--profile", "other") == 0
    assert "`python retro_scan.py --config" in capsys.readouterr().out
    assert trader(config, "doctor", "--offline", "--profile", "other") == 0
    assert f"`trader backup --config {config} --profile other`" in capsys.readouterr().out
    assert trader(config, "health", "--profile", "other") == 1
    assert f"start it: `python scheduler_run.py --config {config} --profile other`" in capsys.readouterr().out
