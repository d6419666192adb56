"""The examples of CONTRIBUTING.md fit the code: each applies, and gives valid Python and YAML."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import documents
from tests.toy import ROOT

EXAMPLES = [b for b in documents.read("CONTRIBUTING.md").blocks if b.language == "diff"]


def test_every_recipe_has_an_example() -> None:
    recipes = [a for a in documents.read("CONTRIBUTING.md").anchors if a.startswith("add-a")]
    assert len(EXAMPLES) == len(recipes)


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.place)
def test_an_example_applies(block: documents.Block, tmp_path: Path) -> None:
    changed = re.findall(r"^\+\+\+ b/(\S+)", block.text, re.M)
    for name in changed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        cwd=tmp_path,
        input=block.text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.place} does not fit the code: {done.stderr}"
    for name in changed:
        text = (tmp_path / name).read_text()
        if name.endswith(".py"):
            compile(text, name, "exec")
        else:
            yaml.safe_load(text)
