"""What a fitted estimator leaves behind: one JSON file that vouches for the others.

The law: no byte reaches a library's reader before its digest has been found right, because readers of binary files
crash where they should refuse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from core.errors import ModelError

__all__ = ["HEAD", "sealed", "unsealed"]

HEAD = "estimator.json"
_FORMAT = 1


def sealed(
    name: str, columns: tuple[str, ...], body: Mapping[str, Any], blobs: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return all files of a fitted estimator.

    Parameters
    ----------
    name : str
        The estimator's.
    columns : tuple of str
        What it learned from, in order.
    body : mapping
        What it knows, as plain JSON values.
    blobs : mapping of str to bytes
        Its other files.
    """
    head = {
        "estimator": name,
        "format": _FORMAT,
        "columns": list(columns),
        "body": dict(body),
        "sha256": {blob: _digest(data) for blob, data in sorted(blobs.items())},
    }
    return {HEAD: _text({**head, "seal": _digest(_text(head))}), **blobs}


def unsealed(name: str, columns: tuple[str, ...], files: Mapping[str, bytes], blobs: tuple[str, ...]) -> dict[str, Any]:
    """Return the body that `sealed` was given.

    Parameters
    ----------
    name, columns
        The estimator's own name, and the columns it is about to be used with.
    files : mapping of str to bytes
    blobs : tuple of str
        Other files that must be there.

    Raises
    ------
    ModelError
        A file is missing, damaged or another estimator's, or the columns are not those it learned from.
    """
    missing = [file for file in (HEAD, *blobs) if file not in files]
    if missing:
        raise ModelError(f"estimator {name}: {missing[0]} is missing; expected {', '.join((HEAD, *blobs))}")
    head = _read(name, files[HEAD])
    if head.get("estimator") != name or head.get("format") != _FORMAT:
        raise ModelError(
            f"estimator {name}: {HEAD} was written by '{head.get('estimator')}', format {head.get('format')}; "
            f"expected '{name}', format {_FORMAT}"
        )
    for blob in blobs:
        if head["sha256"].get(blob) != _digest(files[blob]):
            raise ModelError(f"estimator {name}: {blob} is damaged; its SHA-256 is not the one in {HEAD}")
    _check_columns(name, columns, tuple(head["columns"]))
    body: dict[str, Any] = head["body"]
    return body


def _read(name: str, data: bytes) -> dict[str, Any]:
    try:
        head = json.loads(data)
        seal = head.pop("seal")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"estimator {name}: {HEAD} is not a sealed JSON object; train again") from error
    if seal != _digest(_text(head)) or data != _text({**head, "seal": seal}):
        raise ModelError(f"estimator {name}: {HEAD} is damaged; its seal does not fit its content")
    return dict(head)


def _check_columns(name: str, asked: tuple[str, ...], learned: tuple[str, ...]) -> None:
    if asked == learned:
        return
    for place, (ours, theirs) in enumerate(zip(asked, learned, strict=False)):
        if ours != theirs:
            raise ModelError(f"estimator {name}: column {place} is '{ours}'; it learned from '{theirs}' there")
    raise ModelError(f"estimator {name}: {len(asked)} columns; it learned from {len(learned)}")


def _text(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
