"""A model as files: everything it knows, and the card that says where it comes from.

The law: the files hold data, never code; a model that is read back must give the card's golden rows again, or it is
not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np

from core import plugins
from core.clock import format_ms
from core.errors import ConfigError, ModelError
from core.gate import Calibrator, Model, Payoff
from core.ports import Estimator, FittedEstimator
from core.schema import FloatArray

__all__ = [
    "CARD",
    "GOLDEN_ROWS",
    "Card",
    "card_of",
    "golden_rows",
    "model_from_files",
    "model_to_files",
    "origin_of",
    "version_of",
]

CARD = "card.json"
GOLDEN_ROWS = 8
"""How many candidates a card keeps with what the model said of them."""

_GOLDEN_TOLERANCE = 1e-6
_WORDS = "words.json"  # calibrator and payoff
_ESTIMATOR = "estimator-"  # prefix of the estimator's own files

Card = dict[str, Any]


def card_of(text: str) -> Card:
    """Return a stored card.

    Raises
    ------
    ModelError
        It is not one.
    """
    return _from_bytes("on record", {CARD: text.encode()}, CARD)


def origin_of() -> Card:
    """Return which libraries a model is made with: others may grow other trees from the same rows."""
    names = ("numpy", "xgboost", "scikit-learn")
    return {"python": platform.python_version(), "libraries": {name: _version(name) for name in names}}


def _version(name: str) -> str:
    for installed in (name, f"{name}-cpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(installed)
    return "not installed"


def golden_rows(model: Model, vectors: FloatArray) -> list[dict[str, Any]]:
    """Return a few candidates with the probability the model gives them, for the card.

    Parameters
    ----------
    model : Model
    vectors : float64 array, shape (n, k)
        Candidates to choose from; they are taken at even distances.
    """
    chosen = vectors[np.unique(np.linspace(0, len(vectors) - 1, min(GOLDEN_ROWS, len(vectors))).astype(np.int64))]
    scores = model.estimator.score(chosen)
    p = model.calibrator.apply(scores.p_geo, scores.p_raw)
    return [
        {"vector": [value if np.isfinite(value) else None for value in row.tolist()], "p": float(said)}
        for row, said in zip(chosen, p, strict=True)
    ]


def version_of(files: Mapping[str, bytes], train_max_t1: int) -> str:
    """Return the name of a model: the day of its newest outcome and eight digits of its content."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return f"m{format_ms(train_max_t1)[:10].replace('-', '')}-{digest.hexdigest()[:8]}"


def model_to_files(model: Model, estimator: Estimator, card: Mapping[str, Any]) -> tuple[str, Card, dict[str, bytes]]:
    """Return a model's name, its full card and its files.

    Parameters
    ----------
    model : Model
        Its version does not matter.
    estimator : Estimator
        What it was fitted by.
    card : mapping
        What else is to be known of it: data range, sizes, metrics, golden rows.
    """
    files = {_ESTIMATOR + name: data for name, data in model.estimator.files().items()}
    files[_WORDS] = _to_bytes({"calibrator": model.calibrator.to_json(), "payoff": model.payoff.to_json()})
    version = version_of(files, model.train_max_t1)
    full: Card = {
        **card,
        "version": version,
        "estimator": {"name": estimator.name, "params": estimator.params()},
        "columns": list(model.columns),
        "required": list(model.required),
        "feature_set": model.feature_set,
        "plan_hash": model.plan_hash,
        "exit_policy": model.exit_policy,
        "train_max_t1": model.train_max_t1,
        "skill": model.skill,
    }
    return version, full, {**files, CARD: _to_bytes(full)}


def model_from_files(version: str, files: Mapping[str, bytes]) -> tuple[Model, Card]:
    """Return the model that files describe, with its card; its golden rows have been checked.

    Raises
    ------
    ModelError
        A file is missing or not ours, or the model no longer says what it said when it was made.
    """
    card, words = _from_bytes(version, files, CARD), _from_bytes(version, files, _WORDS)
    try:
        columns, named = tuple(card["columns"]), card["estimator"]
        estimator: Estimator = plugins.build("core.estimators", named["name"], named["params"], f"model {version}")
        own = {name.removeprefix(_ESTIMATOR): data for name, data in files.items() if name.startswith(_ESTIMATOR)}
        fitted: FittedEstimator = estimator.load(columns, own)
        model = Model(
            version=version,
            estimator=fitted,
            calibrator=Calibrator.from_json(words["calibrator"]),
            payoff=Payoff.from_json(words["payoff"]),
            columns=columns,
            required=tuple(card["required"]),
            feature_set=card["feature_set"],
            plan_hash=card["plan_hash"],
            exit_policy=card["exit_policy"],
            train_max_t1=int(card["train_max_t1"]),
            skill=bool(card["skill"]),
        )
        golden = card["golden"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model {version}: its card lacks or misspells {error}") from error
    except ConfigError as error:
        raise ModelError(f"model {version}: made by an estimator of another version ({error})") from error
    _check_golden(model, golden)
    return model, card


def _check_golden(model: Model, golden: list[dict[str, Any]]) -> None:
    if not golden:
        raise ModelError(f"model {model.version}: its card has no golden rows to check it against")
    vectors = np.array([row["vector"] for row in golden], dtype=np.float64)
    told = np.array([row["p"] for row in golden], dtype=np.float64)
    scores = model.estimator.score(vectors)
    off = float(np.max(np.abs(model.calibrator.apply(scores.p_geo, scores.p_raw) - told)))
    if not off <= _GOLDEN_TOLERANCE:
        raise ModelError(
            f"model {model.version}: says {off:.2g} off what it said when it was made; "
            "another version of a library, or damaged files; train again with `python train_meta.py`"
        )


def _to_bytes(value: Any) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def _from_bytes(version: str, files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        raise ModelError(f"model {version}: {name} is missing")
    try:
        value = json.loads(files[name])
    except ValueError as error:
        raise ModelError(f"model {version}: {name} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"model {version}: {name} is not an object")
    return value
