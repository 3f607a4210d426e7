"""Which runs are made of which peer.

The law: each gets candles in the form it likes best, prepared beforehand and not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._measure import run_process
from benchmarks.peers._environment import python_of

__all__ = ["PEERS", "Candidate", "Data", "Peer"]

SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class Data:
    """Candles of two symbols, as minutes and as five minutes, and a folder to write in."""

    folder: Path
    minutes: Path
    five: Path
    other_minutes: Path
    other_five: Path
    about: str


@dataclass(frozen=True)
class Candidate:
    """One run: what it is called, its arguments, and whether its rule reads one-minute candles."""

    label: str
    arguments: tuple[str, ...]
    minutes: bool = False


@dataclass(frozen=True)
class Peer:
    """A program: its package, the command that runs its script, and its runs."""

    package: str
    runs: Callable[[Data], list[Candidate]]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> tuple[str, str]:
        """Interpreter and script."""
        return python_of(self.package), str(SCRIPTS / f"run_{self.package}.py")


def _freqtrade(data: Data) -> list[Candidate]:
    home = data.folder / "freqtrade"
    prepare = [f"BTC:{data.minutes}:{data.five}", f"ETH:{data.other_minutes}:{data.other_five}"]
    peer = PEERS["freqtrade"]
    run_process([*peer.command, "prepare", str(home), *prepare], data.folder)
    common = ("backtesting", "--config", f"{home}/config.json", "--userdir", str(home))
    common += ("--datadir", f"{home}/data/binance", "--strategy", "Cross", "--strategy-path", f"{home}/strategies")
    common += ("--fee", "0.0006", "--export", "none", "--cache", "none")
    detail = (*common, "-i", "5m", "--timeframe-detail", "1m")
    return [
        Candidate("freqtrade 5m, 1m detail", (*detail, "-p", "BTC/USDT")),
        Candidate("freqtrade 5m, 1m detail, two symbols", (*detail, "-p", "BTC/USDT", "ETH/USDT")),
        Candidate("freqtrade 1m", (*common, "-i", "1m", "-p", "BTC/USDT"), minutes=True),
    ]


def _plain(name: str, *more: tuple[str, str]) -> Callable[[Data], list[Candidate]]:
    """Runs of a script that takes the candles and perhaps a word: on 5m, and on 1m."""

    def runs(data: Data) -> list[Candidate]:
        words = dict(more)
        five, one = ([words[key]] if key in words else [] for key in ("5m", "1m"))
        return [
            Candidate(f"{name} 5m", (str(data.five), *five)),
            Candidate(f"{name} 1m", (str(data.minutes), *one), minutes=True),
        ]

    return runs


def _jesse(data: Data) -> list[Candidate]:
    return [
        Candidate("jesse 5m, fast mode", (str(data.minutes), "5m", "fast")),
        Candidate("jesse 1m, fast mode", (str(data.minutes), "1m", "fast"), minutes=True),
    ]


PEERS = {
    peer.package: peer
    for peer in (
        Peer("freqtrade", _freqtrade),
        Peer("nautilus_trader", _plain("nautilus_trader", ("5m", "5"), ("1m", "1"))),
        Peer("jesse", _jesse),
        Peer("backtesting", _plain("backtesting")),
        Peer("vectorbt", _plain("vectorbt")),
    )
}
