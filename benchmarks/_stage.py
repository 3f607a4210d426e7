"""What is prepared before anything is measured.

The law: every case reads the same candles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import _data
from core.schema import Candles

__all__ = ["TIMEFRAMES", "Stage", "prepare"]

TIMEFRAMES = ("5m", "15m", "1h", "4h")


@dataclass(frozen=True)
class Stage:
    """What is prepared before anything is measured.

    Parameters
    ----------
    folder : Path
        For everything that is written.
    days : int
        Length of the history.
    candles : Path
        Its minutes, for the workers to read.
    minutes, whole : Path
        Configurations beside a database with the minutes, and one with the longer candles too.
    about : str
        What the candles are.
    """

    folder: Path
    days: int
    candles: Path
    minutes: Path
    whole: Path
    about: str

    def room(self, name: str) -> str:
        """Return a folder of that name."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return str(path)


def prepare(folder: Path, candles: Candles, about: str) -> Stage:
    """Write candles and databases into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _data.save_candles(folder / "candles.npz", candles)
    configs = [_data.write_config(folder / name, [_data.BTC], TIMEFRAMES) for name in ("minutes", "whole")]
    for config, derived in zip(configs, (False, True), strict=True):
        _data.fill(config, {_data.BTC: candles}, derived)
    minutes, whole = configs
    return Stage(folder, len(candles) // 1_440, path, minutes, whole, about)
