"""What stands between ccxt and the house, without a network."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import ccxt.async_support as vendor
import pytest

from core.adapters.markets._exchange_clock import ExchangeClock, Reading
from core.adapters.markets._instrument import to_instrument
from core.adapters.markets._vendor import PATIENCE_S, Pace, Tally, listen, moved, translate
from core.clock import HOUR_MS, monotonic_s
from core.errors import CredentialsError, MarketError, MarketUnavailable, UnknownSymbol
from tests.idle import skipping_idle_time


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


def test_it_is_measured_every_ten_minutes_and_not_again_within_a_minute_of_a_failure() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.set(machine.wall)
    machine.run(599)
    assert not clock.is_due()
    machine.run(2)
    assert clock.is_due()
    clock.put_off()
    assert not clock.is_due()
    machine.run(61)
    assert clock.is_due()


class Teller:
    """An exchange whose clock is some way off the machine's; each answer takes as long as the test says."""

    def __init__(self, machine: Machine, off_ms: int) -> None:
        self.machine, self.off_ms, self.asked = machine, off_ms, 0
        self.trips: list[tuple[float, float]] = []
        self.wrong: list[int] = []
        self.silent = 0

    async def read(self) -> Reading | None:
        self.asked += 1
        if self.silent:
            self.silent -= 1
            return None
        there, back = self.trips.pop(0) if self.trips else (0.05, 0.05)
        asked_s = self.machine.ticks
        self.machine.run(there)
        said_ms = self.machine.wall + self.off_ms + (self.wrong.pop(0) if self.wrong else 0)
        self.machine.run(back)
        return Reading(said_ms, asked_s, self.machine.ticks)

    def error_of(self, clock: ExchangeClock) -> int:
        return clock.now_ms() - self.machine.wall - self.off_ms


async def test_the_time_is_that_of_the_middle_of_the_round_trip() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 300)
    teller.trips = [(0.4, 0.4)]
    await clock.measure(teller.read)
    assert clock.is_measured and teller.error_of(clock) == 0 and teller.asked == 1


async def test_what_is_far_off_must_be_said_twice() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 7 * 60_000)
    await clock.measure(teller.read)
    assert teller.asked == 2 and teller.error_of(clock) == 0


async def test_one_wrong_answer_is_outvoted() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 7 * 60_000)
    teller.wrong = [-HOUR_MS]
    await clock.measure(teller.read)
    assert teller.asked == 3 and teller.error_of(clock) == 0


async def test_one_slow_answer_shifts_nothing() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 0)
    await clock.measure(teller.read)
    machine.run(601)
    teller.trips = [(0.01, 4.0)]
    assert clock.is_due()
    await clock.measure(teller.read)
    assert teller.error_of(clock) == 0 and not clock.is_due()


@pytest.mark.parametrize("trip", [(4.0, 0.0), (0.0, 4.0), (1.5, 0.0), (0.0, 1.5)])
async def test_an_answer_that_was_slow_on_one_way_only_shifts_nothing(trip: tuple[float, float]) -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 0)
    await clock.measure(teller.read)
    for off_ms in (20, -20):
        machine.run(601)
        teller.trips, teller.off_ms = [trip], off_ms
        await clock.measure(teller.read)
        assert abs(teller.error_of(clock)) <= 20 and teller.asked < 4


async def test_a_first_answer_that_was_slow_is_bettered_by_the_next() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 0)
    teller.trips = [(0.0, 1.8)]
    await clock.measure(teller.read)
    assert abs(teller.error_of(clock)) == 900
    machine.run(601)
    await clock.measure(teller.read)
    assert teller.error_of(clock) == 0


async def test_an_exchange_s_clock_that_steps_is_followed() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 0)
    await clock.measure(teller.read)
    for off_ms in (180_000, -180_000):
        machine.run(601)
        teller.off_ms = off_ms
        assert clock.is_due()
        await clock.measure(teller.read)
        assert teller.error_of(clock) == 0


async def test_answers_that_contradict_each_other_leave_the_estimate_alone() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 0)
    await clock.measure(teller.read)
    machine.run(601)
    teller.wrong = [HOUR_MS, -HOUR_MS, 3 * HOUR_MS, -5 * HOUR_MS]
    await clock.measure(teller.read)
    assert teller.error_of(clock) == 0 and not clock.is_due()
    machine.run(61)
    assert clock.is_due()


async def test_an_exchange_that_does_not_say_is_asked_again_soon() -> None:
    machine = Machine()
    clock, teller = machine.clock(), Teller(machine, 500)
    teller.silent = 4
    await clock.measure(teller.read)
    assert not clock.is_measured and not clock.is_due()
    machine.run(6)
    assert clock.is_due()
    await clock.measure(teller.read)
    assert clock.is_measured and teller.error_of(clock) == 0


async def test_an_answer_that_never_comes_stops_nothing() -> None:
    clock = ExchangeClock()
    clock.set(clock.now_ms())

    async def read() -> Reading | None:
        await asyncio.sleep(3_600)
        return None

    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with skipping_idle_time():
        await clock.measure(read)
    assert loop.time() - began_s < 30 and not clock.is_due()


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


async def test_a_ban_without_a_word_on_its_length_is_left_alone_until_the_next_cycle() -> None:
    client = FakeClient((418, {}, {}), (200, {}, {"ok": 1}))
    pace = Pace(0.0)
    listen(client, pace, 0.001)
    with pytest.raises(vendor.ExchangeNotAvailable):
        await client.fetch("u")
    assert len(client.answers) == 1
    assert PATIENCE_S < pace.quiet_s() <= 30


@pytest.mark.parametrize("text", ["1e12", "inf", "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_no_header_silences_the_engine_for_more_than_an_hour(text: str) -> None:
    client = FakeClient((429, {"Retry-After": text}, {}))
    pace = Pace(0.0)
    listen(client, pace, 0.001)
    with pytest.raises(vendor.ExchangeNotAvailable):
        await client.fetch("u")
    assert 3_500 < pace.quiet_s() <= 3_600


async def test_every_attempt_is_counted_with_the_time_it_took() -> None:
    client, tally = FakeClient((503, {}, None), (200, {}, {"ok": 1}), (200, {}, {"ok": 1})), Tally()
    listen(client, Pace(0.0), 0.001, tally)
    await client.fetch("u")
    await client.fetch("u")
    counts = tally.take()
    assert (counts.requests, counts.failures) == (3, 1)
    assert 0 <= counts.slowest_ms <= counts.waited_ms + 1 < 1_000
    assert tally.take().requests == 0


async def test_a_request_cut_short_by_a_deadline_counts_as_failed() -> None:
    client, tally = FakeClient(), Tally()

    async def hang(*_: Any) -> None:
        await asyncio.sleep(60)

    client.fetch = hang  # type: ignore[method-assign]
    listen(client, Pace(0.0), 0.001, tally)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.fetch("u")
    counts = tally.take()
    assert (counts.requests, counts.failures) == (1, 1) and counts.slowest_ms >= 40


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
