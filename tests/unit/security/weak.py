"""Run a program that the rights of files bind, also where the tests run as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["can_be_bound", "run_bound"]

ROOT = Path(__file__).resolve().parents[3]
_DROP = 24  # prctl's PR_CAPBSET_DROP
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: what lets root read and write everything


def _bind() -> None:
    libc = ctypes.CDLL(None)
    for capability in _OVERRIDES:
        if libc.prctl(_DROP, capability, 0, 0, 0):
            os._exit(99)


def can_be_bound() -> bool:
    """Say whether this machine has rights that bind, and a way to be bound by them."""
    if os.name == "nt":
        return False
    if os.geteuid() != 0:
        return True
    if not sys.platform.startswith("linux"):
        return False
    return subprocess.run(["/bin/true"], preexec_fn=_bind, check=False).returncode == 0


def run_bound(code: str, *arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python text with the repository on its path."""
    options: dict[str, Any] = {"preexec_fn": _bind} if os.geteuid() == 0 else {}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )
