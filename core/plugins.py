"""Plug-ins: the file name is the configuration key.

The law: `setups: {fibo_avwap: {...}}` builds the one public class of `core/setups/fibo_avwap.py` with
those parameters. There is no registry to edit; an unknown name or parameter is answered with the
nearest valid one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError, nearest

__all__ = ["build", "parameters", "shelf"]


def shelf(package: str) -> tuple[str, ...]:
    """Return the names on a shelf, sorted.

    Parameters
    ----------
    package : str
        Such as ``"core.setups"``.
    """
    paths = importlib.import_module(package).__path__
    return tuple(sorted(item.name for item in pkgutil.iter_modules(paths) if not item.name.startswith("_")))


def _the_class(package: str, name: str, where: str) -> type:
    names = shelf(package)
    if name not in names:
        raise ConfigError(f"{where}: '{name}' is not known; {nearest(name, names)}")
    module = importlib.import_module(f"{package}.{name}")
    (public,) = module.__all__
    found: type = getattr(module, public)
    return found


def parameters(package: str, name: str) -> tuple[str, ...]:
    """Return the names of the keyword parameters of a plug-in."""
    signature = inspect.signature(_the_class(package, name, package))
    return tuple(signature.parameters)


def build(
    package: str,
    name: str,
    params: Mapping[str, Any],
    where: str,
    given: Mapping[str, Any] | None = None,
    named_by: str = "",
) -> Any:
    """Build a plug-in.

    Parameters
    ----------
    package : str
        The shelf, such as ``"core.setups"``.
    name : str
        The file's name without ``.py``.
    params : mapping
        Parameters a user wrote; each must be one of the class's.
    where : str
        The configuration key, for messages.
    given : mapping, optional
        What the engine hands in; only the names the class takes are used, and `params` override them.
    named_by : str
        The key that holds the name, where that is another than `where`; for messages.

    Raises
    ------
    ConfigError
        Unknown name or parameter, or a value the class refuses.
    """
    cls = _the_class(package, name, named_by or f"{where}.{name}")
    known = tuple(inspect.signature(cls).parameters)
    for key in params:
        if key not in known:
            raise ConfigError(f"{where}.{name}.{key}: unknown parameter; {nearest(key, known)}")
    offered = {key: value for key, value in (given or {}).items() if key in known}
    try:
        return cls(**{**offered, **params})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.{name}: {error}") from error
