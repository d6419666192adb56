"""Which code and which libraries made something that is kept, so that no other code uses it."""

from __future__ import annotations

import ast
import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


def code(*modules: str) -> str:
    """A hash over what ``modules`` do: their source without comments and docstrings."""
    digest = hashlib.sha256()
    for module in modules:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text())
        for node in ast.walk(tree):
            for field in ("body", "orelse"):
                if isinstance(lines := getattr(node, field, None), list):
                    setattr(node, field, [line for line in lines if not _is_text(line)])
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()[:12]


def libraries(*names: str) -> str:
    """The versions of libraries, such as "numpy 2.4.1". The build, as in 2.13.0+cpu, is left
    out."""
    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in names)


def _is_text(line: ast.AST) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )
