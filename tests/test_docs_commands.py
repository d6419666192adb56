"""Every command that a document shows exists, and docs/commands.md shows every command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs import commands
from docs.__main__ import PAGES
from docs.commands import PROGRAMS, leaves
from tests import documents
from tests.commandlines import OURS, lines, make_targets, wrong_with
from tests.commandlines import commands as taken_apart
from tests.toy import ROOT

INTERNAL = {
    "components.versioning.dvc_command": "the DAG's tasks run DVC by it",
    "components.versioning.objects": "`eidolon remove` asks DVC by it",
    "components.versioning.up_to_date": "the first task of a run asks DVC by it",
    "docs.__main__": "`make docs`",
    "ops.example": "`make run` asks its example query by it",
    "ops.proxy": "supervisord starts the proxy by it",
    "ops.start": "supervisord starts the services by it",
}
"""Modules that other code runs, not people."""

QUICK = ("eidolon params", "python -m ops env")


@pytest.mark.parametrize("name", PAGES)
def test_a_written_page_is_what_make_docs_writes(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == PAGES[name](), f"docs/{name} is out of date: run `make docs`"


def test_every_module_that_can_be_run_is_documented() -> None:
    listed = {program.module for program in PROGRAMS} | set(INTERNAL)
    for folder in ("components", "ops", "bento", "benchmarks", "study", "zoo", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            if '\nif __name__ == "__main__":\n' in path.read_text():
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                assert module in listed, f"add {module} to PROGRAMS in docs/commands.py"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.called)
def test_every_command_and_option_has_a_help_text(program: commands.Program) -> None:
    for called, command in leaves(program.called, program.command()):
        assert command.help, f"`{called}` has no docstring: it is the help text"
        for parameter in command.params:
            assert parameter.help, f"`{called}`: {parameter.opts[0]} has no help text"


def test_commands_in_blocks_exist() -> None:
    wrong = []
    for block in (block for document in documents.every() for block in document.blocks):
        if block.excluded is not None or block.language not in ("sh", ""):
            continue
        shell = block.language == "sh"
        for line in lines(block.text) if shell else block.text.splitlines():
            if not shell and line.split(" ")[0] not in OURS:
                continue
            for words in taken_apart(line):
                if why := wrong_with(words, whole=True):
                    wrong.append(f"{block.place}: {line.strip()}: {why}")
    assert not wrong, "\n".join(wrong)


def test_commands_in_sentences_exist() -> None:
    wrong = []
    for document in documents.every():
        for span in document.spans:
            if span.split(" ")[0] not in OURS or " " not in span:
                continue
            for words in taken_apart(span.split(" | ")[0]):
                if why := wrong_with(words, whole=False):
                    wrong.append(f"{document.name}: `{span}`: {why}")
    assert not wrong, "\n".join(wrong)


def test_every_make_target_is_documented() -> None:
    shown = {
        words[1]
        for document in documents.every()
        for line in (*document.spans, *(li for b in document.blocks for li in lines_of(b)))
        if line.startswith("make ")
        for words in taken_apart(line)
        if words[0] == "make" and len(words) > 1
    }
    missing = make_targets() - shown
    assert not missing, f"document these targets, in CONTRIBUTING.md or docs/: {sorted(missing)}"


def lines_of(block: documents.Block) -> list[str]:
    return lines(block.text) if block.language == "sh" else []


def quick(line: str) -> bool:
    """Whether every command of a line prints something and ends at once."""
    found = taken_apart(line)
    shown = [" ".join(words).removeprefix(".venv/bin/") for words in found]
    return all(
        text == "make" or text.endswith("--help") or text.startswith((*QUICK, "eval $(.venv"))
        for text in shown
    )


def test_quick_commands_in_blocks_run_as_they_stand(tmp_path: Path) -> None:
    for name in documents.tracked():
        if (ROOT / name).is_file() and not name.startswith(("zoo/models/", "docs/images/")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = 0
    for block in (block for document in documents.every() for block in document.blocks):
        for line in filter(quick, lines_of(block)):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line],
                cwd=tmp_path,
                env=os.environ | {"PATH": paths},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{block.place}: {line}: {done.stderr}"
            found += 1
    assert found
