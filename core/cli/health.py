"""The command health: whether the engine is alive and well, for a person, a container and a supervisor.

The law: it answers within a second, without the network, whether the engine runs or not; nothing heavy is imported.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.checks.health import HealthRequest, check_health
from core.config import config_source

__all__ = ["health"]


def health(arguments: argparse.Namespace) -> int:
    """Print what is found, what is wrong first; return 0 where nothing is, else 1."""
    config = config_source(Path(arguments.config), arguments.profile).current
    channels = {"console": config.notify.console, "telegram": config.notify.telegram.enabled}
    request = HealthRequest(
        Path(config.app.db_path),
        tuple(config.symbols),
        config.data.base_timeframe,
        tuple(name for name, is_on in channels.items() if is_on),
        config.app.timezone,
    )
    verdict = check_health(request)
    if arguments.json:
        print(json.dumps(verdict.values(), indent=2))
    else:
        print("\n".join(verdict.lines()))
    return 0 if verdict.is_well else 1
