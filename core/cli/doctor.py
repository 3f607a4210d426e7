"""Command that diagnoses: doctor.

The law: it prints what was seen and changes nothing; exit code 1 where something does not work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from core import app
from core.checks.doctor import Line, Patient, examine, examine_machine
from core.cli._hints import show
from core.cli._log import log_to_stderr
from core.clock import wall_now_ms
from core.config import Config
from core.errors import ConfigError, StoreError, TraderError
from core.ports import Market
from core.store.reader import Reader

__all__ = ["doctor"]


def doctor(arguments: argparse.Namespace) -> int:
    """Look at everything that has to be right, one line each."""
    try:
        config = app.config_source(Path(arguments.config), arguments.profile, os.environ).current
        app.check_config(config)
    except ConfigError as error:
        lines = [*examine_machine(), Line("FAIL", "configuration", str(error), "mend that line; then look again")]
    else:
        log_to_stderr(config, arguments.debug)
        lines = asyncio.run(_examined(arguments, config))
    return _told(arguments, lines)


async def _examined(arguments: argparse.Namespace, config: Config) -> list[Line]:
    reader = Reader(Path(config.app.db_path))
    is_tape = config.exchange.is_tape
    # A tape is not laid out only to be asked for its time.
    market, told = (None, []) if arguments.offline or is_tape else _market(config, reader)
    notifiers = {} if arguments.offline else app.open_notifiers(config)
    notifiers.pop("console", None)
    try:
        patient = Patient(
            config=config,
            reader=reader,
            exchange=app.recorded_as(config),
            now_ms=_played_ms(config, reader) if is_tape else wall_now_ms(),
            market=market,
            notifiers=notifiers,
            deep=arguments.deep,
        )
        return [*await examine(patient), *told]
    finally:
        await asyncio.gather(*(one.close() for one in (market, *notifiers.values()) if one is not None))


def _market(config: Config, reader: Reader) -> tuple[Market | None, list[Line]]:
    try:
        return app.open_market(config, reader), []
    except TraderError as error:
        return None, [Line("FAIL", "exchange", str(error), "see exchange.id in config.yaml")]


def _played_ms(config: Config, reader: Reader) -> int:
    """Return the time a tape has been played to; the machine's where the database does not tell."""
    try:
        return app.offline_market(config, "", reader).now_ms()
    except (StoreError, OSError):
        return wall_now_ms()


def _told(arguments: argparse.Namespace, lines: Sequence[Line]) -> int:
    failed = sum(line.level == "FAIL" for line in lines)
    warned = sum(line.level == "warn" for line in lines)
    if arguments.json:
        print(json.dumps({"ok": not failed, "lines": [asdict(line) for line in lines]}, indent=1))
    else:
        for line in lines:
            show(arguments, str(line))
        print(f"{len(lines)} looked at: {failed} failed, {warned} with a warning")
    return 1 if failed else 0
