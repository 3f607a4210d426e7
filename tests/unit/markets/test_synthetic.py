"""The generated worlds are what they say: fair games, a planted edge of known odds, the same bytes every time."""

import hashlib

import numpy as np
import pytest
from scipy.special import ndtri

from core.adapters.markets import _worlds
from core.adapters.markets._draws import bridge_high, normal_quantile
from core.adapters.markets.synthetic import WORLDS, instrument_of, make_tape, make_world
from core.clock import DAY_MS, MINUTE_MS
from core.errors import ConfigError
from core.schema import Candles

START = 1_672_531_200_000
MILLION_DAYS = 695  # a million minutes


def bytes_of(candles: Candles) -> bytes:
    return b"".join(
        getattr(candles, name).tobytes() for name in ("ts", "open", "high", "low", "close", "volume", "taker_volume")
    )


@pytest.mark.parametrize("world", ["walk", "fat"])
def test_a_world_without_an_edge_is_a_fair_game(world):
    """The mean return of a million minutes is within its error of zero, in three seeds of three symbols."""
    scores = []
    for seed, symbol in ((1, "BTC/USDT"), (2, "ETH/USDT"), (3, "NEW/USDT")):
        close = make_world(world, symbol, START, MILLION_DAYS, seed).candles.close
        returns = close[1:] / close[:-1] - 1
        scores.append(returns.mean() / returns.std() * np.sqrt(len(returns)))
        logs = np.log(close[1:] / close[:-1]) + 0.5 * returns.var()
        assert abs(logs.mean()) <= 3 * logs.std() / np.sqrt(len(logs))
    assert max(map(abs, scores)) < 3
    assert abs(sum(scores)) < 3 * np.sqrt(len(scores))


def test_stopping_at_a_level_is_fair_too():
    """From any minute, a level touched on the way up or down is met without overshoot: P = b / (a + b)."""
    candles = make_world("walk", "BTC/USDT", START, MILLION_DAYS, seed=11).candles
    up, down = 1.01, 0.98
    hits = []
    i = 0
    while i < len(candles) - 1:
        start = candles.close[i]
        rest = slice(i + 1, i + 20_000)
        over = np.flatnonzero(candles.high[rest] >= start * up)
        under = np.flatnonzero(candles.low[rest] <= start * down)
        if not len(over) and not len(under):
            break
        first_over, first_under = (where[0] if len(where) else 20_000 for where in (over, under))
        hits.append(first_over < first_under)
        i += 1 + int(min(first_over, first_under))
    expected = (1 - down) / (up - down)
    error = np.sqrt(expected * (1 - expected) / len(hits))
    assert len(hits) > 500
    assert abs(np.mean(hits) - expected) < 3 * error


@pytest.mark.parametrize("p_star", [0.5, 0.8])
def test_decisions_reach_their_target_first_as_often_as_planted(p_star):
    worlds = [make_world("edge", symbol, START, 540, 7, p_star) for symbol in ("A/USDT", "B/USDT", "C/USDT", "D/USDT")]
    won = np.concatenate([world.decisions.query("edge")["won"].to_numpy() for world in worlds])
    fair = np.concatenate([world.decisions.query("not edge")["won"].to_numpy() for world in worlds])
    assert len(won) > 800
    assert len(fair) > 400
    assert abs(won.mean() - p_star) <= 3 * np.sqrt(p_star * (1 - p_star) / len(won))
    assert abs(fair.mean() - 0.5) <= 3 * 0.5 / np.sqrt(len(fair))


def test_the_candles_show_what_the_decisions_say():
    world = make_world("edge", "BTC/USDT", START, 365, 7)
    candles, tick = world.candles, instrument_of("BTC/USDT").tick
    assert len(world.decisions) > 150
    for one in world.decisions.itertuples():
        lo = int(one.began_ms - START) // MINUTE_MS + 1
        hi = int(one.ended_ms - START) // MINUTE_MS + 1
        top, bottom = candles.high[lo:hi].max(initial=0.0), candles.low[lo:hi].min(initial=np.inf)
        above = one.target if one.side > 0 else one.stop
        below = one.stop if one.side > 0 else one.target
        assert (top >= above - tick) == ((one.side > 0) == one.won)
        assert (bottom <= below + tick) == ((one.side > 0) != one.won)


