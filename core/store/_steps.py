"""The steps of the schema, from an empty file on, and the number of the last.

The law: a step that was released is never changed; what the schema needs more is a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import apsw

from core.store._schema import SCHEMA_1
from core.store._schema_models import SCHEMA_2
from core.store._schema_people import SCHEMA_3

__all__ = ["MIGRATIONS", "SCHEMA_VERSION", "Migration"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: what it is called and what it does to a connection inside an open transaction."""

    name: str
    apply: Callable[[apsw.Connection], None]


def _create_tables(connection: apsw.Connection) -> None:
    connection.execute(SCHEMA_1)


def _add_models(connection: apsw.Connection) -> None:
    connection.execute(SCHEMA_2)


def _add_people(connection: apsw.Connection) -> None:
    connection.execute(SCHEMA_3)


MIGRATIONS: tuple[Migration, ...] = (
    Migration("candles, signals, trades, alerts", _create_tables),
    Migration("feature vectors, predictions, models, thresholds, drift", _add_models),
    Migration("what people said they did, and what they silenced", _add_people),
)
SCHEMA_VERSION = len(MIGRATIONS)
