"""Splits and uniqueness are what a brute force over pairs of intervals says."""

from __future__ import annotations

import doctest

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from core.schema import IntArray
from core.training import splits
from core.training.splits import BLOCK_MS, GAP_MS, WEEK_MS, k_fold, n_eff, uniqueness, walk_forward

Pairs = list[tuple[int, int]]
intervals = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), min_size=1, max_size=60)


def arrays(pairs: Pairs) -> tuple[IntArray, IntArray]:
    start = np.array([first for first, _ in pairs], dtype=np.int64)
    return start, start + np.array([length for _, length in pairs], dtype=np.int64)


@given(intervals, st.integers(2, 6), st.integers(0, 20))
@settings(max_examples=200, deadline=None)
def test_k_fold_trains_on_just_the_rows_that_meet_no_test_row(pairs: Pairs, k: int, embargo: int) -> None:
    t0, t1 = arrays(pairs)
    tested: list[int] = []
    for split in k_fold(t0, t1, k, embargo):
        inside = set(split.test.tolist())
        expected = [
            j
            for j in range(len(t0))
            if j not in inside and all(t1[j] < t0[i] or t0[j] > t1[i] + embargo for i in inside)
        ]
        assert split.train.tolist() == expected
        assert all(split.start_ms <= t0[i] < split.end_ms for i in inside)
        tested.extend(split.test.tolist())
    assert sorted(tested) == list(range(len(t0)))


@given(intervals, st.integers(1, 80), st.integers(0, 20))
@settings(max_examples=200, deadline=None)
def test_walk_forward_trains_on_just_what_was_known_before_the_block(pairs: Pairs, block: int, gap: int) -> None:
    t0, t1 = arrays(pairs)
    tested: list[int] = []
    last = -(10**18)
    for split in walk_forward(t0, t1, block, gap):
        assert split.start_ms > last
        last = split.start_ms
        assert split.end_ms - split.start_ms == block
        assert split.train.tolist() == [j for j in range(len(t0)) if t1[j] < split.start_ms - gap]
        assert split.test.tolist() == [j for j in range(len(t0)) if split.start_ms <= t0[j] < split.end_ms]
        tested.extend(split.test.tolist())
    assert sorted(tested) == list(range(len(t0)))


@given(intervals, st.data())
@settings(max_examples=200, deadline=None)
def test_uniqueness_is_the_average_over_every_moment_it_is_held(pairs: Pairs, data: st.DataObject) -> None:
    t0, t1 = arrays(pairs)
    symbols = np.array(data.draw(st.lists(st.sampled_from("AB"), min_size=len(t0), max_size=len(t0))), dtype=object)
    timeframes = np.array(data.draw(st.lists(st.sampled_from(["1h", "4h"]), min_size=len(t0), max_size=len(t0))))
    expected = [brute_uniqueness(i, symbols, timeframes, t0, t1) for i in range(len(t0))]
    found = uniqueness(symbols, timeframes, t0, t1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert abs(n_eff(found) - sum(expected)) < 1e-9


def brute_uniqueness(
    i: int, symbols: npt.NDArray[np.object_], timeframes: npt.NDArray[np.str_], t0: IntArray, t1: IntArray
) -> float:
    alike = (symbols == symbols[i]) & (timeframes == timeframes[i])
    moments = range(int(t0[i]), int(t1[i]))
    return float(np.mean([1.0 / np.sum(alike & (t0 <= moment) & (moment < t1)) for moment in moments]))


def test_blocks_lie_on_mondays_and_do_not_depend_on_the_first_row() -> None:
    monday = 1_672_617_600_000  # 2023-01-02
    t0 = monday + WEEK_MS * np.arange(40)
    starts = {split.start_ms for split in walk_forward(t0, t0 + 1)}
    later = {split.start_ms for split in walk_forward(t0[7:], t0[7:] + 1)}
    assert later <= starts
    assert all((start - monday) % WEEK_MS == 0 for start in starts)
    weekly = {split.start_ms for split in walk_forward(t0, t0 + 1, WEEK_MS)}
    assert starts - {min(starts)} <= weekly
    assert BLOCK_MS == 4 * WEEK_MS
    assert GAP_MS == 3_600_000


def test_rows_decided_at_one_moment_stay_in_one_fold() -> None:
    t0 = np.repeat([0, 100, 200], 10)
    for split in k_fold(t0, t0 + 5, 5, 0):
        assert set(t0[split.test]).isdisjoint(t0[split.train])


def test_nothing_gives_nothing() -> None:
    none = np.empty(0, dtype=np.int64)
    assert list(k_fold(none, none)) == []
    assert list(walk_forward(none, none)) == []
    assert uniqueness([], [], none, none).shape == (0,)


def test_uniqueness_of_many_rows_is_quick_and_exact_over_years() -> None:
    rng = np.random.default_rng(1)
    opened = 1_600_000_000_000 + rng.integers(0, 150_000_000_000, 30_000) // 60_000 * 60_000
    known = opened + 60_000 * rng.integers(1, 5_000, 30_000)
    found = uniqueness(np.full(30_000, "A"), np.full(30_000, "1h"), opened, known)
    assert ((found > 0.0) & (found <= 1.0)).all()
    union = np.zeros((int(known.max() - opened.min()) // 60_000) + 1, dtype=bool)
    for first, end in zip((opened - opened.min()) // 60_000, (known - opened.min()) // 60_000, strict=True):
        union[first:end] = True
    # every held minute is shared out exactly once
    assert abs(float(found @ ((known - opened) / 60_000)) - union.sum()) < 1e-3


def test_the_examples_run() -> None:
    assert doctest.testmod(splits).failed == 0
