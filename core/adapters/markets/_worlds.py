"""The kernel of the generated markets: one-minute candles from a simulated path, given uniform numbers.

The law: a candle is what a continuous path did inside its minute. The log price moves in sub-steps of Brownian
motion, and the extreme between two of them is drawn from the law of a Brownian bridge, so that a level counts as
touched exactly when the path touched it.

A latent machine lives in the `edge` world: NEUTRAL (waits) -> IMPULSE (drifts a leg's length one way) ->
PULLBACK (gives a part of the leg back, slower) -> DECISION (a drift between two barriers) -> NEUTRAL.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from core.adapters.markets._draws import bridge_high, normal_quantile
from core.jit import njit
from core.schema import FloatArray

__all__ = [
    "BASE_LANES",
    "DECISION",
    "DECISION_COLUMNS",
    "EDGE_LANES",
    "FAT_LANES",
    "IMPULSE",
    "NEUTRAL",
    "PULLBACK",
    "first_state",
    "play_minutes",
]

SUBSTEPS = 4
# one row of uniform numbers a minute: a normal and two bridge extremes a sub-step, then these
LANE_REGIME, LANE_VOLUME, LANE_TAKER = 3 * SUBSTEPS, 3 * SUBSTEPS + 1, 3 * SUBSTEPS + 2
BASE_LANES = 3 * SUBSTEPS + 3
FAT_LANES = 4  # mixture (2), whether it jumps, how far
EDGE_LANES = 3  # the leg's side, its length, the wait after it

NEUTRAL, IMPULSE, PULLBACK, DECISION = 0, 1, 2, 3

# volatility: three regimes of equal weight; a factor of 1.65 between neighbours, about 30 hours in an outer one
REGIME_LOG_STEP = 0.5
REGIME_SWITCH = 1.0 / (30 * 60)
REGIME_GLIDE = 1.0 / 45.0  # part of the way to the new regime's volatility covered in a minute

# fat tails: Student's t with 4 degrees of freedom a minute, and a jump of 25 such minutes every three days
MIXTURE_ROOF = 400.0
JUMP_RATE = 1.0 / (3 * 1440)
JUMP_SIZE = 25.0

# the machine: an impulse of 25 to 35 minutes covers 5 standard deviations of the walk over that time, a leg of 4 to 5
# ATR of 15 minutes before it raises the ATR itself; it is over before a rule on such candles could live on it alone.
# Legs follow each other closely, so that many of such a rule's candidates are the machine's
LEG_SIGMAS = 5.0
LEG_SHORTEST_MIN, LEG_LONGEST_MIN = 25.0, 35.0
WAIT_SHORTEST_MIN, WAIT_MEAN_MIN = 30.0, 30.0
PULLBACK_DEPTH = 0.62  # of the leg, given back when the decision begins
PULLBACK_SLOWNESS = 6.0  # times the impulse's duration it takes on average
PULLBACK_CALM = 0.45  # its volatility over the usual
LEG_OUTGROWN = 1.4  # a leg that grows by this factor instead is no longer waited for
DECISION_LONGEST_MIN = 1800.0  # undecided until then, it is given up; this tells nothing about the side
TARGET_EXTENSION = 0.272  # the far barrier lies beyond the leg's end by this part of the leg

# the working state: log price, log volatility over its base, regime (0 1 2), then the machine's
X, LOG_VOL, REGIME, PHASE, SIDE, UNTIL, LEG_LOW, LEG_HIGH, LEG_GOAL, DRIFT, UP, DOWN, BEGAN, BEGAN_X, EDGE = range(15)
STATE_SIZE = 15
DECISION_COLUMNS = ("began", "ended", "side", "edge", "start", "target", "stop", "won")


def first_state(log_price: float) -> FloatArray:
    """Return the state a world begins in: normal volatility, the machine at rest."""
    state = np.zeros(STATE_SIZE)
    state[X] = log_price
    state[REGIME] = 1.0
    state[UNTIL] = WAIT_SHORTEST_MIN
    return state


@njit
def _drift(state: FloatArray, variance: float) -> float:
    """Return the log drift over a step of `variance`; the price is a fair game where the machine asks for none.

    Drifts are kept per unit of variance, so that they scale with volatility and odds do not depend on it.
    """
    if state[PHASE] == NEUTRAL or (state[PHASE] == DECISION and state[EDGE] == 0.0):
        return -0.5 * variance
    return float(state[SIDE] * state[DRIFT] * variance)


@njit
def _rest(state: FloatArray, minute: float, u_wait: float) -> None:
    """Send the machine back to NEUTRAL for a random while."""
    state[PHASE] = NEUTRAL
    state[UNTIL] = minute + WAIT_SHORTEST_MIN - WAIT_MEAN_MIN * math.log(u_wait)


@njit
def _begin_impulse(state: FloatArray, sigma: float, u_side: float, u_length: float) -> None:
    """Start a leg: up or down, of a random duration, its size in proportion to the volatility now."""
    minutes = LEG_SHORTEST_MIN * (LEG_LONGEST_MIN / LEG_SHORTEST_MIN) ** u_length
    size = LEG_SIGMAS * sigma * math.sqrt(minutes)
    state[PHASE] = IMPULSE
    state[SIDE] = 1.0 if u_side < 0.5 else -1.0
    start = state[SIDE] * state[X]
    state[LEG_LOW] = start
    state[LEG_HIGH] = start
    state[LEG_GOAL] = start + size
    state[DRIFT] = size / (minutes * sigma * sigma)


@njit
def _begin_decision(state: FloatArray, minute: float, log_odds: float) -> None:
    """Put the barriers and solve the drift.

    Both barriers are `a` away in log price: one beyond the leg's end, one beyond its start. A Brownian motion of
    drift m and variance v reaches the upper of them first with probability ``1 / (1 + exp(-2 m a / v))``
    (Karatzas and Shreve 1991, section 3.5.C), so ``m / v = log_odds / (2 a)``.
    """
    here = state[SIDE] * state[X]
    away = state[LEG_HIGH] + TARGET_EXTENSION * (state[LEG_HIGH] - state[LEG_LOW]) - here
    state[PHASE] = DECISION
    state[UP] = here + away
    state[DOWN] = here - away
    state[EDGE] = 1.0 if state[REGIME] < 2.0 else 0.0
    state[DRIFT] = log_odds / (2.0 * away)
    state[BEGAN] = minute
    state[BEGAN_X] = state[X]


@njit
def _move_machine(
    state: FloatArray, high: float, low: float, minute: float, log_odds: float, u_wait: float, row: FloatArray
) -> bool:
    """Let the machine see the extremes of a sub-step; True if a decision fell, which is then written to `row`."""
    side = state[SIDE]
    best = high if side > 0 else -low
    worst = low if side > 0 else -high
    if state[PHASE] == IMPULSE:
        state[LEG_LOW] = min(state[LEG_LOW], worst)
        state[LEG_HIGH] = max(state[LEG_HIGH], best)
        if best >= state[LEG_GOAL]:
            state[PHASE] = PULLBACK
            state[DRIFT] *= -PULLBACK_DEPTH / (PULLBACK_SLOWNESS * PULLBACK_CALM**2)
    elif state[PHASE] == PULLBACK:
        state[LEG_HIGH] = max(state[LEG_HIGH], best)
        leg = state[LEG_HIGH] - state[LEG_LOW]
        if worst <= state[LEG_HIGH] - PULLBACK_DEPTH * leg:
            _begin_decision(state, minute, log_odds)
        elif leg > LEG_OUTGROWN * (state[LEG_GOAL] - state[LEG_LOW]):
            _rest(state, minute, u_wait)
    elif best >= state[UP] or worst <= state[DOWN]:
        row[0] = state[BEGAN]
        row[1] = minute
        row[2] = side
        row[3] = state[EDGE]
        row[4] = state[BEGAN_X]
        row[5] = side * state[UP]
        row[6] = side * state[DOWN]
        row[7] = 0.0 if worst <= state[DOWN] else 1.0
        _rest(state, minute, u_wait)
        return True
    elif minute - state[BEGAN] > DECISION_LONGEST_MIN:
        _rest(state, minute, u_wait)
    return False


@njit
def _volatility(state: FloatArray, u: float) -> float:
    """Return the next minute's volatility over its base; regimes change to a neighbour, so that all weigh the same."""
    if u < REGIME_SWITCH:
        state[REGIME] = 1.0 if state[REGIME] != 1.0 else 0.0
    elif state[REGIME] == 1.0 and u > 1.0 - REGIME_SWITCH:
        state[REGIME] = 2.0
    state[LOG_VOL] += REGIME_GLIDE * ((state[REGIME] - 1.0) * REGIME_LOG_STEP - state[LOG_VOL])
    return math.exp(state[LOG_VOL])


