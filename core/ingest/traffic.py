"""How an exchange answers, as counts a cycle writes down and a reader adds up.

The law: what is written is text of bounded length in the run's own row, so there is nothing to keep and nothing to
clean up; what a row does not tell counts as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.ports import Traffic

__all__ = ["counts_of", "error_rate", "mean_answer_ms", "read_traffic"]

_COUNTED = re.compile(r"\b(requests|failures|answer_ms|slowest_ms) (\d+)\b")


def counts_of(traffic: Traffic) -> dict[str, int]:
    """Return what a report says of a cycle's traffic.

    Examples
    --------
    >>> counts_of(Traffic(requests=4, failures=1, waited_ms=420, slowest_ms=200))
    {'requests': 4, 'failures': 1, 'answer_ms': 105, 'slowest_ms': 200}
    """
    mean_ms = mean_answer_ms(traffic)
    return {
        "requests": traffic.requests,
        "failures": traffic.failures,
        "answer_ms": 0 if mean_ms is None else round(mean_ms),
        "slowest_ms": traffic.slowest_ms,
    }


def read_traffic(details: Iterable[str]) -> Traffic:
    """Add up what reports of `incremental_sync` say, as they stand in `job_runs.detail`.

    Parameters
    ----------
    details : iterable of str
        Such as ``"sync: candles 3, requests 4, failures 1, answer_ms 105, slowest_ms 200"``.

    Examples
    --------
    >>> told = "sync: candles 3, requests 4, failures 1, answer_ms 105, slowest_ms 200"
    >>> read_traffic([told, "sync: nothing to do"])
    Traffic(requests=4, failures=1, waited_ms=420, slowest_ms=200)
    """
    requests = failures = waited_ms = slowest_ms = 0
    for detail in details:
        # Problems follow the first semicolon, and may quote anything.
        told = {name: int(count) for name, count in _COUNTED.findall(detail.partition(";")[0])}
        requests += told.get("requests", 0)
        failures += told.get("failures", 0)
        waited_ms += told.get("requests", 0) * told.get("answer_ms", 0)
        slowest_ms = max(slowest_ms, told.get("slowest_ms", 0))
    return Traffic(requests, failures, waited_ms, slowest_ms)


def error_rate(traffic: Traffic) -> float | None:
    """Return the share of requests that failed; None where there was none.

    Examples
    --------
    >>> error_rate(Traffic(requests=4, failures=1))
    0.25
    """
    return traffic.failures / traffic.requests if traffic.requests else None


def mean_answer_ms(traffic: Traffic) -> float | None:
    """Return how long an answer, or its failure, took on average, milliseconds; None where nothing was asked."""
    return traffic.waited_ms / traffic.requests if traffic.requests else None
