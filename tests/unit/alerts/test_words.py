"""What a person reads: the exact words of alerts."""

from __future__ import annotations

import math

import pytest

from core.adapters.notifiers._trim import trim_html, units
from core.clock import MINUTE_MS
from core.jobs.alert import DIGEST_SIZE
from core.results.explain import (
    CLOSINGS,
    UNFILLED,
    Moment,
    Quote,
    decimal,
    digest_words,
    event_words,
    note_words,
    signal_words,
    to_plain,
)
from tests.unit.alerts.rows import DECIDED, closed, event, opened, signal, trade

NOW = Moment(DECIDED + MINUTE_MS)


def test_a_new_long_is_announced_in_these_words() -> None:
    words = signal_words(signal(), NOW, Quote(64310.0, DECIDED))
    assert words == "\n".join(
        [
            "<b>#123 LONG BTC/USDT:USDT 15m</b>",
            "UNGATED: no model in force: this signal was not filtered.",
            "",
            "Entry: <code>64250</code> (limit)",
            "Stop: <code>63100</code> (-1.79 %)",
            "TP1: <code>66200</code> (+3.04 %, R:R 1.70)",
            "TP2: <code>67800</code> (+5.53 %, R:R 3.09)",
            "",
            "Size: 2793.48 USDT notional, leverage 10x, risk 50.00 USDT (at most 0.5 % of capital)",
            "Valid until 2024-05-02 03:00 UTC (14h 59m left)",
            "Price now: <code>64310</code>, 0.09 % above the entry (2024-05-01 12:00 UTC)",
            "Rule's opinion: 0.62 of 1 (not a probability)",
            "",
            "Research, not financial advice; you can lose all you stake.",
        ]
    )


def test_a_short_has_its_stop_above_and_its_targets_below() -> None:
    words = signal_words(signal(direction="short", sl=65400.0, tp1=62300.0, tp2=60700.0), NOW, Quote(64000.0, DECIDED))
    assert "<b>#123 SHORT BTC/USDT:USDT 15m</b>" in words
    assert "Stop: <code>65400</code> (+1.79 %)" in words
    assert "TP1: <code>62300</code> (-3.04 %, R:R 1.70)" in words
    assert "0.39 % below the entry" in words


def test_a_passed_signal_shows_the_models_probability_and_value() -> None:
    words = signal_words(signal(verdict="PASS", reason="EV", ml_p=0.472, ev_pct=0.1234, model_version="v7"), NOW)
    assert "PASS (EV), p(win) 47 %, EV +0.12 % of notional after costs" in words
    assert "UNGATED" not in words


def test_levels_of_cheap_coins_are_written_out() -> None:
    words = signal_words(signal(entry=0.00001234, sl=0.000012, tp1=0.000013, tp2=0.0000145), NOW)
    assert "Entry: <code>0.00001234</code>" in words
    assert "Stop: <code>0.000012</code>" in words
    assert "e-" not in words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "0.00001"),
        (0.1 + 0.2, "0.3"),
        (64250.0, "64250"),
        (1e15, "1000000000000000"),
        (-0.5, "-0.5"),
        (math.nan, "unknown"),
        (100.10, "100.1"),
    ],
)
def test_a_price_has_no_exponent_and_no_noise(value: float, text: str) -> None:
    assert decimal(value) == text


def test_a_signal_without_a_second_target_names_only_the_first() -> None:
    words = signal_words(signal(tp2=math.nan), NOW)
    assert "TP1" in words
    assert "TP2" not in words
    assert "unknown" not in words


def test_a_signal_below_the_minimum_order_says_so() -> None:
    assert "Size: below the exchange's minimum order" in signal_words(signal(position_notional=0.0), NOW)


def test_a_position_that_leverage_keeps_small_risks_no_more_than_it_says() -> None:
    small = signal(entry=100.0, sl=99.7, tp1=101.0, tp2=102.0, leverage=2.0, risk_pct=1.0, position_notional=20_000.0)
    assert "risk 60.00 USDT (at most 1 % of capital)" in signal_words(small, NOW)  # 0.6 % of 10 000


def test_a_late_signal_owns_up_to_it() -> None:
    words = signal_words(signal(), Moment(DECIDED + 14 * MINUTE_MS))
    assert words.splitlines()[1] == "Late by 14 min: this is from 2024-05-01 12:00 UTC."
    assert "Late" not in signal_words(signal(), Moment(DECIDED + 10 * MINUTE_MS))


def test_a_signal_delivered_after_its_time_warns_against_it() -> None:
    words = signal_words(signal(), Moment(DECIDED + 24 * 60 * MINUTE_MS))
    assert "Was valid until 2024-05-02 03:00 UTC: do not place it any more" in words


def test_times_are_shown_in_the_readers_zone() -> None:
    words = signal_words(signal(), Moment(DECIDED, "Europe/Berlin"))
    assert "2024-05-02 05:00 CEST" in words


def test_the_price_at_the_entry_is_called_so() -> None:
    assert "64250</code>, at the entry" in signal_words(signal(), NOW, Quote(64250.0, DECIDED))


def test_a_signal_without_a_known_price_leaves_the_line_out() -> None:
    assert "Price now" not in signal_words(signal(), NOW)


def test_filled_gives_price_time_and_stop() -> None:
    words = event_words(event("FILL"), opened(), signal(), Moment(DECIDED + 30 * MINUTE_MS))
    assert words == "\n".join(
        [
            "<b>#123 LONG BTC/USDT:USDT 15m: filled</b>",
            "Filled at <code>64250</code>, 2024-05-01 12:29 UTC, 30m after the signal.",
            "Stop: <code>63100</code>. First target: <code>66200</code>.",
        ]
    )


