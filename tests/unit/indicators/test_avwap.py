"""The anchored VWAP: by hand, at its edges, and independent of where the data starts."""

import numpy as np

from core.indicators.avwap import anchored_vwap


def random_columns(n: int = 300) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    close = rng.uniform(90.0, 110.0, n)
    return [close + rng.uniform(0, 1, n), close - rng.uniform(0, 1, n), close, rng.uniform(0, 10, n)]


def test_it_weighs_the_typical_price_by_volume() -> None:
    high, low, close = np.array([12.0, 15.0]), np.array([9.0, 12.0]), np.array([9.0, 15.0])
    # typical 10 and 14; volumes 3 and 1: (30 + 14) / 4 = 11
    assert anchored_vwap(high, low, close, np.array([3.0, 1.0]), 0).tolist() == [10.0, 11.0]


def test_it_is_nan_before_the_anchor_and_until_something_trades() -> None:
    price, volume = np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 0.0, 0.0, 2.0])
    assert np.isnan(anchored_vwap(price, price, price, volume, 1)[:3]).all()
    assert anchored_vwap(price, price, price, volume, 1)[3] == 4.0


def test_it_does_not_depend_on_where_the_data_starts() -> None:
    columns = random_columns()
    whole = anchored_vwap(*columns, 100)
    np.testing.assert_array_equal(anchored_vwap(*[c[60:] for c in columns], 40), whole[60:])


def test_it_equals_a_cumulative_sum_and_its_plain_python_text() -> None:
    high, low, close, volume = random_columns()
    typical = (high + low + close) / 3.0
    expected = np.cumsum((typical * volume)[20:]) / np.cumsum(volume[20:])
    np.testing.assert_allclose(anchored_vwap(high, low, close, volume, 20)[20:], expected, rtol=1e-12)
    np.testing.assert_array_equal(
        anchored_vwap(high, low, close, volume, 20), anchored_vwap.py_func(high, low, close, volume, 20)
    )


def test_no_candles_give_no_values() -> None:
    none = np.empty(0)
    assert len(anchored_vwap(none, none, none, none, 0)) == 0
