"""`make audit`: are there known vulnerabilities in what is pinned, and is what is installed what was pinned?

The law: silence is no good news. What could not be looked up is counted as not looked up, never as sound: pip-audit
itself ends with 0 when the service answers for none of the packages.

Exit codes: 0 none known; 1 vulnerabilities are known, or what is installed is not what was pinned; 69 the question
could not be answered, or not for all packages.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["Audited", "differing", "main", "pinned", "read_answer"]

FOUND, UNANSWERED = 1, 69  # 69 is EX_UNAVAILABLE of sysexits.h
TIMEOUT_S = 600
_ROOT = Path(__file__).resolve().parents[1]
_PIP_AUDIT = (sys.executable, "-m", "pip_audit")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Audited:
    """What the advisory service said.

    Parameters
    ----------
    asked, answered : int
        Packages asked about, and those it had an answer for.
    found : tuple of str
        One line a known vulnerability.
    why : str
        Why others were not answered; ``""`` where all were.
    """

    asked: int
    answered: int
    found: tuple[str, ...] = ()
    why: str = ""


def pinned(text: str) -> dict[str, str]:
    """Return the version by name of each requirement that holds on this machine.

    Examples
    --------
    >>> pinned("six==1.17.0 --hash=sha256:0\\nwin==1 ; sys_platform == 'never' --hash=sha256:0")
    {'six': '1.17.0'}
    """
    found: dict[str, str] = {}
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        bare = line.partition(" --hash=")[0].strip()
        if not bare or bare.startswith("#"):
            continue
        requirement = Requirement(bare)
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def differing(pins: dict[str, str], version_of: Callable[[str], str] = metadata.version) -> list[str]:
    """Return one line for each package that is installed in another version than was pinned, or not at all."""
    lines = []
    for name, version in sorted(pins.items()):
        try:
            installed = version_of(name)
        except metadata.PackageNotFoundError:
            lines.append(f"{name}: {version} is pinned, not installed")
            continue
        if installed != version:
            lines.append(f"{name}: {version} is pinned, {installed} is installed")
    return lines


def read_answer(stdout: str, stderr: str) -> Audited:
    """Return what pip-audit's JSON says; where it wrote none, why."""
    try:
        told: list[dict[str, Any]] = json.loads(stdout)["dependencies"]
        answered = [item for item in told if "vulns" in item]
        found = tuple(_line(item, vulnerability) for item in answered for vulnerability in item["vulns"])
        reasons = [str(item.get("skip_reason", "no answer")) for item in told if "vulns" not in item]
    except (ValueError, KeyError, TypeError):
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        return Audited(0, 0, why=(lines[-1] if lines else "pip-audit said nothing")[:300])
    return Audited(len(told), len(answered), found, reasons[0][:300] if reasons else "")


def _line(item: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixes = ", ".join(vulnerability.get("fix_versions") or []) or "none yet"
    return f"{item['name']} {item['version']}: {vulnerability['id']} (mended in: {fixes})"


def _ask(program: Sequence[str], requirements: Path) -> Audited:
    options = ("--disable-pip", "--require-hashes", "--format", "json", "--desc", "off", "--progress-spinner", "off")
    try:
        ran = subprocess.run(
            [*program, *options, "-r", str(requirements)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Audited(0, 0, why=f"no answer within {TIMEOUT_S} s")
    except OSError as error:
        return Audited(0, 0, why=f"{program[0]} cannot be run ({error.strerror})")
    return read_answer(ran.stdout, ran.stderr)


def _verdict(audited: Audited) -> tuple[str, int]:
    if audited.found:
        return f"{len(audited.found)} known vulnerabilities", FOUND
    if not audited.asked or audited.answered < audited.asked:
        part = f"{audited.asked - audited.answered} of {audited.asked} packages " if audited.answered else ""
        return f"{part}could not be audited: {audited.why or 'nothing was asked about'}", UNANSWERED
    return f"none known in {audited.answered} packages", 0


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, ask, say what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make audit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requirements", type=Path, default=_ROOT / "requirements.txt", metavar="FILE")
    parser.add_argument("--program", nargs="+", default=_PIP_AUDIT, metavar="WORD", help="what to ask (pip-audit)")
    asked = parser.parse_args(argv)
    try:
        different = differing(pinned(asked.requirements.read_text(encoding="utf-8")))
    except (OSError, InvalidRequirement) as error:
        print(f"could not be audited: {asked.requirements}: {error}")
        return UNANSWERED
    for line in different[:_SHOWN]:
        print(line)
    more = f" ({len(different) - _SHOWN} more than shown)" if len(different) > _SHOWN else ""
    print(f"installed: {f'{len(different)} packages differ from the pins{more}' if different else 'what was pinned'}")
    audited = _ask(asked.program, asked.requirements)
    for line in audited.found:
        print(line)
    told, code = _verdict(audited)
    print(f"vulnerabilities: {told}")
    return FOUND if different and code != FOUND else code


if __name__ == "__main__":
    sys.exit(main())
