"""Draws of the generated markets from uniform numbers: a normal, and the extreme of a path between two points.

The law: a draw is a function of its numbers alone, by inversion, so that a world is the same wherever it is made.
"""

from __future__ import annotations

import math

from core.jit import njit

__all__ = ["bridge_high", "normal_quantile"]

# coefficients of AS 241, highest power first
AS241_A = (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
           13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608)  # fmt: skip
AS241_B = (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
           5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0)  # fmt: skip
AS241_C = (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
           3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734)  # fmt: skip
AS241_D = (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
           0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0)  # fmt: skip
AS241_E = (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
           0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772)  # fmt: skip
AS241_F = (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
           0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0)  # fmt: skip


@njit
def _horner(coefficients: tuple[float, ...], r: float) -> float:
    total = 0.0
    for coefficient in coefficients:
        total = total * r + coefficient
    return total


@njit
def normal_quantile(u: float) -> float:
    """Return the standard normal quantile of ``0 < u < 1``.

    References
    ----------
    M. J. Wichura (1988), Algorithm AS 241, PPND7 and PPND16, Applied Statistics 37, 477-484; the 16 digit version.
    """
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _horner(AS241_A, r) / _horner(AS241_B, r)
    r = math.sqrt(-math.log(min(u, 1.0 - u)))
    if r <= 5.0:
        return math.copysign(_horner(AS241_C, r - 1.6) / _horner(AS241_D, r - 1.6), q)
    return math.copysign(_horner(AS241_E, r - 5.0) / _horner(AS241_F, r - 5.0), q)


@njit
def bridge_high(a: float, b: float, variance: float, u: float) -> float:
    """Return the highest point of a Brownian bridge from `a` to `b`, by the inverse of its distribution."""
    return 0.5 * (a + b + math.sqrt((b - a) * (b - a) - 2.0 * variance * math.log(u)))
