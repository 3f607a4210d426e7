"""The assumptions trades can be played again under, by name.

The law: a variant changes only what it names; the plan, the exit policy and the candles stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.errors import UsageError, nearest
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules

__all__ = ["PLAYED", "VARIANTS", "Variant", "variants"]

PLAYED = "played"
VARIANTS = (
    *("conservative", "optimistic", "through", "costs-1.5"),
    *("delay-1", "delay-2", "delay-5", "delay-15", "together"),
)
"""The assumptions that are looked at unless others are named."""

_KNOWN = ("conservative", "optimistic", "touch", "through", "costs-1.5", "delay-5", "together")
_TOGETHER_COSTS, _TOGETHER_DELAY = 1.5, 5
_BARS = {
    "conservative": "in a minute that holds both stop and target, the stop came first",
    "optimistic": "in a minute that holds both stop and target, the target came first",
}
_FILLS = {
    "touch": "a resting order is filled as soon as price touches it",
    "through": "a resting order is filled only once price goes beyond it; those ahead in the queue come first",
}
_MOST_MINUTES = 10_080
_MOST_COSTS = 100.0
_BOUNDS = {
    "delay": f"expected whole minutes, delay-0 to delay-{_MOST_MINUTES}",
    "costs": f"expected costs-0 to costs-{_MOST_COSTS:g}",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One set of assumptions.

    Parameters
    ----------
    name : str
    meaning : str
        In words.
    rules : ExecutionRules
    costs : CostModel
    """

    name: str
    meaning: str
    rules: ExecutionRules
    costs: CostModel

    @property
    def terms(self) -> tuple[ExecutionRules, CostModel]:
        """What it is played under; variants with equal terms have equal results."""
        return self.rules, self.costs


def variants(names: Sequence[str], rules: ExecutionRules, costs: CostModel) -> list[Variant]:
    """Return the assumptions of that name, those the trades were played under first.

    Parameters
    ----------
    names : sequence of str
        Of `conservative`, `optimistic` (bars), `touch`, `through` (fills), ``costs-X`` (fees and slippage times X, such
        as ``costs-1.5``), ``delay-N`` (N minutes from the decision to the first fill) and `together`.
    rules, costs
        Those the trades were played under; a variant changes only what it names.

    Raises
    ------
    UsageError
        No such variant.

    Examples
    --------
    >>> costs = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
    >>> [v.name for v in variants(["through", "delay-5"], ExecutionRules(), costs)]
    ['played', 'through', 'delay-5']
    """
    meaning = f"as on record: {_BARS[rules.bar_policy]}; {_FILLS[rules.fill]}; {_delay(rules.entry_delay_candles)}"
    wanted = [name for name in dict.fromkeys(names) if name != PLAYED]
    return [Variant(PLAYED, meaning, rules, costs), *(_variant(name, rules, costs) for name in wanted)]


def _variant(name: str, rules: ExecutionRules, costs: CostModel) -> Variant:
    kind, _, number = name.partition("-")
    if name in _BARS:
        return Variant(name, _BARS[name], replace(rules, bar_policy=name), costs)
    if name in _FILLS:
        return Variant(name, _FILLS[name], replace(rules, fill=name), costs)
    if kind == "delay" and number.isascii() and number.isdigit() and int(number) <= _MOST_MINUTES:
        minutes = int(number)
        return Variant(name, _delay(minutes), replace(rules, entry_delay_candles=minutes), costs)
    if kind == "costs" and _factor(number) is not None:
        factor = _factor(number) or 0.0
        meaning = f"fees and slippage are {factor:g} times those on record; funding is as it was"
        return Variant(name, meaning, rules, _dearer(costs, factor))
    if name == "together":
        minutes = max(_TOGETHER_DELAY, rules.entry_delay_candles)
        against = replace(rules, bar_policy="conservative", fill="through", entry_delay_candles=minutes)
        meaning = (
            f"all of it against you: stop first, fills only beyond the price, costs times {_TOGETHER_COSTS:g}, "
            f"first fill {minutes} min after the decision"
        )
        return Variant(name, meaning, against, _dearer(costs, _TOGETHER_COSTS))
    if kind in _BOUNDS and _is_number(number):
        raise UsageError(f"variant '{name}': {_BOUNDS[kind]}")
    raise UsageError(f"variant '{name}' is not known; {nearest(name, _KNOWN)}")


def _delay(minutes: int) -> str:
    return f"an order can be filled from {minutes} min after the decision on"


def _factor(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0.0 <= value <= _MOST_COSTS else None


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _dearer(costs: CostModel, factor: float) -> CostModel:
    """Return costs times a factor; what is received instead of paid shrinks by as much."""
    more = {name: getattr(costs, name) for name in ("maker_pct", "taker_pct", "slippage_pct")}
    return replace(costs, **{name: value + (factor - 1.0) * abs(value) for name, value in more.items()})
