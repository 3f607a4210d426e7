"""Who computes: this process, processes beside it, or the workers of a Dask cluster.

The law: results come back in the order of the tasks, whoever was first, and only so many tasks are under way that
memory does not grow with their number.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol, TypeVar

from core.errors import ConfigError, TraderError

__all__ = ["Workers", "alone", "begin_process", "dask_cluster", "in_order", "processes"]

Task = TypeVar("Task")
Result = TypeVar("Result")
Label = TypeVar("Label")

AHEAD = 2  # tasks under way for each worker: one being computed, one waiting at its door
_ANSWER_S = 20.0

_RESUME = "what was committed stays, the same command goes on from there"


class Workers(Protocol):
    """Somebody who computes."""

    count: int

    def submit(self, function: Callable[[Task], Result], task: Task) -> Callable[[], Result]:
        """Hand in a task; return what waits for its result."""
        ...


def in_order(
    workers: Workers, function: Callable[[Task], Result], tasks: Iterable[tuple[Label, Task]]
) -> Iterator[tuple[Label, Result]]:
    """Yield each task's label and result, in the order of the tasks.

    Parameters
    ----------
    workers : Workers
    function : callable
        One that another process can import.
    tasks : iterable of (label, task)
        Taken from only as far as there are places; made in this process, so a task may be read from a database.

    Raises
    ------
    TraderError
        A worker ended, or what the function raises.
    """
    under_way: deque[tuple[Label, Callable[[], Result]]] = deque()
    for label, task in tasks:
        under_way.append((label, workers.submit(function, task)))
        del task  # what a worker has need not be kept here as well
        if len(under_way) >= AHEAD * workers.count:
            label, result = under_way.popleft()
            yield label, result()
    for label, result in under_way:
        yield label, result()


class _Alone:
    """This process: a task is computed when it is handed in, one at a time."""

    count = 0

    def submit(self, function: Callable[[Task], Result], task: Task) -> Callable[[], Result]:
        result = function(task)
        return lambda: result


@contextlib.contextmanager
def alone() -> Iterator[Workers]:
    """Compute in this process."""
    yield _Alone()


class _Processes:
    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self.pool, self.count = pool, count

    def submit(self, function: Callable[[Task], Result], task: Task) -> Callable[[], Result]:
        with _process_ended():
            return partial(self._result, self.pool.submit(function, task))

    @staticmethod
    def _result(future: Future[Result]) -> Result:
        with _process_ended():
            return future.result()


@contextlib.contextmanager
def _process_ended() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise TraderError(
            f"a worker process ended before its work was done (killed, or out of memory?); {_RESUME}; "
            "fewer processes (--jobs) need less memory"
        ) from error


@contextlib.contextmanager
def processes(count: int, *modules: str) -> Iterator[Workers]:
    """Compute in processes of this machine, begun afresh: nothing that is open here is open there.

    Parameters
    ----------
    count : int
        Processes at once.
    *modules : str
        What they import before their first task.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, initializer=begin_process, initargs=modules)
    try:
        yield _Processes(pool, count)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def begin_process(*modules: str) -> None:
    """Leave Ctrl-C to the parent, and end when it has ended, however it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # as `core.cli` does while it imports
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class _Cluster:
    def __init__(self, client: Any, count: int) -> None:
        self.client, self.count = client, count

    def submit(self, function: Callable[[Task], Result], task: Task) -> Callable[[], Result]:
        with _cluster_failed():
            # Put with a worker first: a task of megabytes does not belong into the scheduler's own messages.
            data = self.client.scatter(task, hash=False)
            future = self.client.submit(_same_engine, engine_digest(), function, data, pure=False)
        return partial(self._result, future)

    @staticmethod
    def _result(future: Any) -> Any:
        with _cluster_failed():
            result = future.result()
            future.release()
            return result


def _same_engine(digest: str, function: Callable[[Task], Result], task: Task) -> Result:
    if digest != engine_digest():
        raise TraderError(
            "a worker of the Dask cluster runs another version of this engine; install the same one there"
        )
    return function(task)


@cache
def engine_digest() -> str:
    """Return what tells this engine's program text from that of another version."""
    home = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _cluster_failed() -> Iterator[None]:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (KilledWorker, CommClosedError, CancelledError, FutureCancelledError) as error:
        raise TraderError(f"the Dask cluster gave up ({type(error).__name__}); {_RESUME}") from error


@contextlib.contextmanager
def dask_cluster(address: str, count: int) -> Iterator[Workers]:
    """Compute on a Dask cluster.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://10.0.0.5:8786``; ``""`` makes one of this machine.
    count : int
        Processes of the one that is made here.

    Raises
    ------
    ConfigError
        Dask is not installed.
    TraderError
        Nobody answers there, or it has no workers.
    """
    try:
        importlib.import_module("distributed")
    except ImportError as error:
        raise ConfigError("compute.backend dask: Dask is not installed; `pip install dask distributed`") from error
    # It reports each step of its own in the log; what matters arrives as an error.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as opened:
        try:
            client = opened.enter_context(_connected(address or opened.enter_context(_cluster_here(count))))
            client.wait_for_workers(1, timeout=_ANSWER_S)
        except (OSError, ValueError) as error:
            raise TraderError(f"Dask cluster {address or 'of this machine'}: {_line(error)}") from error
        yield _Cluster(client, sum(client.nthreads().values()))


def _cluster_here(count: int) -> Any:
    distributed: Any = importlib.import_module("distributed")
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def _connected(where: Any) -> Any:
    distributed: Any = importlib.import_module("distributed")
    return distributed.Client(where, timeout=_ANSWER_S, set_as_default=False)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or "did not answer"
