"""Candles as they were: revisions undone, late ones left out, lost ones named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.checks._history import History
from core.clock import MINUTE_MS
from core.errors import StoreError
from core.risk.sizing import RiskRules
from core.risk.terms import Judging, Terms, terms_to_text, text_to_terms
from core.schema import Candles, Instrument
from core.store.writer import Writer

KEY = ("bitget", "BTC/USDT", "1m")
START = 1_704_067_200_000


def minutes(closes: list[float], first: int = 0) -> Candles:
    price = np.array(closes)
    return Candles.of(START + MINUTE_MS * (first + np.arange(len(price))), price, price + 1, price - 1, price, price)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path / "ohlcv.db") as opened:
        yield opened


def history(writer: Writer) -> History:
    return History(writer.reader, *KEY, base="1m")


def now(writer: Writer) -> Candles:
    return writer.reader.candles(*KEY)


def test_a_revision_is_undone_before_it_was_seen_and_stays_after(writer: Writer) -> None:
    writer.put_candles(*KEY, minutes([10, 11, 12]), seen_ms=100)
    writer.put_candles(*KEY, minutes([11.5], 1), seen_ms=200)
    writer.put_candles(*KEY, minutes([11.7], 1), seen_ms=300)
    past = history(writer)
    closes = [past.as_of(now(writer), moment).close.tolist() for moment in (150, 250, 300)]
    assert closes == [[10, 11, 12], [10, 11.5, 12], [10, 11.7, 12]]
    first = past.as_of(now(writer), 150)
    assert first.high.tolist() == [11, 12, 13] and first.n_minutes.tolist() == [1, 1, 1]
    assert past.difference(first, now(writer)) == ("revised candle", "1m 2024-01-01 00:01 UTC")


def test_a_candle_that_came_later_is_left_out_before(writer: Writer) -> None:
    writer.put_candles(*KEY, minutes([10, 11]), seen_ms=100)
    writer.put_candles(*KEY, minutes([12], 2), seen_ms=200)
    past = history(writer)
    seen = past.first_seen(now(writer))
    assert seen.tolist() == [100, 100, 200]
    then = past.as_of(now(writer), 150, seen)
    assert then.close.tolist() == [10, 11]
    assert past.difference(then, now(writer)) == ("late candle", "1m 2024-01-01 00:02 UTC")
    assert past.as_of(now(writer), 200, seen).close.tolist() == [10, 11, 12]


def test_a_gap_that_was_filled_after_it_was_given_up_is_a_gap_again(writer: Writer) -> None:
    writer.put_candles(*KEY, minutes([10]), seen_ms=100)
    writer.put_candles(*KEY, minutes([12], 2), seen_ms=100)
    gap = pd.DataFrame({"ts_ms": [START + MINUTE_MS], "state": "confirmed", "first_missed_ms": 1, "tries": 9})
    writer.put_gaps(*KEY, gap.assign(next_try_ms=0))
    writer.set_frontier(*KEY, START + 3 * MINUTE_MS)
    writer.put_candles(*KEY, minutes([11], 1), seen_ms=900)
    past = history(writer)
    then = past.as_of(now(writer), 899)
    assert then.close.tolist() == [10, 12]
    assert past.difference(then, now(writer))[0] == "late candle"
    assert past.as_of(now(writer), 900).close.tolist() == [10, 11, 12]


def test_only_a_hole_that_no_gap_accounts_for_is_missing(writer: Writer) -> None:
    for first in (0, 2, 4):
        writer.put_candles(*KEY, minutes([10], first), seen_ms=100)
    gap = pd.DataFrame({"ts_ms": [START + MINUTE_MS], "state": "confirmed", "first_missed_ms": 1, "tries": 9})
    writer.put_gaps(*KEY, gap.assign(next_try_ms=0))
    past = history(writer)
    end = START + 5 * MINUTE_MS
    assert past.missing(now(writer), end) == ("missing candle", "1m 2024-01-01 00:03 UTC")
    assert past.missing(now(writer).slice(0, 2), START + 3 * MINUTE_MS) is None
    assert past.missing(now(writer).slice(0, 2), START + 4 * MINUTE_MS) is not None
    assert past.missing(Candles.empty(), end) is None


def test_terms_are_noted_when_they_change_and_only_then(writer: Writer) -> None:
    key = ("bitget", "BTC/USDT", "15m")
    assert writer.reader.live_terms(*key) == []
    for from_ms, terms in ((100, "a"), (200, "a"), (300, "b"), (400, "b"), (500, "a")):
        writer.note_live(*key, from_ms, terms)
    assert writer.reader.live_terms(*key) == [(100, "a"), (300, "b"), (500, "a")]
    assert writer.reader.live_terms("bitget", "BTC/USDT", "1h") == []


def test_terms_come_back_from_their_text() -> None:
    known = Instrument("bitget", "BTC/USDT", tick=0.1, lot=None, min_notional=5.0)
    terms = Terms(("b", "a"), RiskRules(10_000.0, 0.5, 10.0, 0.5, 0.5), False, known)
    assert text_to_terms(terms_to_text(terms)) == Terms(("a", "b"), terms.risk, False, known)
    filters = {"geo_rr1": (None, 2.0), "trend_adx": (10.0, None)}
    judging = Judging("fs-0123456789", "BTC/USDT:USDT", "fixed_r@01234567", filters)
    judged = replace(terms, plan_hashes=("a", "b"), judging=judging)
    assert text_to_terms(terms_to_text(judged)) == judged
    for wrong in ("", "[]", '{"plans": []}'):
        with pytest.raises(StoreError, match="stored terms"):
            text_to_terms(wrong)
