"""The configuration: `config.yaml`, `.env` and the environment as one typed, frozen value.

The law: everything is checked at the door, once; inside, a `Config` is right and never changes. A change of the
files makes a new `Config` or an error, never a half of each.

    model       Config and what is worked out of several keys
    load        load_config, ConfigSource (reload)
    _market _trading _operation     the sections, key by key
    _types      what a value may be           _rules      what keys demand of each other
    _yaml _tree _sources            reading, with the place of every value
    rewrite     thresholds written into the file, comments kept
    _problems   the one line of an error      _reference  each key in words, the JSON schema
    _views      hash, differences, redaction
"""

from core.config._operation import Gating
from core.config._reference import KeyInfo, config_keys, config_schema, config_tables
from core.config._rules import config_warnings
from core.config._trading import Bounds
from core.config._tree import Origin
from core.config._types import NAME_EXPECTED, is_name
from core.config._views import config_diff, config_hash, redacted, secrets_of
from core.config._yaml import config_to_yaml
from core.config.load import ConfigSource, Reload, config_source, load_config, profile_overlays
from core.config.model import Config

__all__ = [
    "NAME_EXPECTED",
    "Bounds",
    "Config",
    "ConfigSource",
    "Gating",
    "KeyInfo",
    "Origin",
    "Reload",
    "config_diff",
    "config_hash",
    "config_keys",
    "config_schema",
    "config_source",
    "config_tables",
    "config_to_yaml",
    "config_warnings",
    "is_name",
    "load_config",
    "profile_overlays",
    "redacted",
    "secrets_of",
]
