"""What stands between ccxt and the house: pacing, the exchange's clock, and its errors in our words.

The law: pacing and time run on the monotonic clock, so a wall clock that steps back an hour stops nothing; and a
vendor's exception ends here, said in one line.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from core.clock import HOUR_MS, monotonic_s, wall_now_ms
from core.errors import CredentialsError, MarketError, MarketUnavailable, TraderError, UnknownSymbol

__all__ = ["PATIENCE_S", "ExchangeClock", "Pace", "listen", "moved", "translate", "vendor_errors"]

PATIENCE_S = 20.0
"""Longest pause an exchange may ask for that is waited out; a longer one is reported and the cycle goes on."""

_ATTEMPTS = 3
_LONGEST_PAUSE_S = 8.0
_ASKED_TO_WAIT = frozenset({418, 429, 503})
_STEP_MS = 1_000
_HOLD_MS = 5_000
_MEASURE_AGAIN_S = 60.0
_FIRST_AGAIN_S = 5.0
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
        """Ask nothing for a while."""
        self._quiet_until_s = max(self._quiet_until_s, monotonic_s() + seconds)

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


class ExchangeClock:
    """The exchange's time, carried on by the monotonic clock between two measurements.

    Until the first measurement it is the machine's wall clock. A measurement is due at the start, every hour, and
    when the wall clock was set or the machine slept, which shows as a difference between the two clocks.

    Parameters
    ----------
    wall_ms, ticks_s : callable
        The machine's clocks: wall time in ms, and seconds that only go forward.

    Attributes
    ----------
    is_measured : bool
        Whether the exchange ever told its time.
    """

    def __init__(self, wall_ms: Callable[[], int] = wall_now_ms, ticks_s: Callable[[], float] = monotonic_s) -> None:
        self._read_wall_ms, self._read_s = wall_ms, ticks_s
        self.is_measured = False
        self._not_before_s = float("-inf")
        self._last_ms = 0
        self._anchor(wall_ms())

    def now_ms(self) -> int:
        """Return the exchange's time, UTC milliseconds; small corrections never make it go back."""
        now = self._at_ms + round((self._read_s() - self._at_s) * 1000)
        if 0 < self._last_ms - now < _HOLD_MS:
            return self._last_ms
        self._last_ms = now
        return now

    def is_due(self) -> bool:
        """Say whether it is to be measured."""
        elapsed = (self._read_s() - self._at_s) * 1000
        has_stepped = abs(self._read_wall_ms() - self._wall_ms - elapsed) > _STEP_MS
        is_wanted = not self.is_measured or elapsed > HOUR_MS or has_stepped
        return is_wanted and self._read_s() >= self._not_before_s

    def is_surprising(self, told_ms: int) -> bool:
        """Say whether an exchange's answer is far enough from the estimate to be asked for twice."""
        return abs(told_ms - self.now_ms()) > _STEP_MS

    def set(self, told_ms: int) -> None:
        """Take over a measurement, made now."""
        self._anchor(told_ms)
        self.is_measured = True

    def set_to_wall(self) -> None:
        """Take the machine's time, for an exchange that does not tell its own."""
        self.set(self._read_wall_ms())

    def put_off(self) -> None:
        """Go on with the estimate for a while: the exchange did not say."""
        self._not_before_s = self._read_s() + (_MEASURE_AGAIN_S if self.is_measured else _FIRST_AGAIN_S)

    def _anchor(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._at_s = self._read_s()
        self._wall_ms = self._read_wall_ms()


def listen(client: Any, pace: Pace, backoff_s: float) -> None:
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
    """
    import ccxt.async_support as vendor

    judge, send = client.handle_errors, client.fetch
    backoff = wait_exponential(multiplier=backoff_s, max=_LONGEST_PAUSE_S) + wait_random(0, backoff_s)

    def handle_errors(
        status: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, parsed: Any, *rest: Any
    ) -> Any:
        if status in _ASKED_TO_WAIT:
            pace.be_quiet(_retry_after_s(headers))
        if status < 300 and parsed is None:
            start = " ".join((body or "").split())[:40]
            raise vendor.BadResponse(f"status {status} without JSON: '{start}'")
        return judge(status, reason, url, method, headers, body, parsed, *rest)

    def is_passing(error: BaseException) -> bool:
        if not isinstance(error, vendor_errors()) or pace.quiet_s() > PATIENCE_S:
            return False
        return isinstance(translate(error, "", pace), MarketUnavailable)

    async def fetch(*request: Any) -> Any:
        asked = 0

        async def once() -> Any:
            nonlocal asked
            asked += 1
            if asked > 1:  # ccxt itself waited for the turn of the first
                await pace.turn()
            return await send(*request)

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
    if isinstance(error, vendor.NetworkError):
        return MarketUnavailable(text, retry_after_s=pace.quiet_s() or None)
    if isinstance(error, vendor.BadSymbol):
        return UnknownSymbol(text)
    if isinstance(error, vendor.AuthenticationError):
        return CredentialsError(text)
    if isinstance(error, refused):
        return MarketError(text)
    return MarketUnavailable(text)


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
