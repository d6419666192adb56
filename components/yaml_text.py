"""Reads YAML with libyaml where PyYAML has it: seven times as fast, and every task reads some."""

from __future__ import annotations

from typing import Any

import yaml


def parsed(text: str) -> Any:
    """The value of the YAML ``text``. Like ``yaml.safe_load``, it makes plain values only.

    Raises ``yaml.YAMLError`` for text that is not YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)
