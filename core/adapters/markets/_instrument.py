"""What ccxt says about a symbol, as an `Instrument`.

The law: a step that is not known for certain is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.schema import Instrument

__all__ = ["has_ended", "to_instrument"]

# What exchanges call a symbol that will not trade again (Bitget's contracts: off, spot: offline; Bybit: closed; others:
# delisted). A symbol that is halted or maintained may come back and is not among them.
_ENDED = frozenset({"off", "offline", "closed", "delisted"})


def has_ended(market: Mapping[str, Any]) -> bool:
    """Say whether the exchange lists a symbol as ended for good.

    Examples
    --------
    >>> has_ended({"active": False, "info": {"symbolStatus": "off"}})
    True
    >>> has_ended({"active": False, "info": {"symbolStatus": "maintain"}})
    False
    """
    told = market.get("info")
    if market.get("active") is not False or not isinstance(told, Mapping):
        return False
    return any(str(told.get(name, "")).lower() in _ENDED for name in ("status", "symbolStatus", "state"))


def to_instrument(client: Any, exchange: str, symbol: str, market: Mapping[str, Any]) -> Instrument:
    """Read ccxt's description of a symbol.

    Parameters
    ----------
    client : object
        The ccxt client; says how it writes precision.
    exchange, symbol : str
    market : mapping
        One entry of ccxt's markets.

    Returns
    -------
    Instrument
        Tick, lot (base units) and least notional, None where unknown.
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    lot = _to_step(client, precision.get("amount"))
    if market.get("contract"):
        # Contracts of an inverse market are counted in quote currency; their lot has no size in base units.
        size = market.get("contractSize")
        lot = None if lot is None or not size or market.get("inverse") else lot * float(size)
    least = (limits.get("cost") or {}).get("min")
    return Instrument(
        exchange=exchange,
        symbol=symbol,
        tick=_to_step(client, precision.get("price")),
        lot=lot,
        min_notional=float(least) if least else None,
        active=market.get("active") is not False,
    )


def _to_step(client: Any, precision: float | None) -> float | None:
    """The smallest step; None where the exchange counts significant digits."""
    import ccxt.async_support as vendor

    if precision is None or client.precisionMode == vendor.SIGNIFICANT_DIGITS:
        return None
    step = 10.0 ** -int(precision) if client.precisionMode == vendor.DECIMAL_PLACES else float(precision)
    return step if step > 0 else None
