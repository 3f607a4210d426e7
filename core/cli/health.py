"""The command health: whether the engine is alive and well, for a person, a container and a supervisor.

The law: it answers within a second, without the network, whether the engine runs or not; nothing heavy is imported.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.checks.health import HealthRequest, Verdict, check_health
from core.cli._hints import show
from core.config import config_source
from core.errors import ConfigError
from core.redact import escaped, without_secrets
from core.results.health import Finding

__all__ = ["health"]


def health(arguments: argparse.Namespace) -> int:
    """Print what is found, what is wrong first; return 0 where nothing is, else 1."""
    verdict = _verdict(arguments)
    if arguments.json:
        print(without_secrets(json.dumps(verdict.values(), indent=2)))
    else:
        show(arguments, without_secrets("\n".join(verdict.lines())))
    return 0 if verdict.is_well else 1


def _verdict(arguments: argparse.Namespace) -> Verdict:
    """Look at everything; a configuration that cannot be used names no database, so it is all there is to say."""
    try:
        config = config_source(Path(arguments.config), arguments.profile).current
    except ConfigError as error:
        return Verdict((Finding("configuration", False, escaped(str(error))),), None)
    channels = {"console": config.notify.console, "telegram": config.notify.telegram.enabled}
    request = HealthRequest(
        Path(config.app.db_path),
        tuple(config.symbols),
        config.data.base_timeframe,
        tuple(name for name, is_on in channels.items() if is_on),
        config.app.timezone,
    )
    return check_health(request)
