"""What a value in the configuration may be: the words every section is written in.

The law: a value is checked where it is declared, and a refusal says what was expected. Everything a
section holds is immutable, containers included, and can be pickled for worker processes.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, Strict, ValidationInfo
from pydantic_core import PydanticCustomError

from core.clock import DAY_MS, parse_time, timeframe_ms
from core.errors import UsageError, nearest

__all__ = [
    "NAME_EXPECTED",
    "ExchangeId",
    "FrozenDict",
    "FrozenMap",
    "HomePath",
    "Moment",
    "Name",
    "Params",
    "SecretUrl",
    "Section",
    "SomeFrozenMap",
    "SomeUnique",
    "Symbol",
    "TapePath",
    "Timeframe",
    "Unique",
    "Url",
    "Zone",
    "is_name",
    "key",
    "refuse",
]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_EARLIEST_MS, _LATEST_MS = parse_time("2009-01-03"), parse_time("2100-01-01")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PART = r"[^\s/:,'\"#<>&\\|?*-]+"
_SYMBOL = re.compile(rf"{_PART}/{_PART}(:{_PART})?")
_QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC", "ETH")


class FrozenDict(dict[K, V]):
    """A dictionary that refuses to change; equal to a plain one, hashable, picklable."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("the configuration is frozen; load a new one instead")

    __setitem__ = __delitem__ = _refuse
    clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        return type(self), (dict(self),)


class Section(BaseModel):
    """A frozen group of keys; unknown keys are refused and no input is ever echoed by pydantic itself."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        # Defaults go through the same door, so that default paths start at the file's folder too.
        validate_default=True,
        revalidate_instances="always",
    )


def key(default: Any, meaning: str, unit: str = "", **limits: Any) -> Any:
    """Declare a key: its default, what it means, its unit and its limits.

    Parameters
    ----------
    default : any
        ``...`` for a key that must be written.
    meaning : str
        One sentence for the reference and for editors.
    unit : str
        Such as ``"percent"``; empty where there is none.
    **limits
        ``ge``, ``gt``, ``le``, ``lt``, ``min_length``, ``alias`` as in `pydantic.Field`.
    """
    return Field(default, description=meaning, json_schema_extra={"x-unit": unit}, **limits)


def refuse(expected: str, hint: str = "") -> PydanticCustomError:
    """Build the refusal of a value: what was expected and, where known, what was probably meant."""
    return PydanticCustomError("expected", "expected {expected}", {"expected": expected, "hint": hint})


def _says(expected: str) -> Any:
    return Field(json_schema_extra={"x-expected": expected})


def _meant(value: str, valid: Iterable[str]) -> str:
    hint = nearest(value, valid)
    return hint if hint.startswith("did you mean") else ""


_TIMEFRAME_EXPECTED = "a timeframe from 1m to 1d such as 15m, 1h or 4h"


def _timeframe(value: str) -> str:
    common = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
    try:
        length = timeframe_ms(value)
    except UsageError as error:
        raise refuse(_TIMEFRAME_EXPECTED, _meant(value.strip().lower(), common)) from error
    # Buckets are aligned to the epoch, a Thursday: a week of ours would be nobody else's week.
    if length > DAY_MS:
        raise refuse(_TIMEFRAME_EXPECTED)
    return value


_SYMBOL_EXPECTED = "a symbol such as BTC/USDT:USDT (perpetual) or BTC/USDT (spot)"


def _symbol(value: str) -> str:
    if _SYMBOL.fullmatch(value) and value.isprintable() and not value.islower():
        return value
    upper = value.strip().upper()
    if _SYMBOL.fullmatch(upper):
        raise refuse(_SYMBOL_EXPECTED, f"did you mean '{upper}'?")
    for quote in _QUOTES:
        base = re.sub(rf"[-_/]?{quote}$", "", upper)
        if base != upper and base.isalnum():
            raise refuse(_SYMBOL_EXPECTED, f"did you mean '{base}/{quote}:{quote}' or '{base}/{quote}'?")
    raise refuse(_SYMBOL_EXPECTED)


_MOMENT_EXPECTED = "a date from 2009 to 2100 such as 2024-01-31, or 2024-01-31T12:00 (UTC)"


def _moment_text(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if type(value) is int else value


def _moment(value: str) -> str:
    try:
        ms = parse_time(value)
    except (UsageError, OverflowError) as error:
        raise refuse(_MOMENT_EXPECTED) from error
    if not _EARLIEST_MS <= ms <= _LATEST_MS:
        raise refuse(_MOMENT_EXPECTED)
    return value


_ZONE_EXPECTED = "the name of a time zone such as UTC or Europe/Berlin"


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise refuse(_ZONE_EXPECTED, _meant(value, zoneinfo.available_timezones())) from error
    return value


NAME_EXPECTED = "a name of small letters, digits and _"


def is_name(text: str) -> bool:
    """Say whether a text can be a name, such as an exchange's."""
    return _NAME.fullmatch(text) is not None


