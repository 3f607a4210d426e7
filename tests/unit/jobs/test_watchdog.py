"""The watchdog: it ends a process that stands still, whatever hangs, and blames none that was stopped as a whole."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from core.errors import WATCHDOG_EXIT
from core.jobs._watchdog import Watchdog
from tests.engine import ROOT


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


class Leaving:
    """Notes with what a process would have been ended."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.left = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self.left.set()


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[Watchdog, Leaving]]]:
    made: list[Watchdog] = []

    def start(limit_s: float, clock: Callable[[], float] = time.monotonic) -> tuple[Watchdog, Leaving]:
        leaving = Leaving()
        made.append(Watchdog(limit_s, logging.getLogger("test"), leaving, clock))
        made[-1].start()
        return made[-1], leaving

    yield start
    for one in made:
        one.stop()


def test_without_a_beat_the_process_is_ended_and_every_thread_s_stack_is_logged(
    started: Callable[..., tuple[Watchdog, Leaving]], caplog: pytest.LogCaptureFixture
) -> None:
    _, leaving = started(0.3)
    assert leaving.left.wait(10) and leaving.codes == [WATCHDOG_EXIT] == [70]
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("watchdog: no cycle has finished for")
    assert told[0].endswith("the process ends with exit code 70")
    assert any("test_watchdog.py" in line for line in told[1:]) and any("Thread 0x" in line for line in told)
    assert all("\n" not in line for line in told)


def test_with_beats_it_goes_on(started: Callable[..., tuple[Watchdog, Leaving]]) -> None:
    clock = Clock()
    dog, leaving = started(0.5, clock)
    for _ in range(60):
        clock.s += 0.4
        dog.beat()
        time.sleep(0.02)
    assert leaving.codes == []


def test_a_limit_of_zero_never_ends_it(started: Callable[..., tuple[Watchdog, Leaving]]) -> None:
    clock = Clock()
    dog, leaving = started(0.0, clock)
    clock.s += 1e6
    dog.beat()
    assert not leaving.left.wait(1.5)


def test_one_that_was_asked_to_end_is_ended_when_it_does_not(
    started: Callable[..., tuple[Watchdog, Leaving]], caplog: pytest.LogCaptureFixture
) -> None:
    dog, leaving = started(0.0)
    dog.expect_end(0.1)
    assert leaving.left.wait(10) and leaving.codes == [70]
    assert "it was asked to end and did not" in caplog.text


def test_one_that_is_done_and_lingers_is_ended_with_zero_and_without_a_word(
    started: Callable[..., tuple[Watchdog, Leaving]], caplog: pytest.LogCaptureFixture
) -> None:
    dog, leaving = started(60.0)
    dog.expect_end(0.1, code=0)
    assert leaving.left.wait(10) and leaving.codes == [0] and not caplog.records


def test_a_process_that_was_stopped_as_a_whole_is_not_blamed(
    started: Callable[..., tuple[Watchdog, Leaving]],
) -> None:
    clock = Clock()
    _, leaving = started(1.2, clock)
    clock.s += 3_600.0  # between two looks: the thread was kept from looking, too
    assert not leaving.left.wait(1.0)
    for _ in range(40):  # from then on it counts anew
        clock.s += 0.1
        if leaving.left.wait(0.1):
            break
    assert leaving.codes == [70] and clock.s > 4_601.0


def test_somebody_who_holds_the_log_keeps_nothing_from_ending(
    started: Callable[..., tuple[Watchdog, Leaving]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("core.jobs._watchdog.LAST_WORDS_S", 0.2)
    held = threading.Event()

    class Holding(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            held.wait(30)

    log = logging.getLogger("test")
    handler = Holding()
    log.addHandler(handler)
    try:
        _, leaving = started(0.2)
        assert leaving.left.wait(10) and leaving.codes == [70]
        assert "watchdog: no cycle has finished for" in capfd.readouterr().err
    finally:
        held.set()
        log.removeHandler(handler)


def child(body: str) -> subprocess.CompletedProcess[str]:
    script = "import asyncio, logging, os, sys, time\nfrom core.jobs._watchdog import Watchdog\n" + textwrap.dedent(
        body
    )
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_process_with_a_blocked_loop_ends_with_70_within_its_limit() -> None:
    done = child(
        """
        logging.basicConfig()
        async def main():
            dog = Watchdog(1.0, logging.getLogger("trader"))
            dog.start()
            for _ in range(5):
                dog.beat()
                await asyncio.sleep(0.05)
            print(time.monotonic(), flush=True)
            time.sleep(60)
        asyncio.run(main())
        """
    )
    assert done.returncode == 70
    assert "no cycle has finished for" in done.stderr and "in main" in done.stderr


def test_a_loop_that_waits_for_ever_is_no_life_either() -> None:
    done = child(
        """
        logging.basicConfig()
        async def main():
            Watchdog(1.0, logging.getLogger("trader")).start()
            await asyncio.Event().wait()
        asyncio.run(main())
        """
    )
    assert done.returncode == 70


@pytest.mark.skipif(sys.platform == "win32", reason="its timer does not know of sleep there, and is not used")
def test_native_code_that_never_lets_go_is_ended_by_a_thread_that_needs_no_interpreter() -> None:
    done = child(
        """
        from core.jobs import _watchdog
        _watchdog._NATIVE_FACTOR, _watchdog._NATIVE_S = 1, 0.5
        Watchdog(0.5, logging.getLogger("trader")).start()
        import ctypes
        ctypes.PyDLL(None).sleep(30)  # holds the interpreter's lock all the while
        """
    )
    assert done.returncode == 1 and "Timeout" in done.stderr
