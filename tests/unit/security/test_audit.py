"""`make audit` says what is known, and never calls silence good news."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tools import audit

LOCK = f"pytest=={metadata.version('pytest')} \\\n    --hash=sha256:{'0' * 64}\n"


def fake(folder: Path, dependencies: list[dict[str, Any]] | None, code: int = 0, said: str = "") -> list[str]:
    """Return the words of a program that answers as pip-audit does."""
    out = "" if dependencies is None else json.dumps({"dependencies": dependencies, "fixes": []})
    script = folder / "pip_audit.py"
    script.write_text(f"import sys\nsys.stdout.write({out!r})\nsys.stderr.write({said!r})\nsys.exit({code})\n")
    return [sys.executable, str(script)]


def asked(folder: Path, program: list[str], lock: str = LOCK) -> int:
    (folder / "requirements.txt").write_text(lock)
    return audit.main(["--requirements", str(folder / "requirements.txt"), "--program", *program])


def sound(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1", "vulns": []}


def test_nothing_known_is_said_and_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path, fake(tmp_path, [sound("a"), sound("b")])) == 0
    assert capsys.readouterr().out == "installed: what was pinned\nvulnerabilities: none known in 2 packages\n"


def test_each_vulnerability_is_a_line_with_what_mends_it_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [{"id": "PYSEC-2026-1", "fix_versions": ["2", "3"]}, {"id": "GHSA-x", "fix_versions": []}]
    bad = {"name": "a", "version": "1", "vulns": found}
    assert asked(tmp_path, fake(tmp_path, [bad, sound("b")], code=1)) == 1
    told = capsys.readouterr().out
    assert "a 1: PYSEC-2026-1 (mended in: 2, 3)\na 1: GHSA-x (mended in: none yet)\n" in told
    assert told.endswith("vulnerabilities: 2 known vulnerabilities\n")


def test_a_service_that_cannot_be_reached_is_no_good_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "WARNING: something\nERROR:pip_audit._cli:Failed to connect to pypi.org\n"
    assert asked(tmp_path, fake(tmp_path, None, code=1, said=said)) == audit.UNANSWERED == 69
    told = capsys.readouterr().out
    assert told.endswith("vulnerabilities: could not be audited: ERROR:pip_audit._cli:Failed to connect to pypi.org\n")


def test_a_service_that_knows_none_of_the_packages_is_no_good_news_though_pip_audit_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1)"}
    assert asked(tmp_path, fake(tmp_path, [skipped])) == 69
    assert "vulnerabilities: could not be audited: Dependency not found on PyPI" in capsys.readouterr().out


def test_a_part_that_was_not_answered_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skipped = {"name": "c", "skip_reason": "not found"}
    assert asked(tmp_path, fake(tmp_path, [sound("a"), sound("b"), skipped])) == 69
    assert "vulnerabilities: 1 of 3 packages could not be audited: not found" in capsys.readouterr().out


def test_a_program_that_is_missing_or_silent_is_no_good_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(tmp_path, [str(tmp_path / "none")]) == 69
    assert "cannot be run" in capsys.readouterr().out
    assert asked(tmp_path, fake(tmp_path, None)) == 69
    assert "could not be audited: pip-audit said nothing" in capsys.readouterr().out
    assert asked(tmp_path, fake(tmp_path, [])) == 69
    assert "could not be audited: nothing was asked about" in capsys.readouterr().out


def test_what_is_installed_in_another_version_is_named_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = LOCK.replace("==", "==0.") + "no-such-package==1.0\n" + "elsewhere==1 ; sys_platform == 'never'\n"
    assert asked(tmp_path, fake(tmp_path, [sound("a")]), lock) == 1
    told = capsys.readouterr().out
    version = metadata.version("pytest")
    assert f"pytest: 0.{version} is pinned, {version} is installed" in told
    assert "no-such-package: 1.0 is pinned, not installed" in told
    assert "elsewhere" not in told
    assert "installed: 2 packages differ from the pins" in told


def test_a_lock_that_cannot_be_read_is_no_good_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--requirements", str(tmp_path / "none.txt")]) == 69
    assert asked(tmp_path, fake(tmp_path, []), "=== what\n") == 69
    assert capsys.readouterr().out.count("could not be audited") == 2


def test_make_audit_runs_this_program_and_hides_no_exit_code() -> None:
    makefile = (Path(__file__).resolve().parents[3] / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\naudit:")[2].partition("\n\n")[0].splitlines()[1:]
    assert recipe == ["\t$(BIN)/python -m tools.audit"]
