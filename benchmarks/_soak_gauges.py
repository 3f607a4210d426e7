"""What a long run is measured by: memory, descriptors, threads, files, and the slope of a figure over time.

The law: a slope is the median over all pairs of samples, so that a single peak does not decide it; what the system
does not tell is None and is never judged.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

__all__ = ["descriptors", "file_bytes", "quantiles", "resident_bytes", "slope", "threads"]

_MOST_PAIRS_FROM = 1_500  # samples; more are thinned evenly, which leaves the slope as it is


def slope(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return the median slope over all pairs of samples (Theil and Sen); None for fewer than two places.

    Parameters
    ----------
    x, y : sequence of float
        Of one length.

    References
    ----------
    Sen, P. K. (1968). Estimates of the regression coefficient based on Kendall's tau. JASA 63, 1379-1389.

    Examples
    --------
    >>> slope([0, 1, 2, 3], [5, 7, 900, 11])
    2.0
    """
    step = -(-len(x) // _MOST_PAIRS_FROM) or 1
    at, value = np.asarray(x, dtype=np.float64)[::step], np.asarray(y, dtype=np.float64)[::step]
    one, other = np.triu_indices(len(at), 1)
    apart = at[other] - at[one]
    told = apart != 0
    if not told.any():
        return None
    return float(np.median((value[other] - value[one])[told] / apart[told]))


def quantiles(samples: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile, the largest and the count of samples; nothing of none.

    Examples
    --------
    >>> quantiles([3.0, 1.0, 2.0])["p50"]
    2.0
    """
    if not len(samples):
        return {}
    values = np.asarray(samples, dtype=np.float64)
    p50, p99 = np.quantile(values, [0.5, 0.99], method="higher")
    return {"p50": float(p50), "p99": float(p99), "max": float(values.max()), "n": len(values)}


def resident_bytes() -> int | None:
    """Return the memory this process holds now; None where the system does not tell."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "win32":
        return None
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=False)
    return int(told.stdout) * 1024 if told.stdout.strip().isdecimal() else None


def descriptors() -> int | None:
    """Return how many files, sockets and pipes this process holds open; None where the system does not tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        if Path(folder).is_dir():
            return len(os.listdir(folder)) - 1  # noqa: PTH208  the one that lists does not count
    return None


def threads() -> int:
    """Return how many threads this process runs: all of them where the system tells, else Python's."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def file_bytes(path: Path) -> int:
    """Return the size of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
