"""What stands between ccxt and the house, without a network."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import ccxt.async_support as vendor
import pytest

from core.adapters.markets._instrument import to_instrument
from core.adapters.markets._vendor import PATIENCE_S, ExchangeClock, Pace, listen, moved, translate
from core.clock import HOUR_MS, monotonic_s
from core.errors import CredentialsError, MarketError, MarketUnavailable, UnknownSymbol


class Machine:
    """Two clocks a test sets."""

    def __init__(self) -> None:
        self.wall, self.ticks = 1_000_000_000_000, 50.0

    def run(self, seconds: float) -> None:
        self.wall += int(seconds * 1000)
        self.ticks += seconds

    def clock(self) -> ExchangeClock:
        return ExchangeClock(lambda: self.wall, lambda: self.ticks)


def test_before_the_first_measurement_it_is_the_wall_clock_and_due() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(3)
    assert clock.now_ms() == machine.wall
    assert clock.is_due()


def test_a_wall_clock_that_steps_back_an_hour_changes_nothing_but_asks_for_a_measurement() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.set(machine.wall + 700)
    machine.run(10)
    assert not clock.is_due()
    before = clock.now_ms()
    machine.wall -= HOUR_MS
    machine.run(1)
    assert clock.now_ms() == before + 1000
    assert clock.is_due()


def test_a_small_correction_never_lets_time_go_back_and_a_large_one_is_taken() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ms()
    clock.set(before - 300)
    assert clock.now_ms() == before
    machine.run(1)
    assert clock.now_ms() == before + 700
    clock.set(before - HOUR_MS)
    assert clock.now_ms() == before - HOUR_MS


def test_it_is_measured_every_hour_and_not_again_within_a_minute_of_a_failure() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.set(machine.wall)
    machine.run(3_601)
    assert clock.is_due()
    clock.put_off()
    assert not clock.is_due()
    machine.run(61)
    assert clock.is_due()


def test_what_is_more_than_a_second_off_is_surprising() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.is_surprising(machine.wall + 1_001) and not clock.is_surprising(machine.wall - 999)


async def test_requests_are_paced_by_their_weight_first_come_first_served() -> None:
    pace, order = Pace(0.02), []

    async def one(name: int, cost: float) -> None:
        await pace.turn(cost)
        order.append((name, monotonic_s()))

    began = monotonic_s()
    await asyncio.gather(one(0, 1), one(1, 2), one(2, 1))
    assert [name for name, _ in order] == [0, 1, 2]
    waited = [at - began for _, at in order]
    assert waited[0] < 0.015
    assert waited[1] >= 0.019
    assert waited[2] >= 0.059


async def test_a_short_pause_is_waited_out_and_a_long_one_is_told() -> None:
    pace = Pace(0.0)
    pace.be_quiet(0.05)
    began = monotonic_s()
    await pace.turn()
    assert monotonic_s() - began >= 0.049
    pace.be_quiet(PATIENCE_S + 60)
    with pytest.raises(MarketUnavailable) as told:
        await pace.turn()
    assert told.value.retry_after_s == pytest.approx(PATIENCE_S + 60, abs=1)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (vendor.RequestTimeout("x"), MarketUnavailable),
        (vendor.RateLimitExceeded("x"), MarketUnavailable),
        (vendor.DDoSProtection("x"), MarketUnavailable),
        (vendor.ExchangeNotAvailable("x"), MarketUnavailable),
        (vendor.OnMaintenance("x"), MarketUnavailable),
        (vendor.BadResponse("x"), MarketUnavailable),
        (vendor.ExchangeError("500 as JSON"), MarketUnavailable),
        (OSError("x"), MarketUnavailable),
        (KeyError("x"), MarketUnavailable),
        (vendor.BadSymbol("x"), UnknownSymbol),
        (vendor.AuthenticationError("x"), CredentialsError),
        (vendor.PermissionDenied("x"), CredentialsError),
        (vendor.BadRequest("x"), MarketError),
        (vendor.ArgumentsRequired("x"), MarketError),
        (vendor.NotSupported("x"), MarketError),
    ],
)
def test_a_vendor_s_error_is_said_in_the_house_s_words(error: Exception, expected: type[Exception]) -> None:
    told = translate(error, "bitget BTC/USDT 1m", Pace(0.0))
    assert type(told) is expected
    assert str(told).startswith("bitget BTC/USDT 1m: ")


def test_a_message_is_one_line_of_bounded_length() -> None:
    told = str(translate(vendor.ExchangeError("a\nb " * 300), "bitget", Pace(0.0)))
    assert "\n" not in told and len(told) <= 200


class FakeClient:
    """Answers from a list of statuses; 200 ends it."""

    def __init__(self, *answers: tuple[int, dict[str, str], Any]) -> None:
        self.answers = list(answers)

    def handle_errors(self, status: int, *_: Any) -> None:
        if status != 200:
            raise vendor.ExchangeNotAvailable(str(status))

    async def fetch(self, url: str, *_: Any) -> Any:
        status, headers, parsed = self.answers.pop(0)
        self.handle_errors(status, "", url, "GET", headers, "body", parsed)
        return parsed


async def test_each_request_is_asked_again_a_bounded_number_of_times() -> None:
    good = (200, {}, {"ok": 1})
    client = FakeClient((503, {}, None), (200, {}, None), good)
    listen(client, Pace(0.0), 0.001)
    assert await client.fetch("u") == {"ok": 1}
    client = FakeClient(*[(503, {}, None)] * 3, good)
    listen(client, Pace(0.0), 0.001)
    with pytest.raises(vendor.ExchangeNotAvailable):
        await client.fetch("u")
    assert client.answers == [good]


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_honoured_in_seconds_and_as_a_date(as_date: bool) -> None:
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "0.3"
    client = FakeClient((429, {"retry-after": text}, {}), (200, {}, {"ok": 1}))
    pace = Pace(0.0)
    listen(client, pace, 0.001)
    began = monotonic_s()
    assert await client.fetch("u") == {"ok": 1}
    assert monotonic_s() - began >= 0.29


async def test_a_pause_longer_than_patience_is_not_waited_for() -> None:
    client = FakeClient((429, {"Retry-After": "3600"}, {}))
    pace = Pace(0.0)
    listen(client, pace, 0.001)
    with pytest.raises(vendor.ExchangeNotAvailable) as raised:
        await client.fetch("u")
    told = translate(raised.value, "bitget", pace)
    assert isinstance(told, MarketUnavailable) and told.retry_after_s == pytest.approx(3600, abs=2)


def test_steps_are_read_in_every_way_ccxt_writes_them() -> None:
    market = {"precision": {"price": 2, "amount": 3}, "limits": {"cost": {"min": 5}}, "active": None}
    decimals = to_instrument(SimpleNamespace(precisionMode=vendor.DECIMAL_PLACES), "x", "A/B", market)
    assert (decimals.tick, decimals.lot, decimals.min_notional) == (0.01, 0.001, 5.0)
    assert decimals.active
    digits = to_instrument(SimpleNamespace(precisionMode=vendor.SIGNIFICANT_DIGITS), "x", "A/B", market)
    assert (digits.tick, digits.lot) == (None, None)
    ticks = SimpleNamespace(precisionMode=vendor.TICK_SIZE)
    contract = {"precision": {"price": 0.5, "amount": 1}, "contract": True, "contractSize": 0.01, "active": False}
    linear = to_instrument(ticks, "x", "A/B:B", contract)
    assert (linear.tick, linear.lot, linear.min_notional, linear.active) == (0.5, 0.01, None, False)
    assert to_instrument(ticks, "x", "A/B:A", {**contract, "inverse": True}).lot is None


def test_addresses_are_moved_to_another_server_with_their_paths() -> None:
    urls = {"public": "https://api.x.com/api/v3", "sapi": {"v1": "https://{hostname}"}, "none": None}
    assert moved(urls, "http://127.0.0.1:9") == {
        "public": "http://127.0.0.1:9/api/v3",
        "sapi": {"v1": "http://127.0.0.1:9"},
        "none": None,
    }
