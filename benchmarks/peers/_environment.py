"""An environment for each peer, made on demand.

The law: nothing of a peer is installed beside our own packages.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks._measure import ROOT

__all__ = ["python_of", "version_of"]

HOME = ROOT / ".venv-peers"


def python_of(package: str) -> str:
    """Return the path of a peer's interpreter, made or not."""
    return str(HOME / package / "bin" / "python")


def version_of(package: str) -> tuple[str, str]:
    """Make a peer's environment where there is none; return the version, or ``""`` and why there is none."""
    python = Path(python_of(package))
    if not python.exists():
        print(f"installing {package} from PyPI into {HOME.name}", file=sys.stderr, flush=True)
        made = _ran([sys.executable, "-m", "venv", str(HOME / package)])
        if made.returncode:
            return "", _reason(made)
    found = _version(python, package)
    if not found:
        installed = _ran([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])
        if installed.returncode:
            return "", _reason(installed)
        found = _version(python, package)
    return found, "" if found else "installed, but without a version"


def _version(python: Path, package: str) -> str:
    asked = _ran([str(python), "-c", f"import importlib.metadata as m; print(m.version({package!r}))"])
    return "" if asked.returncode else asked.stdout.strip()


def _ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _reason(ran: subprocess.CompletedProcess[str]) -> str:
    lines = (ran.stderr or ran.stdout).strip().splitlines()
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no reason given"])[-1][:300]