@njit
def _shock(state: FloatArray, u: FloatArray, sigma: float) -> float:
    """Let the price jump, rarely, and return by how much the minute's variance exceeds the usual.

    A normal whose variance is ``4 / chi2(4)`` is Student's t with 4 degrees of freedom; ``chi2(4)`` is
    ``-2 ln(u v)``, and half of the ratio has mean 1.
    """
    if u[2] < JUMP_RATE:
        size = JUMP_SIZE * sigma
        state[X] += size * normal_quantile(u[3]) - 0.5 * size * size
    return min(MIXTURE_ROOF, -1.0 / math.log(u[0] * u[1]))


@njit
def play_minutes(
    uniforms: FloatArray, first: int, state: FloatArray, sigma: float, fat: bool, edge: bool, log_odds: float
) -> tuple[FloatArray, npt.NDArray[np.int8], npt.NDArray[np.int8], FloatArray, FloatArray]:
    """Simulate the minutes that follow a state.

    Parameters
    ----------
    uniforms : float64 array, shape (n, lanes)
        Independent, in (0, 1): `BASE_LANES` a minute, then `FAT_LANES` or `EDGE_LANES`.
    first : int
        Number of the first minute since the world began.
    state : float64 array
        From `first_state` or an earlier call.
    sigma : float
        Volatility of a minute in the normal regime, log price.
    fat, edge : bool
        Which world.
    log_odds : float
        ``ln(p / (1 - p))`` of the target in a decision with an edge.

    Returns
    -------
    tuple of arrays
        Highest, lowest, last log price and volatility of each minute (n, 4); regime; phase at the minute's end;
        finished decisions (m, 8), columns `DECISION_COLUMNS`, in minutes and log prices; the state after it all.
    """
    n = len(uniforms)
    state = state.copy()
    path = np.empty((n, 4))
    regime = np.empty(n, np.int8)
    phase = np.empty(n, np.int8)
    decisions = np.empty((n // int(WAIT_SHORTEST_MIN) + 2, len(DECISION_COLUMNS)))
    decided = 0
    for i in range(n):
        u = uniforms[i]
        minute = float(first + i)
        now = sigma * _volatility(state, u[LANE_REGIME])
        variance = now * now / SUBSTEPS
        high, low = state[X], state[X]
        if fat:
            variance *= _shock(state, u[BASE_LANES:], now)
            high, low = max(high, state[X]), min(low, state[X])
        if edge and state[PHASE] == NEUTRAL and minute >= state[UNTIL]:
            _begin_impulse(state, now, u[BASE_LANES], u[BASE_LANES + 1])
        for k in range(SUBSTEPS):
            step = variance * PULLBACK_CALM**2 if state[PHASE] == PULLBACK else variance
            start = state[X]
            end = start + _drift(state, step) + math.sqrt(step) * normal_quantile(u[3 * k])
            top = bridge_high(start, end, step, u[3 * k + 1])
            bottom = -bridge_high(-start, -end, step, u[3 * k + 2])
            high, low = max(high, top), min(low, bottom)
            state[X] = end
            if state[PHASE] != NEUTRAL:
                decided += _move_machine(state, top, bottom, minute, log_odds, u[BASE_LANES + 2], decisions[decided])
        path[i, 0], path[i, 1], path[i, 2], path[i, 3] = high, low, state[X], now
        regime[i] = int(state[REGIME])
        phase[i] = int(state[PHASE])
    return path, regime, phase, decisions[:decided], state
