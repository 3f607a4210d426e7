"""Under which terms closes were decided: all that a signal follows from beside the candles.

The law: the terms in force are written down when live decisions begin under them, so that a decision can be made
again later as it was made then, whatever the configuration and the exchange say by now.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from core.errors import StoreError
from core.risk.sizing import RiskRules
from core.schema import Instrument

__all__ = ["Terms", "terms_to_text", "text_to_terms"]


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
    """

    plan_hashes: Sequence[str]
    risk: RiskRules
    meta_enabled: bool
    instrument: Instrument


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
    parts = {
        "plans": sorted(terms.plan_hashes),
        "risk": asdict(terms.risk),
        "meta_enabled": terms.meta_enabled,
        "instrument": [told.exchange, told.symbol, told.tick, told.lot, told.min_notional],
    }
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
        return Terms(tuple(parts["plans"]), risk, bool(parts["meta_enabled"]), instrument)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"stored terms {text[:80]!r}: expected the JSON of what decisions follow from ({error})"
        ) from error
