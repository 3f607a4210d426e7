"""What makes two plays of one plan comparable: the parameters they were played under.

The law: trades carry ``name@hash8`` over exit, execution and cost parameters, and the text behind the
hash is stored, so a trade goes on under the parameters it began with whatever the configuration says later.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from core.errors import StoreError
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.ports import ExitPolicy

__all__ = ["exit_policy_id", "exit_policy_params", "from_params"]

_HASH_DIGITS = 8


def exit_policy_params(policy: ExitPolicy, rules: ExecutionRules, costs: CostModel) -> str:
    """Return the parameters as one canonical line of JSON, the text behind the identity.

    Keys are sorted and whole numbers written without a fraction, so ``1`` and ``1.0`` are one parameter.
    """
    parts = {"policy": policy.name, "exit": policy.params(), "rules": rules.params(), "costs": costs.params()}
    return json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)


def exit_policy_id(policy: ExitPolicy, rules: ExecutionRules, costs: CostModel) -> str:
    """Return ``name@hash8``, the value of ``trades.exit_policy``.

    Parameters
    ----------
    policy : ExitPolicy
    rules : ExecutionRules
    costs : CostModel

    Examples
    --------
    >>> from core.exits.fixed_r import FixedR
    >>> costs = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
    >>> exit_policy_id(FixedR(r=2), ExecutionRules(), costs) == exit_policy_id(FixedR(r=2.0), ExecutionRules(), costs)
    True
    """
    text = exit_policy_params(policy, rules, costs)
    return f"{policy.name}@{hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}"


def from_params(text: str) -> tuple[str, dict[str, Any], ExecutionRules, CostModel]:
    """Return policy name, its parameters, rules and costs out of what `exit_policy_params` wrote.

    Raises
    ------
    StoreError
        The text is not one of ours.
    """
    try:
        parts = json.loads(text)
        rules, costs = ExecutionRules(**parts["rules"]), CostModel(**parts["costs"])
        return str(parts["policy"]), dict(parts["exit"]), rules, costs
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"stored exit policy {text[:80]!r}: expected the JSON of its parameters ({error})") from error


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