def test_the_edge_is_on_in_low_and_normal_volatility_only():
    world = make_world("edge", "ETH/USDT", START, 365, 9)
    began = (world.decisions["began_ms"].to_numpy() - START) // MINUTE_MS
    assert (world.decisions["edge"].to_numpy() == (world.regime[began] < 2)).all()


def test_both_barriers_are_equally_far():
    decisions = make_world("edge", "ETH/USDT", START, 90, 9).decisions
    up, down = np.log(decisions["target"] / decisions["start"]), np.log(decisions["stop"] / decisions["start"])
    np.testing.assert_allclose(up, -down, atol=1e-12)
    assert (np.sign(up) == decisions["side"]).all()


@pytest.mark.parametrize("world", WORLDS)
def test_candles_keep_their_law(world):
    candles = make_world(world, "SOL/USDT", START, 60, 4).candles
    assert len(candles) == 60 * 1440
    assert (np.diff(candles.ts) == MINUTE_MS).all()
    assert (candles.high >= np.maximum(candles.open, candles.close)).all()
    assert (candles.low <= np.minimum(candles.open, candles.close)).all()
    assert (candles.low > 0).all()
    assert (candles.volume > 0).all()
    assert ((candles.taker_volume >= 0) & (candles.taker_volume <= candles.volume)).all()
    np.testing.assert_array_equal(candles.open[1:], candles.close[:-1])


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "PEPE/USDT:USDT", "DOGE/USDT", "UNHEARD/USDT"])
def test_prices_lie_on_the_tick_and_volumes_on_the_lot(symbol):
    candles, instrument = make_world("walk", symbol, START, 5, 4).candles, instrument_of(symbol)
    ticks = candles.close / instrument.tick
    lots = candles.volume / instrument.lot
    np.testing.assert_allclose(ticks, np.rint(ticks), rtol=1e-12)
    np.testing.assert_allclose(lots, np.rint(lots), rtol=1e-9)
    assert instrument.tick / candles.close[0] < 1e-5
    assert instrument.lot * candles.close[0] < 10


def test_volatility_comes_in_three_slow_regimes_of_like_weight():
    world = make_world("walk", "BTC/USDT", START, 1460, 2)
    share = np.bincount(world.regime, minlength=3) / len(world.regime)
    assert (share > 0.25).all()
    minutes_a_visit = len(world.regime) / (1 + np.count_nonzero(np.diff(world.regime)))
    assert 12 * 60 < minutes_a_visit < 48 * 60
    returns = np.diff(np.log(world.candles.close), prepend=np.nan)
    low, normal, high = (np.nanstd(returns[world.regime == regime]) for regime in range(3))
    assert 1.4 < normal / low < 1.9
    assert 1.4 < high / normal < 1.9


def test_the_fat_world_has_fat_tails():
    def kurtosis(world: str) -> float:
        returns = np.diff(np.log(make_world(world, "BTC/USDT", START, 200, 3).candles.close))
        return float(np.mean((returns / returns.std()) ** 4))

    assert kurtosis("walk") < 6
    assert kurtosis("fat") > 20


def test_volume_rises_with_the_move():
    candles = make_world("walk", "BTC/USDT", START, 60, 3).candles
    moves = np.abs(np.diff(np.log(candles.close)))
    assert np.corrcoef(moves, candles.volume[1:])[0, 1] > 0.3


@pytest.mark.parametrize("world", WORLDS)
def test_a_seed_gives_the_same_bytes_and_another_gives_others(world):
    first, again, other = (make_world(world, "BTC/USDT", START, 20, seed).candles for seed in (5, 5, 6))
    assert bytes_of(first) == bytes_of(again)
    assert bytes_of(first) != bytes_of(other)


def test_the_bytes_are_those_of_every_other_machine():
    """A change here changes every recorded figure of a synthetic market: the worlds are part of the interface."""
    digests = {
        world: hashlib.sha256(bytes_of(make_world(world, "BTC/USDT:USDT", START, 3, 7).candles)).hexdigest()[:16]
        for world in WORLDS
    }
    assert digests == {"edge": "af747e2755ba8c84", "fat": "e1a403fbec199c19", "walk": "bf555f1f906555bb"}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("days", [1, 14, 15, 16, 31])
