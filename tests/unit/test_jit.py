"""Compiled kernels are kept in a folder named after the text they were compiled from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core import jit


@pytest.fixture
def core(tmp_path: Path) -> Path:
    for shelf in ("indicators", "execution", "setups", "adapters/markets"):
        (tmp_path / shelf).mkdir(parents=True)
    (tmp_path / "indicators" / "one.py").write_text("CALLS = 'two'\n")
    (tmp_path / "execution" / "two.py").write_text("STEP = 1\n")
    return tmp_path


def test_the_same_text_keeps_its_folder_and_what_is_in_it(core: Path) -> None:
    first = jit._cache_folder(core)
    assert first is not None
    (first / "kernel.nbi").touch()
    assert jit._cache_folder(core) == first and (first / "kernel.nbi").exists()


def test_a_change_of_any_kernel_changes_the_folder_of_all_and_removes_the_old_one(core: Path) -> None:
    first = jit._cache_folder(core)
    (core / "execution" / "two.py").write_text("STEP = 2\n")
    second = jit._cache_folder(core)
    assert first is not None and second is not None and second != first
    assert second.is_dir() and not first.exists()


def test_moving_text_from_one_file_to_another_changes_the_folder(core: Path) -> None:
    first = jit._cache_folder(core)
    (core / "execution" / "two.py").rename(core / "execution" / "three.py")
    assert jit._cache_folder(core) != first


def test_other_compiled_files_beside_it_are_left_alone(core: Path) -> None:
    (core / "__pycache__").mkdir()
    (core / "__pycache__" / "jit.pyc").touch()
    jit._cache_folder(core)
    assert (core / "__pycache__" / "jit.pyc").exists()


def test_where_nothing_can_be_written_numba_finds_a_place_of_its_own(core: Path) -> None:
    (core / "__pycache__").write_text("a file where the folder would be")
    assert jit._cache_folder(core) is None


def test_the_first_kernel_of_a_process_does_not_load_the_linear_algebra_of_scipy_and_leaves_it_usable() -> None:
    code = (
        "import sys, numpy as np\n"
        "from core.indicators.volatility import wilder_atr\n"
        "wilder_atr(np.ones(20), np.ones(20), np.ones(20), 14)\n"
        "assert 'scipy.linalg' not in sys.modules\n"
        "import scipy.linalg.cython_blas\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(jit.__file__).parents[1])
