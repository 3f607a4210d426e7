"""What a failed command says, in one line, and the exit code that goes with it."""

from __future__ import annotations

import errno

from core.errors import DiskError, TraderError

__all__ = ["told"]

_DISK = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EACCES", "EPERM")
    if hasattr(errno, name)  # Windows knows no quota
}


def told(error: TraderError | OSError) -> tuple[str, int]:
    """Return the one line and the exit code of an error.

    Examples
    --------
    >>> from core.errors import ConfigError
    >>> told(ConfigError("config.yaml: no such file"))
    ('config.yaml: no such file', 2)
    """
    if isinstance(error, TraderError):
        return " ".join(str(error).split()), error.exit_code
    where = f"{error.filename}: " if error.filename else ""
    code = DiskError.exit_code if error.errno in _DISK else TraderError.exit_code
    return f"{where}{error.strerror or error}", code
