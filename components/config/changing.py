"""Changes single values of params.yaml, and leaves everything else in it as a person wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node

from components import yaml_text
from components.config.listing import shown
from components.config.params import PARAMS, Params, checked
from components.errors import EidolonError
from components.files import write_text


def change(values: Mapping[str, int | float], path: Path = PARAMS) -> Params:
    """Set ``values``, by names such as ``generator.steps``, in ``path``, which must have them.

    Comments, other values and the layout stay. Raises :class:`EidolonError` when the file has one
    of them where it cannot be changed alone, and when the new values do not fit the others.
    """
    text = path.read_text()
    found = yaml.compose(text, Loader=yaml.SafeLoader)
    wanted = deepcopy(yaml_text.parsed(text))
    places = []
    for name, value in values.items():
        section, _, key = name.partition(".")
        node = _below(_below(found, section), key)
        if node is not None:
            places.append((node.start_mark.index, node.end_mark.index, shown(value)))
            wanted[section][key] = value
    changed = text
    for start, end, put in sorted(places, reverse=True):
        changed = changed[:start] + put + changed[end:]
    if len(places) < len(values) or _read(changed) != wanted:
        listed = ", ".join(f"{name}: {shown(value)}" for name, value in values.items())
        raise EidolonError(f"{path} is laid out in a way of its own: set {listed} in it by hand")
    params = checked(wanted, path)
    write_text(path, changed)
    return params


def _read(text: str) -> Any:
    """The YAML of ``text``, or None for no YAML: an alias may have lost what it stood for."""
    try:
        return yaml_text.parsed(text)
    except yaml.YAMLError:
        return None


def _below(node: Node | None, key: str) -> Node | None:
    """The value of ``key`` in a mapping, if it is there."""
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)
