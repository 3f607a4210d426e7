"""What a generated market was made of, noted in the database that holds its candles.

The law: a record goes on with the market it began with. Another world or seed would continue its candles with a jump
that no market made, and trades would end on it.
"""

from __future__ import annotations

import json

from core.clock import format_ms
from core.config import Config
from core.errors import ConfigError
from core.store.reader import Reader
from core.store.writer import Writer

__all__ = ["expect_same_made", "note_made"]


def note_made(config: Config, writer: Writer) -> None:
    """Note what the configured market is made of, where it is a generated one."""
    if config.exchange.id == "synthetic":
        writer.set_meta(_note(config), json.dumps(_made(config)))


def expect_same_made(config: Config, reader: Reader) -> None:
    """Make sure that the stored candles of the generated market were made as they would be now.

    Notes
    -----
    Candles without a note, of an older version, are taken for the configured ones.

    Raises
    ------
    ConfigError
        They were made of something else.
    """
    noted = reader.meta(_note(config))
    if noted is None or config.exchange.id not in set(reader.series()["exchange"]):
        return
    before, now = json.loads(noted), _made(config)
    other = [name for name in before if now.get(name) != before[name]]
    if other:
        keys = ", ".join(f"exchange.synthetic.{name} = {before[name]}" for name in other)
        variables = " ".join(f"TRADER__EXCHANGE__SYNTHETIC__{name.upper()}={before[name]}" for name in other)
        raise ConfigError(
            f"exchange.synthetic: {_said(now)}; but the candles of database {reader.path} were made with "
            f"{_said(before)}; go on with {keys} ({variables}), or name another file in app.db_path"
        )


def _note(config: Config) -> str:
    return f"made:{config.exchange.id}"


def _made(config: Config) -> dict[str, str]:
    """Return what decides on the candles, each as it can be written into the configuration."""
    synthetic = config.exchange.synthetic
    made = {"world": synthetic.world, "seed": str(synthetic.seed), "start": _moment(synthetic.start_ms)}
    return made | ({"p_star": str(synthetic.p_star)} if synthetic.world == "edge" else {})


def _moment(ms: int) -> str:
    """Return a moment to the minute, as `parse_time` reads it."""
    return format_ms(ms)[:16].replace(" ", "T")


def _said(made: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in made.items())
