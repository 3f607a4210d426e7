"""What a job is given, and what it gives back.

The law: a job is `run(desk, now_ms) -> Report`. It finds everything it needs on the desk, asks no clock,
and keeps nothing between runs but `memory`, which can always be made again from the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from core.config import Config, ConfigSource
from core.errors import TraderError
from core.execution.costs import CostModel
from core.execution.identity import exit_policy_id
from core.execution.rules import ExecutionRules
from core.features import FeatureSet
from core.ports import ExitPolicy, Market, Notifier, Setup
from core.store.reader import Reader
from core.store.writer import Writer

__all__ = ["Desk", "Report", "by_reason"]


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a job did.

    Parameters
    ----------
    job : str
        The job's name, as in `job_runs`.
    ok : bool
        False when something needs a person's eye.
    counts : dict of str to int
        Such as ``{"candles": 12}``.
    problems : tuple of str
        One whole line each.
    exit_code : int
        What a command ends with that ran only this job, where it is not `ok`; see `core.errors`.
    text : str
        What a person may want to read of it, where a line is not enough.
    """

    job: str
    ok: bool = True
    counts: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    exit_code: int = TraderError.exit_code
    text: str = ""

    def counted(self) -> str:
        """Return what was done, in one short line."""
        told = ", ".join(f"{name} {count}" for name, count in self.counts.items() if count)
        return f"{self.job}: {told or 'nothing to do'}"

    def __str__(self) -> str:
        return self.counted() + "".join(f"; {line}" for line in self.problems)


def by_reason(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return one line a reason, however many symbols share it.

    Parameters
    ----------
    problems : iterable of (str, str)
        Symbol and reason.

    Examples
    --------
    >>> by_reason([("BTC/USDT", "no answer"), ("ETH/USDT", "no answer"), ("SOL/USDT", "not listed")])
    ['BTC/USDT and 1 more: no answer', 'SOL/USDT: not listed']
    """
    symbols: dict[str, list[str]] = {}
    for symbol, reason in problems:
        symbols.setdefault(reason, []).append(symbol)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in symbols.items()
    ]


@dataclass(slots=True)
class Desk:
    """Everything a job works with; `app.open_desk` builds it.

    Parameters
    ----------
    config : Config
        The configuration in force for this cycle.
    market : Market
    writer : Writer
        The one writing connection of the process; `reader` reads over the same connection.
    reader : Reader
    exchange : str
        The exchange rows are recorded under.
    symbols : list of str
        Symbols being followed; those switched off are not among them.
    setups : list of Setup
    exit_policy : ExitPolicy
    costs : CostModel
    rules : ExecutionRules
    notifiers : dict of str to Notifier
        By channel name.
    log : logging.Logger
    features : FeatureSet or None
        What candidates are described by; None where `models.meta.enabled` is false.
    source : ConfigSource or None
        Where `config` came from, for what writes to it.
    reopen : callable or None
        Opens the same desk in another process, with a market that is not asked; can be pickled.
    memory : dict
        Per-job caches between cycles.
    """

    config: Config
    market: Market
    writer: Writer
    reader: Reader
    exchange: str
    symbols: list[str]
    setups: list[Setup]
    exit_policy: ExitPolicy
    costs: CostModel
    rules: ExecutionRules
    notifiers: dict[str, Notifier]
    log: logging.Logger
    features: FeatureSet | None = None
    source: ConfigSource | None = None
    reopen: Callable[[], Desk] | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def exits(self) -> str:
        """The identity of the exit, execution and cost parameters in force."""
        return exit_policy_id(self.exit_policy, self.rules, self.costs)
