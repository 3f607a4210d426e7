"""The heartbeat and the address that is asked: cheap, bounded, and never in anybody's way."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from core.adapters.pinger import Pinger
from core.config import load_config
from core.jobs._desk import Desk
from core.jobs._pulse import PING_EVERY_S, Pulse
from core.store.heartbeat import heartbeat_path, read_heartbeat
from tests.desks import StoppedClock, open_desk
from tests.engine import write_config
from tests.factories import START_MS

URL = "https://hc-ping.com/0123456789abcdef"


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.s = 10.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = open_desk(tmp_path, StoppedClock(START_MS), {"app": {"ping_url": URL}}, setups=[])
    yield opened
    opened.writer.close()


def test_a_fast_replay_writes_at_most_once_a_second(desk: Desk, tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "ohlcv.db"
    pulse = Pulse(path, 60.0, read_s=clock)
    seen = set()
    for cycle in range(1, 301):
        pulse.beat(desk, START_MS + cycle, cycle, 5, True)
        beat = read_heartbeat(heartbeat_path(path))
        assert beat is not None
        seen.add(beat.cycle)
        clock.s += 0.01
    assert len(seen) == 3 and beat.mode == "replay"
    pulse.end(desk)
    ended = read_heartbeat(heartbeat_path(path))
    assert ended is not None and (ended.cycle, ended.state) == (300, "ended")


def test_a_folder_that_cannot_be_written_is_said_once_and_fails_nothing(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    pulse = Pulse(tmp_path / "none" / "ohlcv.db", 60.0, read_s=clock)
    with caplog.at_level(logging.WARNING):
        for cycle in range(20):
            clock.s += 2.0
            pulse.beat(desk, START_MS, cycle, 5, True)
    assert caplog.text.count("the heartbeat cannot be written") == 1


def test_the_address_is_asked_at_most_once_a_minute_and_hears_what_is_wrong(desk: Desk, tmp_path: Path) -> None:
    asked: list[tuple[str, bool]] = []
    clock = Clock()
    pulse = Pulse(tmp_path / "ohlcv.db", 60.0, lambda url, is_well: asked.append((url, is_well)), clock)
    for cycle in range(6 * 60):
        pulse.beat(desk, START_MS, cycle, 5, cycle < 120)
        clock.s += 1.0
    assert [is_well for _, is_well in asked] == [True, True, True, False, False, False, False]
    assert {url for url, _ in asked} == {URL} and PING_EVERY_S == 55.0


def test_without_an_address_nobody_is_asked(desk: Desk, tmp_path: Path) -> None:
    asked: list[str] = []
    plain = open_desk(tmp_path / "plain", StoppedClock(START_MS), setups=[])
    Pulse(tmp_path / "ohlcv.db", 60.0, lambda url, _is_well: asked.append(url)).beat(plain, START_MS, 1, 5, True)
    plain.writer.close()
    assert asked == []
    # one that was changed while it runs counts from the next cycle on
    path = write_config(tmp_path / "other", {"app": {"ping_url": URL}})
    changed = replace(desk, config=load_config(path, {}))
    Pulse(tmp_path / "ohlcv.db", 60.0, lambda url, _is_well: asked.append(url)).beat(changed, START_MS, 2, 5, True)
    assert asked == [URL]


# -- the request


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.INFO)
    return logging.getLogger("test")


def test_a_good_cycle_asks_the_address_and_a_bad_one_the_same_with_fail(
    httpserver: HTTPServer, log: logging.Logger
) -> None:
    httpserver.expect_request("/token123").respond_with_data("OK")
    httpserver.expect_request("/token123/fail").respond_with_data("OK")
    pinger = Pinger(log)
    for is_well in (True, False):
        pinger(httpserver.url_for("/token123"), is_well)
        pinger.wait(10.0)
    assert [request.path for request, _ in httpserver.log] == ["/token123", "/token123/fail"]
    assert [request.method for request, _ in httpserver.log] == ["GET", "GET"]


def test_one_that_fails_is_said_once_without_the_address_and_once_when_it_is_well(
    httpserver: HTTPServer, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_ordered_request("/token123").respond_with_data("no", status=500)
    httpserver.expect_ordered_request("/token123").respond_with_data("no", status=404)
    httpserver.expect_ordered_request("/token123").respond_with_data("", status=301, headers={"Location": "/other"})
    httpserver.expect_ordered_request("/token123").respond_with_data("OK")
    pinger = Pinger(log)
    for _ in range(4):
        pinger(httpserver.url_for("/token123"), True)
        pinger.wait(10.0)
    told = [record.getMessage() for record in caplog.records if record.name == "test"]
    assert told == [
        "app.ping_url: not reached (status 500); said once, tried again after each cycle",
        "app.ping_url: reached again",
    ]


def test_a_server_that_does_not_answer_keeps_nobody_waiting(
    httpserver: HTTPServer, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request("/token123").respond_with_handler(lambda _request: time.sleep(1.5))  # type: ignore[arg-type]
    pinger = Pinger(log, timeout_s=0.3)
    began = time.perf_counter()
    for _ in range(50):
        pinger(httpserver.url_for("/token123"), True)
    assert time.perf_counter() - began < 10.0  # fifty answers waited for would take fifteen
    pinger.wait(10.0)
    assert "app.ping_url: not reached (ReadTimeout)" in caplog.text and "token123" not in caplog.text


def test_a_host_that_does_not_exist_is_no_failure_of_the_engine(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    pinger = Pinger(log, timeout_s=2.0)
    pinger("http://127.0.0.1:9/token123", True)
    pinger.wait(10.0)
    assert "app.ping_url: not reached (ConnectError)" in caplog.text
