"""What stands between ccxt and the house: pacing, counting, asking again, and its errors in our words.

The law: pacing runs on the monotonic clock, so a wall clock that steps back an hour stops nothing; and a vendor's
exception ends here, said in one line.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from core.clock import monotonic_s, wall_now_ms
from core.errors import CredentialsError, MarketError, MarketUnavailable, TraderError, UnknownSymbol
from core.ports import Traffic

__all__ = ["LAST_TRIP", "PATIENCE_S", "Pace", "Tally", "listen", "moved", "translate", "vendor_errors"]

PATIENCE_S = 20.0
"""Longest pause an exchange may ask for that is waited out; a longer one is reported and the cycle goes on."""

LAST_TRIP: ContextVar[tuple[float, float]] = ContextVar("LAST_TRIP")
"""Monotonic seconds at which a task's last request was sent and answered, without the wait for its turn."""

_ATTEMPTS = 3
_LONGEST_PAUSE_S = 8.0
_BANNED = 418
_ASKED_TO_WAIT = frozenset({_BANNED, 429, 503})
# An address that is banned asks nothing until the next cycle, where the exchange does not say how long it lasts.
_BAN_S = 30.0
# No header is believed that would silence the engine for longer: it asks again, and is told again.
_LONGEST_QUIET_S = 3_600.0
_TEXT_LENGTH = 200


class Pace:
    """One rate limiter for everything asked of an exchange, first come, first served.

    ccxt's own limiter counts on the wall clock and sleeps an hour when that steps back an hour; this one takes
    ccxt's weight of each request and counts on the monotonic clock.

    Parameters
    ----------
    step_s : float
        Seconds between two requests of weight 1.
    """

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._free_s = 0.0
        self._quiet_until_s = 0.0

    def quiet_s(self) -> float:
        """Return the seconds the exchange still wants to be left alone."""
        return max(0.0, self._quiet_until_s - monotonic_s())

    def be_quiet(self, seconds: float) -> None:
        """Ask nothing for a while, at most an hour."""
        self._quiet_until_s = max(self._quiet_until_s, monotonic_s() + min(seconds, _LONGEST_QUIET_S))

    async def turn(self, cost: float | None = None) -> None:
        """Wait for one's turn.

        Raises
        ------
        MarketUnavailable
            The exchange wants to be left alone for longer than anyone should wait.
        """
        quiet = self.quiet_s()
        if quiet > PATIENCE_S:
            raise MarketUnavailable(f"the exchange asked for a pause of {quiet:.0f} s", retry_after_s=quiet)
        now = monotonic_s()
        at = max(now + quiet, self._free_s)
        self._free_s = at + (1.0 if cost is None else cost) * self._step_s
        if at > now:
            await asyncio.sleep(at - now)


class Tally:
    """Counts what is asked until somebody asks for the counts."""

    def __init__(self) -> None:
        self._counts = Traffic()

    def add(self, seconds: float, is_answered: bool) -> None:
        """Count a request."""
        told, took_ms = self._counts, round(seconds * 1000)
        self._counts = Traffic(
            told.requests + 1,
            told.failures + (not is_answered),
            told.waited_ms + took_ms,
            max(told.slowest_ms, took_ms),
        )

    def take(self) -> Traffic:
        """Return the counts, and begin anew."""
        counts, self._counts = self._counts, Traffic()
        return counts


