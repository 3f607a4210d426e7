"""A process that works on the database alone starts without Arrow, and makes the same frames."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd

from core import arrowless
from core.schema import SIGNALS, empty_frame

ROOT = Path(arrowless.__file__).parents[1]


def answered(code: str) -> bytes:
    return subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True).stdout


def test_a_retro_scan_loads_no_arrow_and_leaves_it_to_whoever_asks_for_it() -> None:
    code = (
        "import sys, core.cli.retro\n"
        "assert 'pandas' in sys.modules and 'pyarrow' not in sys.modules\n"
        "import pyarrow.parquet\n"
        "print(pyarrow.array([1, 2]).sum())\n"
    )
    assert answered(code).strip() == b"3"


def test_pandas_that_is_there_already_stays_as_it_is() -> None:
    answered("import pandas, pyarrow, sys, core.arrowless\nassert sys.modules['pyarrow'] is pyarrow\n")


def test_a_frame_made_without_arrow_is_read_with_it() -> None:
    code = (
        "import core.arrowless, pickle, sys\n"
        "from core.schema import SIGNALS, empty_frame\n"
        "frame = empty_frame(SIGNALS).reindex([0]).assign(key='one')\n"
        "sys.stdout.buffer.write(pickle.dumps(frame))\n"
    )
    expected = empty_frame(SIGNALS).reindex([0]).assign(key="one")
    pd.testing.assert_frame_equal(pickle.loads(answered(code)), expected)


def test_a_frame_made_with_arrow_at_hand_is_read_without_it(tmp_path: Path) -> None:
    path = tmp_path / "frame.pickle"
    path.write_bytes(pickle.dumps(empty_frame(SIGNALS).reindex([0]).assign(key="one")))
    code = f"import core.arrowless, pickle\nprint(pickle.load(open({str(path)!r}, 'rb'))['key'][0])\n"
    assert answered(code).strip() == b"one"
