"""Commands about copies of the database: backup, restore.

The law: a back-up never stops the engine; a restore waits for nobody and is refused while one runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from core import app
from core.cli._hints import show
from core.cli._lock import only_one
from core.cli._open import database, source_of
from core.cli._told import ended
from core.clock import format_ms, wall_now_ms
from core.config import Config
from core.errors import InputFileError, UsageError
from core.jobs.backup import backup_to
from core.store.archives import models_in, opened_archive
from core.store.backups import Backup, listed
from core.store.reader import Reader
from core.store.restore import restore as put_back

__all__ = ["backup", "restore"]


def backup(arguments: argparse.Namespace) -> int:
    """Make a back-up now, or list those that are there."""
    config = source_of(arguments).current
    folder = Path(arguments.to) if arguments.to else config.app.backup_dir
    if arguments.list:
        return _list(arguments, config, folder)
    report = backup_to(config, database(config), folder, _now_ms(config))
    code = ended(arguments, report)
    print(report.text)
    return code


def _list(arguments: argparse.Namespace, config: Config, folder: Path) -> int:
    there = listed(folder, database(config))
    for one in there:
        taken = format_ms(one.taken_ms, config.app.timezone)
        print(f"{one.path}  {taken}  {one.bytes / 1e6:,.1f} MB  {_models_of(one)}")
    show(arguments, f"{len(there)} in {folder}" + ("; put one back: `trader restore FILE`" if there else ""))
    return 0


def _models_of(one: Backup) -> str:
    """Say how many models a back-up brings along."""
    if not one.archive.is_file():
        return "no archive"
    try:
        with opened_archive(one.archive) as archive:
            return f"models {len(models_in(archive))}"
    except InputFileError:
        return "archive damaged"


def _now_ms(config: Config) -> int:
    path = database(config)
    return app.offline_market(config, "", Reader(path) if path.exists() else None).now_ms()


def restore(arguments: argparse.Namespace) -> int:
    """Put a back-up in the place of the database; the one before is kept."""
    config = source_of(arguments).current
    path, source = database(config), Path(arguments.file)
    if source.suffix == ".zip":
        raise UsageError(f"restore {source}: name the database beside it, {source.with_suffix(path.suffix)}")
    with only_one(path):
        done = put_back(source, path, Path(config.models.meta.model_path), wall_now_ms(), force=arguments.force)
    show(arguments, str(done))
    return 0
