"""How the tests of the page find or install a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import browser


def test_an_installed_browser_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.bring() == program
    assert browser.environment(program).get("LD_LIBRARY_PATH") != str(browser.BROUGHT / "lib")


def test_without_a_browser_and_a_registry_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed attempt leaves nothing behind."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(browser.NoBrowserError, match=r"`apt-get install chromium`") as error:
        browser.bring(tmp_path / "into")
    assert len(str(error.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())
