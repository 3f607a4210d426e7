"""Who can reach the viewer: this machine alone, unless somebody asked for more.

The law: the viewer shows nothing to a network that nobody has named. It asks for no password, so where it listens is
all that guards it.
"""

from __future__ import annotations

import ipaddress

__all__ = ["exposure"]

_DEFAULT = "<default>"  # what Streamlit calls the place of a setting that nobody has set


def exposure(address: str | None, set_in: str) -> str:
    """Return why nothing may be shown, or ``""``.

    Parameters
    ----------
    address : str or None
        Where the viewer listens; None is every address of this machine.
    set_in : str
        Where that was set, as Streamlit calls it.

    Examples
    --------
    >>> exposure("127.0.0.1", ".streamlit/config.toml"), exposure("0.0.0.0", "command-line argument or environment")
    ('', '')
    >>> exposure(None, "<default>").startswith("The viewer listens on every address of this machine")
    True
    """
    if set_in != _DEFAULT or _is_local(address):
        return ""
    return (
        "The viewer listens on every address of this machine, and nobody asked for that: .streamlit/config.toml, which "
        "keeps it local, was not found. Start it again with --server.address 127.0.0.1, or with the address you mean."
    )


def _is_local(address: str | None) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