def test_a_fill_told_after_the_close_gives_no_orders() -> None:
    assert "Stop:" not in event_words(event("FILL"), closed(), signal(), NOW)


def test_a_target_says_where_to_move_the_stop() -> None:
    hit = event("TARGET", seq=1, minutes=100, price=66200.0, fraction=0.5)
    moved = opened(stop=64250.0, remaining=0.5, tp1_hit=1)
    words = event_words(hit, moved, signal(), Moment(DECIDED + 101 * MINUTE_MS), targets_hit=1)
    assert words == "\n".join(
        [
            "<b>#123 LONG BTC/USDT:USDT 15m: target 1 hit</b>",
            "50 % of the position closed at <code>66200</code>.",
            "Move the stop to <code>64250</code> (break-even).",
        ]
    )


def test_a_target_after_which_the_stop_stays_says_so() -> None:
    hit = event("TARGET", seq=1, price=66200.0, fraction=0.5)
    assert "The stop stays at <code>63100</code>." in event_words(hit, opened(), signal(), NOW)


def test_a_target_told_after_the_close_moves_nothing() -> None:
    hit = event("TARGET", seq=1, price=66200.0, fraction=0.5)
    words = event_words(hit, closed(), signal(), NOW)
    assert "Move" not in words
    assert "The rest has been closed since." in words


@pytest.mark.parametrize("kind", sorted(UNFILLED))
def test_an_order_that_is_void_is_to_be_removed(kind: str) -> None:
    words = event_words(event(kind, price=math.nan), trade(status="CANCELLED"), signal(), NOW)
    assert "Remove your order at <code>64250</code>." in words
    assert UNFILLED[kind] in words
    assert (": expired" if kind == "EXPIRED" else ": cancelled") in words


def test_closed_gives_result_reason_and_duration() -> None:
    words = event_words(event("TP1_TRAIL", seq=2, minutes=300), closed(), signal(), Moment(DECIDED + 301 * MINUTE_MS))
    assert words == "\n".join(
        [
            "<b>#123 LONG BTC/USDT:USDT 15m: closed +2.34 %, +1.31 R</b>",
            "Reason: the moved stop was hit after a target.",
            "In at <code>64250</code>, out at <code>65812.5</code>, held 4h 32m.",
            "After costs: +2.34 % of notional, +65.39 USDT at its size (gross +2.43 %, fees 0.08 %, funding 0.01 %).",
        ]
    )


@pytest.mark.parametrize("kind", sorted(CLOSINGS))
def test_every_way_to_close_has_its_words(kind: str) -> None:
    assert f"Reason: {CLOSINGS[kind]}." in event_words(event(kind), closed(), signal(), NOW)


def test_an_ambiguous_close_says_that_it_is() -> None:
    assert "One candle touched both" in event_words(event("SL"), closed(ambiguous=1), signal(), NOW)


def test_an_event_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="FUNDING"):
        event_words(event("FUNDING"), opened(), signal(), NOW)


def test_synthetic_stands_first_in_every_text() -> None:
    made = Moment(DECIDED, synthetic=True)
    texts = [
        signal_words(signal(), made),
        event_words(event("FILL"), opened(), signal(), made),
        digest_words([signal()], made),
        note_words("weekly", made),
    ]
    assert all(text.splitlines()[0].startswith("SYNTHETIC ") for text in texts)


def test_what_comes_from_data_is_escaped() -> None:
    odd = signal(symbol="<X>&/U<b>:U<b>", verdict="PASS", reason="a<b & c", order_type="<i>")
    for text in (signal_words(odd, NOW), event_words(event("SL"), closed(), odd, NOW), digest_words([odd], NOW)):
        assert "<X>" not in text
        assert "&lt;X&gt;&amp;" in text
    assert note_words("1 < 2 & 3", NOW) == "1 &lt; 2 &amp; 3"
    assert "a<b & c" in to_plain(signal_words(odd, NOW))


def test_plain_words_are_the_same_words_without_tags() -> None:
    plain = to_plain(signal_words(signal(), NOW))
    assert "Entry: 64250 (limit)" in plain
    assert "<" not in plain


def test_a_digest_gives_every_signal_its_levels() -> None:
    text = digest_words(
        [signal(1), signal(2, verdict="PASS", symbol="ETH/USDT:USDT")], Moment(DECIDED + 20 * MINUTE_MS)
    )
    assert text.splitlines() == [
        "<b>2 new signals</b>",
        "<b>#1 LONG BTC/USDT:USDT 15m</b> UNGATED, late by 20 min",
        "entry <code>64250</code> stop <code>63100</code> TP <code>66200</code> / <code>67800</code>, "
        "until 2024-05-02 03:00 UTC",
        "<b>#2 LONG ETH/USDT:USDT 15m</b> PASS, late by 20 min",
        "entry <code>64250</code> stop <code>63100</code> TP <code>66200</code> / <code>67800</code>, "
        "until 2024-05-02 03:00 UTC",
        "UNGATED: no model in force: these signals were not filtered.",
        "Research, not financial advice; you can lose all you stake.",
    ]


def test_the_largest_digest_fits_into_one_message() -> None:
    long = signal(
        99_999_999,
        symbol="1000000MOGWIFHAT/USDT:USDT",
        direction="short",
        entry=0.000001234567891,
        sl=0.000001334567891,
        tp1=0.000001034567891,
        tp2=0.000000934567891,
    )
    text = digest_words([long] * DIGEST_SIZE, Moment(DECIDED + 5_000 * MINUTE_MS, "America/New_York", synthetic=True))
    assert units(to_plain(text)) <= 4096
    assert trim_html(text, 4096) == text
