"""Every field of params.yaml with its bounds and its description, and the texts made of them.

The descriptions are those of the model; params.yaml and docs/parameters.md repeat them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from components.config.fields import Section
from components.config.params import Params

_WIDTH = 100  # columns
_PAGE = """# Parameters

`make docs` writes this page from the model in components/config, and a test holds the page against
the model. `eidolon params` shows the values in use here;
with `--changed` it shows those that differ from the profile in use.

The values below are those of the profile `{base}`, the base of all others: each other file in
profiles/ holds what differs from it. `eidolon use PROFILE` writes all values of a profile to
params.yaml, where you can edit them.

A constant stays in code when it defines a measure, a file format, the HTTP API or a published
architecture. So does one that only bounds memory or shapes a plot or a page, and the timeouts of
tasks and services, which belong to dags/ and ops/.
"""


@dataclass(frozen=True)
class Entry:
    """One field. ``section`` is empty for a value outside of sections, ``bounds`` say in words what
    it may be."""

    section: str
    key: str
    bounds: str
    description: str
    default: Any

    @property
    def name(self) -> str:
        """``section.key``."""
        return f"{self.section}.{self.key}".lstrip(".")

    def value_in(self, values: Mapping[str, Any]) -> Any:
        """Its value in ``values``, which are nested as in params.yaml, or else its default."""
        inner = values.get(self.section) if self.section else values
        return inner.get(self.key, self.default) if isinstance(inner, Mapping) else self.default


@cache
def sections() -> Mapping[str, tuple[str, tuple[Entry, ...]]]:
    """The description and the entries of each section, in the model's order. The first, named by
    the empty string, holds the values outside of sections."""
    schema = Params.model_json_schema()
    found: dict[str, tuple[str, tuple[Entry, ...]]] = {}
    alone = []
    for attribute, field in Params.model_fields.items():
        name, kind = field.alias or attribute, field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            properties = schema["$defs"][kind.__name__]["properties"]
            inner = [
                _entry(name, key, value, properties[key])
                for key, value in kind.model_fields.items()
            ]
            found[name] = (str(field.description), tuple(inner))
        else:
            alone.append(_entry("", name, field, schema["properties"][name]))
    return {"": ("", tuple(alone))} | found


def entries() -> list[Entry]:
    """All fields, in the model's order."""
    return [entry for _, inner in sections().values() for entry in inner]


def _entry(section: str, key: str, field: FieldInfo, schema: Mapping[str, Any]) -> Entry:
    default = None if field.is_required() else field.default
    return Entry(section, key, _bounds(schema), str(field.description), default)


def _bounds(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if "anyOf" in schema:
        return ", or ".join(_bounds(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(schema["enum"])
    match schema.get("type"):
        case "integer" | "number" as kind:
            return ", ".join([kind, *_limits(schema)])
        case "string" if "maxLength" in schema:
            least, most = schema.get("minLength", 0), schema["maxLength"]
            return f"text of {most if least == most else f'{least} to {most}'} characters"
        case "string":
            return "path" if schema.get("format") == "path" else "text"
        case "array":
            return f"list: {_bounds(schema['items'])}"
        case "object":
            return f"by name: {_bounds(schema['additionalProperties'])}"
        case "boolean":
            return "true, false"
    return "null"


def _limits(schema: Mapping[str, Any]) -> list[str]:
    words = {
        "minimum": "≥ {}",
        "exclusiveMinimum": "> {}",
        "maximum": "≤ {}",
        "exclusiveMaximum": "< {}",
        "multipleOf": "a multiple of {}",
    }
    return [text.format(f"{schema[key]:.12g}") for key, text in words.items() if key in schema]


def shown(value: Any) -> str:
    """``value`` as it stands in params.yaml, in one line."""
    return _dumped(value, in_one_line=True).removesuffix("\n").removesuffix("\n...")


def _dumped(value: Any, *, in_one_line: bool = False) -> str:
    text: str = yaml.safe_dump(
        value,
        default_flow_style=in_one_line,
        allow_unicode=True,
        sort_keys=False,
        width=10**6,
    )
    return text


def params_text(values: Mapping[str, Any]) -> str:
    """A complete params.yaml of ``values``, which are nested as in it: the sections in the model's
    order, each field with its description above it."""
    lines = [
        *_comment("Every tunable value of the system, written by `eidolon use`.", 0),
        *_comment("Edit the values as you like: `eidolon params --changed` lists your edits.", 0),
        "",
    ]
    for section, (description, inner) in sections().items():
        if section:
            lines += ["", *_comment(description, 0), f"{section}:"]
        indent = 2 if section else 0
        for entry in inner:
            lines += _comment(entry.description, indent)
            lines += _yaml(entry.key, entry.value_in(values), indent)
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: int) -> list[str]:
    prefix = " " * indent + "# "
    return textwrap.wrap(text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix)


def _yaml(key: str, value: Any, indent: int) -> list[str]:
    """One line, or a line for each item of a list or mapping that needs more room."""
    line = f"{' ' * indent}{key}: {shown(value)}"
    if len(line) <= _WIDTH or not isinstance(value, list | dict):
        return [line]
    return [
        f"{' ' * indent}{key}:",
        *textwrap.indent(_dumped(value), " " * (indent + 2)).splitlines(),
    ]


def page(base: str, values: Mapping[str, Any]) -> str:
    """docs/parameters.md, with the ``values`` of the profile ``base``."""
    parts = [_PAGE.format(base=base)]
    for section, (description, inner) in sections().items():
        rows = [f"## {section}\n\n{description}\n" if section else ""]
        rows += ["| parameter | value | allowed | meaning |", "|---|---|---|---|"]
        rows += [
            f"| `{one.name}` | `{shown(one.value_in(values))}` | {one.bounds} | {one.description} |"
            for one in inner
        ]
        parts.append("\n".join(rows).lstrip("\n") + "\n")
    return "\n".join(parts)
