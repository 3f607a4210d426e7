"""Asks an address that watches over the engine (healthchecks.io and its like): silence there is an alarm.

The law: whoever pings never waits and never fails for it; one request at a time, and what goes wrong is logged once
until it goes well again. The address holds a token and appears in no text.
"""

from __future__ import annotations

import logging
import threading

__all__ = ["Pinger"]

TIMEOUT_S = 5.0


class Pinger:
    """Sends one GET at a time from a thread of its own.

    Parameters
    ----------
    log : logging.Logger
    timeout_s : float
        For each step of a request.
    """

    def __init__(self, log: logging.Logger, timeout_s: float = TIMEOUT_S) -> None:
        self._log = log
        self._timeout_s = timeout_s
        self._asking: threading.Thread | None = None
        self._failed = False

    def __call__(self, url: str, is_well: bool) -> None:
        """Ask the address, with ``/fail`` behind it where all is not well; left out while the last one is under way.

        Parameters
        ----------
        url : str
            http or https.
        is_well : bool
        """
        if self._asking is not None and self._asking.is_alive():
            return
        asked = url if is_well else f"{url.rstrip('/')}/fail"
        # A daemon: an end of the process does not wait for a server.
        self._asking = threading.Thread(target=self._ask, args=(asked,), name="ping", daemon=True)
        self._asking.start()

    def wait(self, seconds: float) -> None:
        """Wait for the request under way, for so long at most."""
        if self._asking is not None:
            self._asking.join(seconds)

    def _ask(self, url: str) -> None:
        import httpx

        try:
            answer = httpx.get(url, timeout=self._timeout_s, follow_redirects=False)
            problem = "" if answer.is_success else f"status {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = type(error).__name__  # its text may hold the address
        if problem and not self._failed:
            self._log.warning("app.ping_url: not reached (%s); said once, tried again after each cycle", problem)
        elif self._failed and not problem:
            self._log.info("app.ping_url: reached again")
        self._failed = bool(problem)