def test_a_longer_tape_begins_with_the_shorter_one(world, days):
    longer = make_world(world, "ETH/USDT", START, 45, 8)
    shorter = make_world(world, "ETH/USDT", START, days, 8)
    assert bytes_of(longer.candles.slice(0, len(shorter.candles))) == bytes_of(shorter.candles)
    n = len(shorter.decisions)
    assert longer.decisions.head(n).equals(shorter.decisions)


def test_a_symbol_does_not_depend_on_which_others_are_asked_for():
    alone = make_tape("edge", ["ETH/USDT"], START, 3, 1)
    among = make_tape("edge", ["BTC/USDT", "ETH/USDT"], START, 3, 1)
    eth, btc = among.series["ETH/USDT"].candles, among.series["BTC/USDT"].candles
    assert bytes_of(alone.series["ETH/USDT"].candles) == bytes_of(eth)
    assert not np.array_equal(np.diff(np.log(eth.close)), np.diff(np.log(btc.close)))


def test_a_tape_covers_its_days():
    tape = make_tape("walk", ["BTC/USDT", "ETH/USDT"], START + 1234, 2, 1)
    assert (tape.start_ms, tape.end_ms) == (START, START + 2 * DAY_MS)
    assert tape.instruments("synthetic")["BTC/USDT"] == instrument_of("BTC/USDT")


@pytest.mark.parametrize(("fat", "edge"), [(False, False), (True, False), (False, True)])
def test_the_kernels_plain_text_gives_what_its_compiled_form_gives(fat, edge):
    lanes = _worlds.BASE_LANES + fat * _worlds.FAT_LANES + edge * _worlds.EDGE_LANES
    uniforms = np.random.default_rng(3).random((2500, lanes))
    uniforms.setflags(write=False)
    state = _worlds.first_state(4.0)
    before = state.copy()
    compiled = _worlds.play_minutes(uniforms, 0, state, 1e-3, fat, edge, 1.0)
    plain = _worlds.play_minutes.py_func(uniforms, 0, state, 1e-3, fat, edge, 1.0)
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(state, before)
    if edge:
        assert len(np.unique(compiled[2])) > 1


def test_the_normal_quantile_is_the_normal_quantile():
    u = np.concatenate([np.linspace(1e-4, 1 - 1e-4, 2001), 10.0 ** -np.arange(5, 17), 1 - 10.0 ** -np.arange(5, 15)])
    np.testing.assert_allclose([normal_quantile(one) for one in u], ndtri(u), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose([normal_quantile.py_func(one) for one in u], ndtri(u), rtol=1e-12, atol=1e-15)


def test_a_bridge_is_never_lower_than_its_ends_and_reaches_a_level_as_often_as_it_should():
    """P(max of a bridge from a to b over variance v exceeds m) = exp(-2 (m - a) (m - b) / v)."""
    u = np.random.default_rng(1).random(100_000)
    highs = np.array([bridge_high(0.0, 0.3, 1.0, one) for one in u])
    assert highs.min() >= 0.3
    for level in (0.5, 1.0, 1.5):
        expected = np.exp(-2 * level * (level - 0.3))
        assert abs((highs > level).mean() - expected) < 3 * np.sqrt(expected / len(u))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("wlak", ["BTC/USDT"], START, 1, 1), "exchange.synthetic.world: 'wlak' is not known; did you mean 'walk'"),
        (("walk", [], START, 1, 1), "symbols: none"),
        (("walk", ["BTC/USDT"], START, 0, 1), "exchange.synthetic.days: 0"),
        (("walk", ["BTC/USDT"], START, 1, -1), "exchange.synthetic.seed: -1"),
        (("edge", ["BTC/USDT"], START, 1, 1, 1.0), "exchange.synthetic.p_star: 1.0"),
    ],
)
def test_impossible_worlds_name_their_key(arguments, told):
    with pytest.raises(ConfigError, match=told):
        make_tape(*arguments)
