"""The dataset as a whole: bad data stops the run, and changes are reported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.lookalikes import KINDS as LOOKALIKES
from components import config
from components.errors import EidolonError
from components.images.decoding import decode
from components.images.hashing import thumbnail
from components.lifecycle import registry
from components.lifecycle.reference import reference, trained
from components.paths import COMPARED, DATASET, INSPECTION
from components.validation.inspection import compare, inspect, measure, summarise


@pytest.fixture
def rows(dataset_copy: Path) -> pd.DataFrame:
    return pd.read_csv(DATASET / "manifest.csv")


def paths(rows: pd.DataFrame, category: int, subset: str = "gallery") -> list[Path]:
    """The files of one category of the split `train`."""
    train = rows[rows["split"] == "train"]
    name = train["category"].unique()[category]
    chosen = train[(train["category"] == name) & (train["subset"] == subset)]
    return [DATASET / path for path in chosen["path"]]


def test_a_sound_dataset_passes_and_is_inspected_once(
    dataset_copy: Path, rows: pd.DataFrame
) -> None:
    params = config.load().inspect
    report = inspect(params, None)
    assert report["success"] and report["critical"] == [] and not report["compared"]
    assert (report["pictures"], report["categories"]) == (len(rows), rows["category"].nunique())
    assert (INSPECTION / "data_docs" / "index.html").is_file()
    made = (INSPECTION / "index.html").stat().st_mtime_ns
    assert inspect(params, None) == report
    assert (INSPECTION / "index.html").stat().st_mtime_ns == made
    same = inspect(params, (DATASET / "manifest.csv").read_text())
    assert same["compared"] and same["warnings"] == report["warnings"]


def test_only_what_is_new_is_compared_and_the_result_is_that_of_comparing_all(
    rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a picture became a copy, one changed, one went, and one moved to another category."""
    params = config.load().inspect

    def told() -> str:
        return capsys.readouterr().err.strip().splitlines()[-1]

    inspect(params, None)
    assert told().endswith(f"{len(rows)} compared with all")
    (one, twin), other = paths(rows, 0)[:2], paths(rows, 1)[0]
    shutil.copy(one, twin)  # both have a content that is known
    values = np.asarray(Image.open(one).convert("RGB")) * 0.88
    Image.fromarray(values.astype(np.uint8)).save(other)
    changed = rows.iloc[:-1].copy()
    home = ["category", "split"]
    changed.loc[changed.index[-1], home] = rows.loc[0, home]
    changed.to_csv(DATASET / "manifest.csv", index=False)
    inspect(params, None)
    assert told() == f"inspect: {len(changed)} pictures, 1 of them new; 2 compared with all"
    made = {file: (INSPECTION / file).read_bytes() for file in ("measurements.csv", "report.json")}
    shutil.rmtree(INSPECTION)
    COMPARED.unlink()
    inspect(params, None)
    assert told().endswith(f", 0 of them new; {len(changed) - 1} compared with all")
    assert made == {file: (INSPECTION / file).read_bytes() for file in made}


def _mislabelled(rows: pd.DataFrame) -> Path:
    bad = paths(rows, 0)[0]
    shutil.copy(paths(rows, 1)[0], bad)
    return bad


def _leaked(rows: pd.DataFrame) -> Path:
    bad = paths(rows, 0, "training")[0]
    shutil.copy(paths(rows, 0)[0], bad)
    return bad


def _unreadable(rows: pd.DataFrame) -> Path:
    bad = paths(rows, 0)[0]
    bad.write_text("no picture")
    return bad


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_mislabelled, "is in another category too"),
        (_leaked, "is in gallery and training"),
        (_unreadable, "does not decode"),
    ],
)
def test_pictures_that_spoil_training_are_critical(
    rows: pd.DataFrame, damage: Callable[[pd.DataFrame], Path], reason: str
) -> None:
    bad = damage(rows).relative_to(DATASET).as_posix()
    with pytest.raises(EidolonError, match=f"{reason}.*{INSPECTION}/index.html"):
        inspect(config.load().inspect, None)
    found = pd.read_csv(INSPECTION / "measurements.csv", keep_default_na=False).set_index("path")
    assert found.loc[bad, "reason"] == reason
    page = (INSPECTION / "index.html").read_text()
    assert bad in page
    assert ('src="data:image/png;base64,' in page) == (damage is not _unreadable)
    assert not json.loads((INSPECTION / "report.json").read_text())["success"]


def test_a_copy_in_one_category_is_a_warning(rows: pd.DataFrame) -> None:
    one, other = paths(rows, 0)[:2]
    shutil.copy(one, other)
    report = inspect(config.load().inspect, None)
    assert any("2 of 44: is there twice" in warning for warning in report["warnings"])


