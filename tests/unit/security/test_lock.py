"""What is installed is pinned by hash, and the pins hold all that the package asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("requirements.txt", "requirements-dev.txt")
PINNED = re.compile(r"([a-z0-9][a-z0-9._-]*)(\[[a-z,]+\])?==([^ ;]+)( ;.*)?")


def lines_of(name: str) -> list[tuple[str, list[str]]]:
    """Return each requirement with its hashes."""
    text = re.sub(r"\\\s*\n", " ", (ROOT / name).read_text(encoding="utf-8"))
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            found.append((requirement.strip(), hashes))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_one_version_with_hashes_and_nothing_else(name: str) -> None:
    lines = lines_of(name)
    assert len(lines) > 50
    for requirement, hashes in lines:
        assert PINNED.fullmatch(requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement
    assert not re.search(
        r"https?://|git\+|--index-url|--extra-index-url|--trusted-host|^-e|^file:", "\n".join(r for r, _ in lines)
    )


@pytest.mark.parametrize(("name", "extras"), [(LOCKS[0], ("build",)), (LOCKS[1], ("build", "dev"))])
def test_the_pins_satisfy_everything_the_package_asks_for(name: str, extras: tuple[str, ...]) -> None:
    pins: dict[str, list[str]] = {}
    for requirement, _ in lines_of(name):
        pin = Requirement(requirement)
        pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    asked = [*PACKAGE["dependencies"], *(line for extra in extras for line in PACKAGE["optional-dependencies"][extra])]
    for line in asked:
        wanted = Requirement(line)
        if wanted.name == PACKAGE["name"]:
            continue  # the package's own extras
        found = pins.get(canonicalize_name(wanted.name), [])
        assert found, f"{wanted.name} is not pinned"
        assert any(wanted.specifier.contains(version) for version in found), line


def test_both_locks_agree() -> None:
    runtime, development = (dict(lines_of(name)) for name in LOCKS)
    assert {line: sorted(hashes) for line, hashes in runtime.items()} == {
        line: sorted(development[line]) for line in runtime if line in development
    }


def test_make_installs_nothing_without_hashes_but_this_package_itself() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in re.findall(r"pip install (.+)$", makefile, re.MULTILINE):
        assert "--require-hashes -r requirements" in line or line.endswith("--no-deps --no-build-isolation -e ."), line
