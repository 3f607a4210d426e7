"""Who is asked, and who is left alone for a while."""

from __future__ import annotations

import pytest

from core.clock import MINUTE_MS
from core.ingest.breaker import LONGEST_REST_MS, OPEN_AFTER, Board, Failing, first_wave, judge, second_wave

SYMBOLS = ["A/USDT", "B/USDT", "C/USDT", "D/USDT"]
A, B, C, D = SYMBOLS


class Exchange:
    """Answers for all but some symbols, cycle after cycle."""

    def __init__(self, symbols: list[str] = SYMBOLS) -> None:
        self.symbols, self.board, self.minute = symbols, Board(), 1_000
        self.said: list[tuple[str, str]] = []

    @property
    def now_ms(self) -> int:
        return self.minute * MINUTE_MS + 3_000

    def cycle(self, *broken: str) -> list[str]:
        """Run a cycle; return whom it asked."""
        first = first_wave(self.board, self.symbols, self.now_ms, MINUTE_MS)
        answered = [symbol for symbol in first if symbol not in broken]
        then = second_wave(self.board, self.symbols, first, answered, self.now_ms)
        asked = [*first, *then]
        outcomes = {symbol: "timed out" if symbol in broken else None for symbol in asked}
        told = judge(self.board, self.symbols, outcomes, None in outcomes.values(), self.now_ms, MINUTE_MS)
        self.said += [("opened", one) for one in told.opened] + [("closed", one) for one in told.closed]
        self.board = told.board
        self.minute += 1
        return asked


def test_a_symbol_that_fails_is_asked_each_cycle_at_first_and_then_ever_more_rarely() -> None:
    exchange, asked = Exchange(), []
    for number in range(70):
        if A in exchange.cycle(A):
            asked.append(number)
    assert asked[:OPEN_AFTER] == list(range(OPEN_AFTER))
    rests = [after - before for before, after in zip(asked[OPEN_AFTER - 1 :], asked[OPEN_AFTER:], strict=False)]
    assert rests[:3] == [2, 4, 8] and set(rests[3:]) == {15}
    assert exchange.said == [("opened", A)]


def test_the_others_are_asked_each_cycle_all_the_while() -> None:
    exchange = Exchange()
    for _ in range(40):
        assert set(exchange.cycle(A)) >= {B, C, D}


def test_one_answer_closes_it_and_it_is_said_once() -> None:
    exchange = Exchange()
    for _ in range(OPEN_AFTER + 1):
        exchange.cycle(A)
    while A not in exchange.cycle():
        pass
    assert exchange.said == [("opened", A), ("closed", A)]
    assert exchange.board == Board() and exchange.board.to_text() == ""
    assert A in exchange.cycle()


def test_a_single_fault_now_and_then_never_rests_anybody() -> None:
    exchange = Exchange()
    for number in range(40):
        assert exchange.cycle(*([A] if number % OPEN_AFTER else [])) == SYMBOLS


def test_where_nobody_is_answered_for_one_is_asked_a_cycle_another_each_time() -> None:
    exchange = Exchange()
    assert exchange.cycle(*SYMBOLS) == SYMBOLS
    probes = [exchange.cycle(*SYMBOLS) for _ in range(8)]
    assert all(len(asked) == 1 for asked in probes)
    assert {asked[0] for asked in probes[:4]} == set(SYMBOLS)
    assert exchange.said == []


@pytest.mark.parametrize("outage", [1, 2, 7, 300])
def test_the_cycle_that_finds_the_outage_over_asks_everybody(outage: int) -> None:
    exchange = Exchange()
    for _ in range(outage):
        exchange.cycle(*SYMBOLS)
    assert sorted(exchange.cycle()) == SYMBOLS
    assert exchange.board == Board()


def test_a_symbol_broken_on_its_own_delays_the_end_of_an_outage_by_one_cycle_at_most() -> None:
    exchange = Exchange()
    for _ in range(3):
        exchange.cycle(A)
    for _ in range(9):
        exchange.cycle(*SYMBOLS)
    asked = {*exchange.cycle(A), *exchange.cycle(A)}
    assert asked >= {B, C, D}


def test_an_outage_of_several_symbols_is_over_for_all_when_one_is_answered_for() -> None:
    exchange = Exchange()
    for _ in range(60):
        exchange.cycle(A, B, C)
    assert sorted(exchange.cycle()) == SYMBOLS
    assert exchange.board == Board()


def test_of_several_that_rest_one_is_tried_each_cycle_and_no_more() -> None:
    exchange = Exchange()
    for _ in range(60):
        exchange.cycle(A, B, C)
    tries = [set(exchange.cycle(A, B, C)) - {D} for _ in range(10)]
    assert all(1 <= len(one) <= 3 for one in tries) and sum(len(one) == 1 for one in tries) >= 8


def test_a_rest_that_began_before_an_outage_outlasts_it() -> None:
    exchange = Exchange()
    for _ in range(12):
        exchange.cycle(A)
    assert exchange.board.failing[A].is_resting(exchange.now_ms)
    exchange.cycle(A, B)
    assert exchange.board.failing[A].is_resting(exchange.now_ms)
    assert A not in exchange.cycle(A)


def test_a_lone_symbol_is_asked_each_cycle_whatever_happens() -> None:
    exchange = Exchange([A])
    assert [exchange.cycle(A) for _ in range(30)] == [[A]] * 30


def test_a_clock_set_back_does_not_prolong_a_rest() -> None:
    failing = Failing(0, 9, 0, 100 * MINUTE_MS, "timed out")
    assert failing.is_resting(100 * MINUTE_MS - 1) and not failing.is_resting(100 * MINUTE_MS)
    assert not failing.is_resting(100 * MINUTE_MS - LONGEST_REST_MS - 1)


def test_a_cycle_in_which_nothing_was_due_changes_nothing() -> None:
    board = Board({A: Failing(1, 2, None, 1, "timed out")})
    assert judge(board, SYMBOLS, {}, False, 5, MINUTE_MS).board == board


def test_a_symbol_that_is_followed_no_longer_is_forgotten() -> None:
    board = Board({A: Failing(1, 9, 1, 1, "timed out")})
    assert judge(board, [B], {B: None}, True, 5, MINUTE_MS).board == Board()


def test_a_refusal_of_one_symbol_shows_that_the_exchange_speaks() -> None:
    told = judge(Board(), [A], {A: "not traded there"}, True, 5, MINUTE_MS)
    assert told.board.down_since_ms is None and told.board.failing[A].faults == 1


def test_a_board_is_read_as_it_was_written() -> None:
    board = Board({A: Failing(1, 9, 2, 3, "timed out"), B: Failing(4, 1, None, 4, "reset")}, 7)
    assert Board.from_text(board.to_text()) == board


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{", '{"failing": {"A": [1]}}', '{"failing": 3}', '{"down_since_ms": []}']
)
def test_what_cannot_be_read_is_taken_for_all_is_well(text: str | None) -> None:
    assert Board.from_text(text) == Board()