def test_an_altered_copy_in_another_category_is_a_warning(rows: pd.DataFrame) -> None:
    one, other = paths(rows, 0)[0], paths(rows, 1)[0]
    values = np.asarray(Image.open(one).convert("RGB")) * 0.88
    Image.fromarray(values.astype(np.uint8)).save(other)
    report = inspect(config.load().inspect, None)
    told = next(w for w in report["warnings"] if "nearly is in another category too" in w)
    assert all(path.relative_to(DATASET).as_posix() in told for path in (one, other))


def test_a_category_without_training_pictures_is_a_warning(rows: pd.DataFrame) -> None:
    name = rows.loc[rows["split"] == "train", "category"].iloc[0]
    without = rows[(rows["category"] != name) | (rows["subset"] == "gallery")]
    without.to_csv(DATASET / "manifest.csv", index=False)
    report = inspect(config.load().inspect, None)
    told = next(w for w in report["warnings"] if "has no training pictures" in w)
    assert f"1 of {rows['category'].nunique()}" in told and told.endswith(f": {name}")


def test_changes_since_the_champion_are_reported(rows: pd.DataFrame) -> None:
    params = config.load().inspect
    first, second, third = rows["category"].unique()[:3]
    before = rows.copy()
    before.loc[before["category"] == first, "split"] = "elsewhere"
    few = before[before["category"] == second].index[2:]
    before = before.drop(few)
    before = before[before["category"] != third]
    report = inspect(params, before.to_csv(index=False))
    told = " ".join(report["warnings"])
    for reason in (
        f"1 of 8: moved to another split (moved should be at most 0): {first}",
        f"1 of 8: grew or shrank much (change should be at most 0.5): {second}",
        "there are new categories",
    ):
        assert reason in told
    gone = before.assign(category="gone " + before["category"])
    with pytest.raises(EidolonError, match="too many categories are gone"):
        inspect(params, pd.concat([rows, gone]).to_csv(index=False))


def test_the_dataset_is_compared_with_the_champion_s(
    in_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("EIDOLON_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    version = registry.register(config.load())
    now = trained(version.version)
    assert now is not None and reference(now, 0.1).rows is None
    registry.set_alias(registry.CHAMPION, version.version)
    before = reference(now, 0.1).rows
    assert before == (DATASET / "manifest.csv").read_text()
    report = inspect(config.load().inspect, before, out=tmp_path / "inspection")
    assert report["compared"] and report["success"]
    kept = registry.artifacts(registry.registered(version.version), "validation/report.json")
    assert json.loads(kept["validation/report.json"])["success"]


def test_drift_is_the_share_of_pictures_that_changed_their_category() -> None:
    def frame(**counts: int) -> pd.DataFrame:
        names = [name for name, count in counts.items() for _ in range(count)]
        return pd.DataFrame({"category": names, "split": "train", "subset": "gallery"})

    now, before = frame(a=5, b=5, c=10), frame(a=10, b=10, d=20)
    row = summarise(compare(now, before), before).iloc[0]
    assert (row["drift"], row["lost"], row["new"]) == (0.5, pytest.approx(1 / 3), 1)
    table = compare(now, before).set_index("category")
    assert table.loc["a", "change"] == 0.5 and table.loc["d", "change"] == 1.0


def test_pages_of_text_are_not_copies(tmp_path: Path) -> None:
    """A page in another category is not a wrong label either; a true copy is."""
    rng, rows = np.random.default_rng(0), []
    for i in range(40):
        category = "letter" if i % 2 else "report"
        path = f"gallery/{category}/{i}.png"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        LOOKALIKES["pages of text"](rng).save(tmp_path / path)
        rows.append((path, category, "gallery", ""))
    shutil.copy(tmp_path / rows[0][0], tmp_path / rows[1][0])
    table = pd.DataFrame(rows, columns=["path", "category", "subset", "source"])
    params = config.load(Path(__file__).parents[1] / "params.yaml").inspect
    thumbnails = np.array([thumbnail(decode(tmp_path / path)) for path in table["path"]])
    apart = thumbnails[:, None] - thumbnails
    alike = np.sqrt((apart**2).mean(axis=2)) < params.copy_colour_distance
    assert alike.sum() > 2 * len(table)  # by colours at 8x8 pixels alone, most would be copies
    looked = measure(tmp_path, table, params, tmp_path / "known.sqlite")
    same = looked[["copy", "leak", "label"]].min(axis=1) < params.copy_colour_distance
    assert looked["path"][same].tolist() == [rows[0][0], rows[1][0]]
    assert looked["label_of"][:2].tolist() == [rows[1][0], rows[0][0]]
