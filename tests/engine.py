"""What tests of the whole engine share: a configuration in a folder, commands run in it, rows compared."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from core.cli import main
from core.store.reader import Reader

ROOT = Path(__file__).resolve().parent.parent
NOT_COMPARED = {"id", "origin", "signal_id"}


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `change` laid over it, key by key."""
    out = dict(base)
    for key, value in change.items():
        inside = out.get(key)
        out[key] = merged(inside, value) if isinstance(value, dict) and isinstance(inside, dict) else value
    return out


def write_config(folder: Path, change: dict[str, Any]) -> Path:
    """Write the shipped configuration with changes into a folder; the database lies beside it."""
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    local = {"app": {"data_dir": str(folder), "db_path": str(folder / "ohlcv.db"), "log_dir": str(folder / "logs")}}
    path = folder / "config.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(merged(merged(shipped, local), change), sort_keys=False), encoding="utf-8")
    return path


def trader(config: Path, *arguments: str) -> int:
    """Run one command as a user would, in this process; the log's level is left as it was found."""
    level = logging.getLogger().level
    try:
        return main([arguments[0], "--config", str(config), *arguments[1:]])
    finally:
        logging.getLogger().setLevel(level)


def record(database: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return signals, trades and events, ordered by what identifies them."""
    reader = Reader(database)
    signals = reader.signals().sort_values("key").reset_index(drop=True)
    keys = signals.set_index("id")["key"]
    trades, events = reader.trades(), reader.events()
    for frame in (trades, events):
        frame["key"] = keys.loc[frame["signal_id"]].to_numpy()
    trades = trades.sort_values(["key", "exit_policy"]).reset_index(drop=True)
    events = events.sort_values(["key", "exit_policy", "seq"]).reset_index(drop=True)
    return signals, trades, events


def differences(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Return what differs between two frames of the same rows: discrete fields exactly, floats beyond 1e-9."""
    if len(one) != len(other):
        return [f"{len(one)} rows against {len(other)}"]
    found = []
    for name in one.columns:
        if name in NOT_COMPARED:
            continue
        a, b = one[name].to_numpy(), other[name].to_numpy()
        if one[name].dtype.kind == "f":
            differ = ~np.isclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
        else:
            differ = a != b
        if differ.any():
            row = int(np.flatnonzero(differ)[0])
            found.append(
                f"{name}: {int(differ.sum())} rows, first {one['key'].iloc[row]}: {a[row]!r} against {b[row]!r}"
            )
    return found