def listen(client: Any, pace: Pace, backoff_s: float, tally: Tally | None = None) -> None:
    """Have a ccxt client pace itself by `pace`, notice what ccxt passes over, and ask again after a passing fault.

    ccxt answers a page of HTML, an empty and a truncated body under status 200 with an empty list and no error, and
    reads no ``Retry-After``. Each request is repeated on its own: a list of markets is made of many.

    Parameters
    ----------
    client : object
        A ccxt client, changed in place.
    pace : Pace
    backoff_s : float
        First pause; it doubles, with jitter, and is never shorter than what the exchange asked for.
    tally : Tally, optional
        Counts every attempt.
    """
    import ccxt.async_support as vendor

    judge, send = client.handle_errors, client.fetch
    backoff = wait_exponential(multiplier=backoff_s, max=_LONGEST_PAUSE_S) + wait_random(0, backoff_s)

    def handle_errors(
        status: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, parsed: Any, *rest: Any
    ) -> Any:
        if status in _ASKED_TO_WAIT:
            asked_s = _retry_after_s(headers)
            pace.be_quiet(_BAN_S if status == _BANNED and not asked_s else asked_s)
        if status < 300 and parsed is None:
            start = " ".join((body or "").split())[:40]
            raise vendor.BadResponse(f"status {status} without JSON: '{start}'")
        return judge(status, reason, url, method, headers, body, parsed, *rest)

    def is_passing(error: BaseException) -> bool:
        if not isinstance(error, vendor_errors()) or pace.quiet_s() > PATIENCE_S:
            return False
        return isinstance(translate(error, "", pace), MarketUnavailable)

    async def timed(request: tuple[Any, ...]) -> Any:
        began_s, is_answered = monotonic_s(), False
        try:
            answer = await send(*request)
            is_answered = True
            return answer
        finally:  # what is cut short by a deadline counts too
            ended_s = monotonic_s()
            LAST_TRIP.set((began_s, ended_s))
            if tally is not None:
                tally.add(ended_s - began_s, is_answered)

    async def fetch(*request: Any) -> Any:
        asked = 0

        async def once() -> Any:
            nonlocal asked
            asked += 1
            if asked > 1:  # ccxt itself waited for the turn of the first
                await pace.turn()
            return await timed(request)

        return await AsyncRetrying(
            stop=stop_after_attempt(_ATTEMPTS),
            retry=retry_if_exception(is_passing),
            wait=lambda state: max(backoff(state), pace.quiet_s()),
            reraise=True,
        )(once)

    client.handle_errors, client.fetch, client.throttle = handle_errors, fetch, pace.turn


def moved(urls: Any, base_url: str) -> Any:
    """Point every address of ccxt's (nested) `urls` at another server, paths kept."""
    if isinstance(urls, dict):
        return {name: moved(url, base_url) for name, url in urls.items()}
    return re.sub(r"^\w+://[^/]+", base_url, urls) if isinstance(urls, str) else urls


def vendor_errors() -> tuple[type[Exception], ...]:
    """Return what a call of ccxt may raise: its own errors, the network's, and its parsers' on an answer of another
    shape than they expect."""
    import ccxt.async_support as vendor

    return (
        vendor.BaseError,
        OSError,
        TimeoutError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
    )


def translate(error: Exception, where: str, pace: Pace) -> TraderError:
    """Say one of `vendor_errors` in the house's words.

    Parameters
    ----------
    error : Exception
    where : str
        Exchange and what was asked, for the message.
    pace : Pace
        Knows whether the exchange asked for a pause.

    Returns
    -------
    TraderError

    Notes
    -----
    Everything is taken for passing but refused credentials, unknown symbols, bad arguments and what an exchange
    does not support: a server's fault with a JSON body arrives as a plain ``ExchangeError``.
    """
    import ccxt.async_support as vendor

    # ccxt names only the address it asked; why that could not be reached is one exception further down.
    said = f"{error} ({error.__cause__})" if isinstance(error, vendor.NetworkError) and error.__cause__ else str(error)
    text = f"{where}: {type(error).__name__}: {' '.join(said.split())}"
    text = text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 3] + "..."
    refused = (vendor.ArgumentsRequired, vendor.BadRequest, vendor.NotSupported, vendor.ExchangeClosedByUser)
    if isinstance(error, vendor.BadSymbol):
        return UnknownSymbol(text)
    if isinstance(error, vendor.AuthenticationError):
        return CredentialsError(text)
    if isinstance(error, refused):
        return MarketError(text)
    return MarketUnavailable(text, retry_after_s=pace.quiet_s() or None)


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Read ``Retry-After``, seconds or a date; 0 where there is none that can be read."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall_now_ms() / 1000)
    except ValueError:
        return 0.0
