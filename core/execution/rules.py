"""The rules an order is played under, other than its plan, its exit plan and its costs.

The law: a value that the kernel cannot play is refused here, once; everything below trusts it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.errors import ConfigError, nearest

__all__ = ["BAR_POLICIES", "FILLS", "ExecutionRules"]

FILLS = ("touch", "through")
BAR_POLICIES = ("conservative", "optimistic")


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """How candles are read when an order waits and a position is held.

    Parameters
    ----------
    entry_delay_candles : int
        Base candles between the decision and the first one an order can meet; an alert must first arrive.
    fill : str
        ``touch``: a resting order fills when price reaches it; ``through``: when price goes beyond it.
    bar_policy : str
        Which comes first when a candle holds both the stop and the target: ``conservative`` the stop,
        ``optimistic`` the target.
    cancel_if_missed : bool
        Cancel a waiting order once price has been at the plan's first target.
    usd_per_trade : float
        The equal stake behind ``pnl_usd``, quote currency.

    Raises
    ------
    ConfigError
        A value is outside what is named above.

    Examples
    --------
    >>> ExecutionRules(fill="through").fill
    'through'
    """

    entry_delay_candles: int = 1
    fill: str = "touch"
    bar_policy: str = "conservative"
    cancel_if_missed: bool = True
    usd_per_trade: float = 100.0

    def __post_init__(self) -> None:
        delay = self.entry_delay_candles
        if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
            raise ConfigError(
                f"execution.entry_delay_candles: {delay!r}; expected a whole number of minutes, 0 or more"
            )
        if self.fill not in FILLS:
            raise ConfigError(f"execution.fill: {self.fill!r}; {nearest(str(self.fill), FILLS)}")
        if self.bar_policy not in BAR_POLICIES:
            raise ConfigError(f"signals.bar_policy: {self.bar_policy!r}; {nearest(str(self.bar_policy), BAR_POLICIES)}")
        if not isinstance(self.cancel_if_missed, bool):
            raise ConfigError(f"execution.cancel_if_missed: {self.cancel_if_missed!r}; expected true or false")
        if not (math.isfinite(self.usd_per_trade) and self.usd_per_trade > 0):
            raise ConfigError(f"signals.evaluation.usd_per_trade: {self.usd_per_trade!r}; expected more than 0")

    def params(self) -> dict[str, bool | int | float | str]:
        """Return the rules as plain JSON values, for identities."""
        return {
            "entry_delay_candles": self.entry_delay_candles,
            "fill": self.fill,
            "bar_policy": self.bar_policy,
            "cancel_if_missed": self.cancel_if_missed,
            "usd_per_trade": self.usd_per_trade,
        }
