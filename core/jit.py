"""Compiled kernels: numba's `njit`, with a cache that follows the source.

The law: a kernel compiled from other text than today's is never loaded. Numba looks only at the file a
kernel stands in, not at the kernels it calls; so the cache's folder is named after the text of them all.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba

__all__ = ["inlined", "njit"]

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_SHELVES = ("indicators", "execution", "setups", "adapters/markets")


def njit(kernel: Kernel) -> Kernel:
    """Compile a function on its first call and keep the result on disk; ``.py_func`` is its plain text."""
    compiled: Kernel = numba.njit(cache=True, nogil=True)(kernel)
    return compiled


def inlined(kernel: Kernel) -> Kernel:
    """Compile a function as a part of those that call it; ``.py_func`` is its plain text.

    A compiled function counts a reference for every array it is handed, and gives it back, which for one that is
    called once a trade takes as long as its work. What is written into its caller is handed nothing.
    """
    compiled: Kernel = numba.njit(nogil=True, inline="always")(kernel)
    return compiled


def _cache_folder(core: Path) -> Path | None:
    """Return the folder for today's text, without those of other days; None where it cannot be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    digest.update(Path(__file__).read_bytes())  # how kernels are compiled
    for shelf in _SHELVES:
        for path in sorted((core / shelf).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    home = core / "__pycache__"
    folder = home / f"kernels-{digest.hexdigest()[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None  # read-only installation: numba has a place of its own for that
    for other in home.glob("kernels-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _go_without_blas() -> None:
    """Keep numba from loading SciPy's linear algebra with the first kernel, which costs a start 0.15 s and 15 MB.

    No kernel multiplies matrices. Everybody else still finds SciPy as it is.
    """
    name = "scipy.linalg.cython_blas"
    if name in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]  # the way to say that an import is to fail
    try:
        importlib.import_module("numba.np.arraymath")  # asks for it once, and takes no for an answer
    finally:
        del sys.modules[name]


_go_without_blas()
_folder = _cache_folder(Path(__file__).parent)
if _folder is not None:
    numba.config.CACHE_DIR = str(_folder)
