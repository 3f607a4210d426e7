"""The watchdog: a thread that ends the process when the engine stands still, so that a supervisor starts it anew.

The law: only the machine's monotonic clock counts, and whatever hangs (the event loop, the log, the database) cannot
keep the watchdog from ending the process: what was committed survives that.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import tempfile
import threading
from collections.abc import Callable

from core.clock import monotonic_s
from core.errors import WATCHDOG_EXIT

__all__ = ["TAPE_PATIENCE", "Watchdog"]

TAPE_PATIENCE = 10
"""A step of a tape may be long, and the first ones wait for a model: its limit is this many times the live one."""

LOOKS = 6  # within one limit
LAST_WORDS_S = 5.0  # for the log: whoever hangs may be holding it
_STILL = 5  # looks; a thread kept from looking for longer than this was asleep with the whole process
_NATIVE_FACTOR, _NATIVE_S = 2, 60.0  # later than the thread, so that the thread speaks first
_TELL_ANEW_S = 1.0
_STDERR = 2  # its number: sys.stderr may be anything by then


class Watchdog:
    """Ends the process when `beat` was not called for too long.

    Parameters
    ----------
    limit_s : float
        Seconds without a beat that are too many; 0 = never.
    log : logging.Logger
    leave : callable, optional
        Ends the process with an exit code, at once.
    read_s : callable, optional
        A clock that only goes forward, seconds.

    Notes
    -----
    A process that was stopped as a whole (SIGSTOP, a paused machine, a laptop asleep where the monotonic clock goes on)
    is not blamed: the thread notices that it was kept from looking, too, and begins to count anew.

    A loop in native code that never lets Python go on would stop this thread as well. Behind twice the limit and a
    minute, faulthandler's own thread, which needs no interpreter, ends the process; with exit code 1, its only one.
    """

    def __init__(
        self,
        limit_s: float,
        log: logging.Logger,
        leave: Callable[[int], object] = os._exit,
        read_s: Callable[[], float] = monotonic_s,
    ) -> None:
        self.limit_s = limit_s
        self._log, self._leave, self._read_s = log, leave, read_s
        self._beat_s = self._native_s = read_s()
        self._until_s: float | None = None
        self._until_code = WATCHDOG_EXIT
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch; the first limit counts from here."""
        if self._thread is not None:
            return
        self.beat()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        self._arm_native()

    def beat(self) -> None:
        """Say that the engine goes on."""
        self._beat_s = self._read_s()
        if self._beat_s - self._native_s >= _TELL_ANEW_S:
            self._arm_native()

    def expect_end(self, within_s: float, code: int = WATCHDOG_EXIT) -> None:
        """Say that the process is to end: it is ended when it has not by then.

        Parameters
        ----------
        within_s : float
            Seconds from now on; asked again, the earlier moment counts.
        code : int
            What it is ended with; 0 where all that was to be done is done, and only a thread may be left behind.
        """
        until_s = self._read_s() + within_s
        self._until_s = until_s if self._until_s is None else min(self._until_s, until_s)
        self._until_code = code

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
            self._thread = None
            if _has_native():
                faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        looked_s = self._read_s()
        while not self._over.wait(self._pause_s()):
            now_s, pause_s = self._read_s(), self._pause_s()
            if now_s - looked_s > _STILL * pause_s:
                self._beat_s += now_s - looked_s
                if self._until_s is not None:
                    self._until_s += now_s - looked_s
            looked_s = now_s
            if self._until_s is not None and now_s > self._until_s:
                self._end("it was asked to end and did not", self._until_code)
            elif self.limit_s and now_s - self._beat_s > self.limit_s:
                why = f"no cycle has finished for {now_s - self._beat_s:.0f} s (limit {self.limit_s:g} s)"
                self._end(why, WATCHDOG_EXIT)

    def _pause_s(self) -> float:
        longest = self.limit_s / LOOKS if self.limit_s else 1.0
        return min(1.0, longest)

    def _end(self, why: str, code: int) -> None:
        """Say why, with what every thread was doing, and end the process; nothing here may wait for the hung."""
        if code:
            told = threading.Thread(target=self._last_words, args=(why, code), daemon=True)
            told.start()
            told.join(LAST_WORDS_S)
            if told.is_alive():  # somebody holds the log: past it, as it stands
                with contextlib.suppress(OSError, ValueError):
                    os.write(_STDERR, f"watchdog: {why}; the process ends with exit code {code}\n".encode())
                    faulthandler.dump_traceback(_STDERR)
        self._over.set()
        self._leave(code)

    def _last_words(self, why: str, code: int) -> None:
        self._log.critical("watchdog: %s; the process ends with exit code %d", why, code)
        for line in _stacks():
            self._log.critical("watchdog: %s", line)
        for handler in logging.getLogger().handlers:
            with contextlib.suppress(OSError, ValueError):
                handler.flush()

    def _arm_native(self) -> None:
        self._native_s = self._beat_s
        if self.limit_s and self._thread is not None and _has_native():
            with contextlib.suppress(RuntimeError, OSError):
                later_s = _NATIVE_FACTOR * self.limit_s + _NATIVE_S
                faulthandler.dump_traceback_later(later_s, exit=True, file=_STDERR)


def _has_native() -> bool:
    """Say whether faulthandler may end the process: not on Windows, whose sleep its timer does not know of."""
    return os.name != "nt"


def _stacks() -> list[str]:
    """Return what every thread is doing, line by line."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
