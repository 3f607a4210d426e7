"""Under which terms closes were decided: all that a signal follows from beside the candles.

The law: the terms in force are written down when live decisions begin under them, so that a decision can be made
again later as it was made then, whatever the configuration and the exchange say by now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from core.errors import StoreError
from core.risk.sizing import RiskRules
from core.schema import Instrument

__all__ = ["Judging", "Terms", "terms_to_text", "text_to_terms"]


@dataclass(frozen=True, slots=True)
class Judging:
    """By what candidates were described and filtered, beside the model and the thresholds in force.

    Parameters
    ----------
    feature_set : str
        Identity of the features; ``""`` where candidates were not described.
    benchmark : str
        The symbol the market was measured by; ``""`` where it was not followed.
    exit_policy : str
        Whose outcomes counted.
    filters : mapping of str to (float or None, float or None)
        `signals.filters`: least and greatest value of features.
    """

    feature_set: str = ""
    benchmark: str = ""
    exit_policy: str = ""
    filters: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What decisions followed from.

    Parameters
    ----------
    plan_hashes : sequence of str
        One for each setup in force; each stands for the setup's parameters, costs and validity.
    risk : RiskRules
        What sizes followed from.
    meta_enabled : bool
        `models.meta.enabled`.
    instrument : Instrument
        Steps and least order, as the exchange told them then.
    judging : Judging or None
        None where it was not noted: by versions that described nothing.
    """

    plan_hashes: Sequence[str]
    risk: RiskRules
    meta_enabled: bool
    instrument: Instrument
    judging: Judging | None = None


def terms_to_text(terms: Terms) -> str:
    """Return terms as one canonical line of JSON.

    Examples
    --------
    >>> risk = RiskRules(10_000, 0.5, 10, 0.5, 0.5)
    >>> terms = Terms(("ab12",), risk, True, Instrument("bitget", "BTC/USDT:USDT", tick=0.1))
    >>> text_to_terms(terms_to_text(terms)) == terms
    True
    """
    told = terms.instrument
    parts: dict[str, Any] = {
        "plans": sorted(terms.plan_hashes),
        "risk": asdict(terms.risk),
        "meta_enabled": terms.meta_enabled,
        "instrument": [told.exchange, told.symbol, told.tick, told.lot, told.min_notional],
    }
    if terms.judging is not None:
        parts["judging"] = asdict(terms.judging)
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)


def text_to_terms(text: str) -> Terms:
    """Return the terms that `terms_to_text` wrote.

    Raises
    ------
    StoreError
        The text is not one of ours.
    """
    try:
        parts = json.loads(text)
        risk, instrument = RiskRules(**parts["risk"]), Instrument(*parts["instrument"])
        judging = _judging(parts["judging"]) if "judging" in parts else None
        return Terms(tuple(parts["plans"]), risk, bool(parts["meta_enabled"]), instrument, judging)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"stored terms {text[:80]!r}: expected the JSON of what decisions follow from ({error})"
        ) from error


def _judging(parts: dict[str, Any]) -> Judging:
    filters = {name: (least, most) for name, (least, most) in parts["filters"].items()}
    return Judging(**{**parts, "filters": filters})
