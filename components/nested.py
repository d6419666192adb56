"""Flattens nested mappings, to compare and log parameters and metrics by their dotted keys."""

from __future__ import annotations

from typing import Any


def flat(value: object, key: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted keys."""
    if not isinstance(value, dict):
        return {key: value}
    return {
        name: inner
        for part, content in value.items()
        for name, inner in flat(content, f"{key}.{part}" if key else str(part)).items()
    }
