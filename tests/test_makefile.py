"""The Makefile: what `make clean` leaves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from components.paths import (
    BUNDLE,
    COLLECTION,
    DATASET,
    DEPLOYED,
    INBOX,
    INGESTED,
    OUTBOX,
    QUARANTINE,
)
from tests.toy import ROOT


def test_clean_leaves_what_was_given(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    given = [INBOX / "a.zip", INGESTED / "1" / "b.zip", QUARANTINE / "1" / "c.png", OUTBOX]
    given += [COLLECTION / "manifest.csv", Path(".eidolon/remote/d"), Path(".dvc/cache/e")]
    made = [DEPLOYED, DATASET / "f", BUNDLE / "g", Path(".eidolon/.h/i"), Path("reports/j.png")]
    for path in (*given, *made):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for _ in range(2):  # the second time there is nothing to do
        subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
        found = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
        assert found == {Path("Makefile"), *given}