def _name(value: str) -> str:
    if not is_name(value):
        lower = value.strip().lower().replace("-", "_")
        raise refuse(NAME_EXPECTED, f"did you mean '{lower}'?" if is_name(lower) else "")
    return value


_PATH_EXPECTED = "a path, relative to the folder of the configuration file or absolute"


def _under_home(path: Path, info: ValidationInfo) -> Path:
    home: Path = (info.context or {}).get("home", Path())
    try:
        return home / path.expanduser()
    except RuntimeError as error:  # ~somebody who has no home
        raise refuse(_PATH_EXPECTED) from error


def _home_path(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str | Path):
        return value
    if not str(value).strip() or "\0" in str(value):
        raise refuse(_PATH_EXPECTED)
    return _under_home(Path(value), info)


_TAPE_EXPECTED = 'a file or folder of candles, or "db:PATH" for a database ("db:" alone, in quotes, for app.db_path)'


def _tape_path(value: str, info: ValidationInfo) -> str:
    if not value.strip() or "\0" in value:
        raise refuse(_TAPE_EXPECTED)
    prefix, path = ("db:", value[3:]) if value.startswith("db:") else ("", value)
    return prefix + (str(_under_home(Path(path), info)) if path else "")


_URL_EXPECTED = "an address such as http://127.0.0.1:8080, without user name, password or query"


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise refuse(_URL_EXPECTED) from error
    if not usable or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"\s", value):
        raise refuse(_URL_EXPECTED)
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        _url(value.get_secret_value())
    return value


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    seen: set[T] = set()
    for value in values:
        if value in seen:
            raise refuse("each entry once", f"'{value}' is written twice")
        seen.add(value)
    return values


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return FrozenDict({name: _freeze(inner) for name, inner in value.items()})
    return tuple(_freeze(inner) for inner in value) if isinstance(value, list | tuple) else value


Timeframe = Annotated[str, AfterValidator(_timeframe), _says(_TIMEFRAME_EXPECTED)]
Symbol = Annotated[str, AfterValidator(_symbol), _says(_SYMBOL_EXPECTED)]
Moment = Annotated[str, BeforeValidator(_moment_text), AfterValidator(_moment), _says(_MOMENT_EXPECTED)]
Zone = Annotated[str, AfterValidator(_zone), _says(_ZONE_EXPECTED)]
Name = Annotated[str, AfterValidator(_name), _says(NAME_EXPECTED)]
ExchangeId = Annotated[
    str, AfterValidator(_name), _says("the id of an exchange ccxt knows such as bitget, or replay, or synthetic")
]
HomePath = Annotated[Path, BeforeValidator(_home_path), _says(_PATH_EXPECTED)]
TapePath = Annotated[str, AfterValidator(_tape_path), _says(_TAPE_EXPECTED)]
Url = Annotated[str, AfterValidator(_url), _says(_URL_EXPECTED)]
SecretUrl = Annotated[SecretStr, AfterValidator(_secret_url), _says(_URL_EXPECTED)]
Unique = Annotated[tuple[T, ...], Strict(False), AfterValidator(_unique)]
SomeUnique = Annotated[tuple[T, ...], Field(min_length=1, strict=False), AfterValidator(_unique)]
FrozenMap = Annotated[dict[K, V], AfterValidator(FrozenDict)]
SomeFrozenMap = Annotated[dict[K, V], Field(min_length=1), AfterValidator(FrozenDict)]
Params = Annotated[dict[str, Any], AfterValidator(_freeze)]
