"""Stress of what is on record, as text: the same trades under other assumptions.

The law: it only reads. What the viewer's page Results shows on demand is computed by the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import UsageError, nearest
from core.jobs._subject import narrowed
from core.pipeline import simulate
from core.results.metrics import SYNTHETIC, UNGATED
from core.results.rows import newest_policy, plan_table
from core.results.stress import Progress, stress
from core.results.stress_words import told
from core.results.variants import VARIANTS
from core.store.reader import Reader

__all__ = ["StressRequest", "stress_text"]

_NOTHING = "Fill in signals and trades with `python retro_scan.py`, then ask again."
_HEADS = ["id", "exchange", "symbol", "timeframe", "decided_ms", "plan_hash", "in_sample"]


@dataclass(frozen=True, slots=True)
class StressRequest:
    """What to play again.

    Parameters
    ----------
    symbols, timeframes : sequence of str
        Only these; empty for all on record.
    start_ms, end_ms : int or None
        Only candidates decided in ``[start_ms, end_ms)``.
    exit_policy : str or None
        Whose trades; the newest unless given.
    variants : sequence of str
        See `core.results.variants`.
    """

    symbols: Sequence[str] = ()
    timeframes: Sequence[str] = ()
    start_ms: int | None = None
    end_ms: int | None = None
    exit_policy: str | None = None
    variants: Sequence[str] = VARIANTS


def stress_text(reader: Reader, request: StressRequest, progress: Progress | None = None) -> str:
    """Play the newest plan's trades again under each assumption and return the tables.

    Parameters
    ----------
    reader : Reader
    request : StressRequest
    progress : callable, optional
        Called with parts done, parts in all and the symbol.

    Returns
    -------
    str
        Ready to print. Without anything to play it says so.

    Raises
    ------
    UsageError
        A symbol, timeframe or exit policy that is not on record, or an unknown variant.
    """
    newest = reader.signals(limit=1, columns=["exchange", "verdict"])
    if newest.empty:
        return f"No signals yet. {_NOTHING}"
    exchange = str(newest["exchange"].iloc[0])
    heads = reader.signals(exchange=exchange, columns=_HEADS)
    plan_hash = str(plan_table(heads).index[0])
    trades = reader.trades(exchange=exchange, columns=["signal_id", "exit_policy"])
    if trades.empty:
        return f"No trades of {exchange} yet. {_NOTHING}"
    policies = sorted(set(trades["exit_policy"]))
    exit_policy = request.exit_policy or newest_policy(trades, reader.exit_policies())
    if exit_policy not in policies:
        raise UsageError(f"exit policy '{exit_policy}' is not on record; {nearest(exit_policy, policies)}")
    played = trades.loc[trades["exit_policy"] == exit_policy, "signal_id"]
    of_plan = heads[(heads["plan_hash"] == plan_hash) & heads["id"].isin(played) & (heads["in_sample"] == 0)]
    chosen = narrowed(of_plan, request.symbols, request.timeframes, request.start_ms, request.end_ms)
    head = f"{exchange}, plan {plan_hash}, exit policy {exit_policy}: {len(chosen):,} of {len(of_plan):,} candidates"
    if chosen.empty:
        return f"{head}. Nothing to play in this choice."
    found = stress(reader, exchange, exit_policy, chosen, simulate, request.variants, progress)
    warnings = [SYNTHETIC] * (reader.meta(f"synthetic:{exchange}") == "1")
    warnings += [UNGATED] * (str(newest["verdict"].iloc[0]) == "UNGATED")
    return "\n".join([head, *warnings, told(found)])
