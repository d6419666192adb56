"""Awkward names, all the way: folders, stages, registry, lineage, answers and their pictures."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from starlette.testclient import TestClient

from bento.web import Web
from components import config, manifest, names
from components.collection.ingest import ingest
from components.datasets.dataset import dataset
from components.datasets.emblems import draw, emblems
from components.imagining import plan, shards
from components.lifecycle import differences, lineage, registry
from components.lifecycle.reference import reference, trained
from components.paths import BUNDLE, DATASET, INSPECTION, PLAN
from components.serving.loading import load
from components.validation import page
from components.validation.inspection import inspect
from ops.summary import facts
from tests import toy
from tests.searching import Searching

FOLDERS = (
    *("1", "2", "007", "1e5", "NA", "null", "True"),  # look like numbers, or like nothing
    *("colt's foot", 'say "x", [b] (c) {d} 100%', "$x^{2$ <b>&amp;", "[bold] :smile: [red]"),
    *("Cafe\u0301", "漢" * 85, "שלום", "😀", "😁", "का", "की"),
    *("con", "imagined", "gallery", "--help", "c+", "c#", "tab\there\u200b", "Straße"),
)
"""Folders as file systems hold them: decomposed as on a Mac, up to 255 bytes long."""
NAMES = [names.clean(folder) for folder in FOLDERS]
PROMPTS = {"Colt's_Foot": "a {wild} {}", "007": "one agent", "CAFÉ": "a cup in a {}"}


@pytest.fixture(scope="module")
def project(toy_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All stages, the second time with pictures that were ingested under other spellings."""
    root = tmp_path_factory.mktemp("awkward")
    kinds = emblems()[:: 320 // len(FOLDERS)]
    for folder, kind in zip(FOLDERS, kinds, strict=False):
        (root / "pictures" / folder).mkdir(parents=True)
        for i in range(6):
            picture = draw(kind, seed=5, subset="toy", index=i)
            picture.save(root / "pictures" / folder / f"{i}.png")
    for folder, kind in (("COLT'S__FOOT", kinds[7]), ("ＣAFÉ", kinds[11]), ("００７", kinds[2])):
        (root / "new" / folder).mkdir(parents=True)
        draw(kind, seed=6, subset="toy", index=0).save(root / "new" / folder / "new.png")
    values = toy.params(toy_models, root / "pictures")
    values["generator"] |= {"prompt": "a {photo} of {}", "category_prompts": PROMPTS}
    values["encoders"]["text_templates"] = ["a {photo} of {}", "{}"]
    values["inspect"]["copy_colour_distance"] = 0.0
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    with chdir(root):
        dataset(config.load().dataset)
        taken = ingest(Path("new"), config.load().ingest)
        assert (taken.added, taken.new_categories) == (3, [])
        toy.run_stages(root)
        yield root


@pytest.fixture(scope="module")
def registered(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[registry.Version]:
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setenv("EIDOLON_ARTIFACTS", (home / "artifacts").as_uri())
        version = registry.register(config.load())
        registry.set_alias(registry.CHAMPION, version.version)
        yield version


@pytest.fixture(scope="module")
def searching(project: Path) -> Searching:
    return Searching(BUNDLE, config.load())


CHANGING = {"query": "", "request": "", "timings": {}}
"""What differs between equal answers."""


def spellings(name: str) -> set[str]:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    return {
        name,
        wide,
        unicodedata.normalize("NFD", name),
        name.upper(),
        f"\ufeff {name.replace(' ', '_')}\u200b\n",
    }


def test_every_name_reaches_the_bundle(project: Path) -> None:
    dataset = manifest.read(DATASET, manifest.DATASET_COLUMNS, "")
    counts = dataset["category"].value_counts()
    assert set(counts.index) == set(NAMES)
    assert counts["colt's foot"] == counts["Café"] == counts["007"] == counts["1"] + 1
    bundle = load(BUNDLE)
    assert set(bundle.categories["category"]) == set(NAMES)
    for shown in bundle.categories["pictures"]:
        assert shown and all(bundle.picture(path) for path in shown.split())
    drawn = manifest.read(Path("data/accepted"), manifest.ACCEPTED_COLUMNS, "")
    prompts = dict(zip(drawn["category"], drawn["prompt"], strict=True))
    assert prompts["colt's foot"] == "a {wild} colt's foot" and prompts["007"] == "one agent"
    assert prompts["Café"] == "a cup in a Café" and prompts["1e5"] == "a {photo} of 1e5"


def test_a_second_training_finds_the_champions_categories(registered: registry.Version) -> None:
    """All-digit categories were numbers in the champion's manifest, so all of them were lost."""
    params = config.load().inspect
    champion = reference(trained("1"), params.max_lost)
    assert champion.version == "1"
    report = inspect(params, champion.rows)
    assert report["compared"] and report["success"]
    assert not [w for w in report["warnings"] if "gone" in w or "new categories" in w]
    assert (INSPECTION / "index.html").is_file()
    same = differences.diff("1", differences.WORKING)
    assert (same.categories_added, same.categories_removed, same.changed) == ([], [], [])
    assert len(same.pictures_added) == len(same.pictures_removed) == 0


def test_the_registry_takes_every_name(registered: registry.Version) -> None:
    """`generator.category_prompts.colt's foot` is no name of a parameter to MLflow."""
    params = registry.client().get_run(registered.run_id).data.params
    assert (
        json.loads(params["generator.category_prompts"]) == config.load().generator.category_prompts
    )
    assert params["generator.prompt"] == "a {photo} of {}"
    assert json.loads(params["encoders.text_templates"]) == ["a {photo} of {}", "{}"]
    assert params["profile"] == "toy" and params["generator.revision"] == "null"
    found = lineage.trace("1")["imagined"]["categories"]
    assert {row["category"] for row in found} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_category_is_found_however_it_is_written(
    searching: Searching, registered: registry.Version, name: str
) -> None:
    web = Web(config.Serve())
    given = searching(name)
    web.show(searching.worker)
    client = TestClient(web.app)
    for spelling in spellings(name):
        other = searching(spelling)
        assert other["known"] and other["query"] == spelling
        assert other | CHANGING == given | CHANGING
    for url in (shown["picture"] for shown in [*given["imagined"], *given["hits"]]):
        assert client.get(f"/{url}").status_code == 200
    traced = lineage.of_answer(lineage.read_answer(json.dumps(given)))["answer"]
    assert [picture["seed"] for picture in traced["imagined"]] == given["seeds"]
    assert all(picture["sha256"] for picture in traced["imagined"])


def test_other_text_is_imagined_once_however_it_is_written(
    searching: Searching, registered: registry.Version
) -> None:
    one = searching("A {purple} zébra [/]")
    two = searching(unicodedata.normalize("NFD", " a {purple}\u200b ZÉBRA  [／] "))
    assert not one["known"] and one | CHANGING == two | CHANGING
    traced = lineage.of_answer(lineage.read_answer(json.dumps(two)))["answer"]
    assert {p["prompt"] for p in traced["imagined"]} == {"a {photo} of a {purple} zébra [/]"}


@pytest.mark.parametrize("query", ["\u200b", "\u3164\ufe0f", "\0\x1b", "\u00ad \u2028"])
def test_text_without_visible_characters_is_refused(searching: Searching, query: str) -> None:
    with pytest.raises(Exception, match="a query has 1 to 300 characters"):
        searching(query)


def test_a_terminal_shows_names_as_they_are(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    summary = {
        "lambda": 0.5,
        "mlflow": {"model": "eidolon", "version": "1"},
        "bento": {"tag": None},
        "query": {"text": "[/x]", "hits": [{"category": "[bold] :smile: [red]", "score": 0.1}]},
    }
    Console().print(facts(summary, 1, "nothing"))
    assert "“[/x]” → [bold] :smile: [red] 0.10" in capsys.readouterr().out


def test_a_report_shows_names_as_they_are() -> None:
    rows = pd.DataFrame({"category": ["$x^{2$ <b>&amp;"]})
    shown = page.render("t", [("critical", "'<i>'")], rows, [Path("none")], Path("docs"))
    assert "$x^{2$ &lt;b&gt;&amp;amp;" in shown and "&lt;i&gt;" in shown
    assert "<b>" not in shown and "<i>" not in shown


FOLDER = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=30
).filter(lambda name: bool(names.clean(name)) and not name.startswith("."))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FOLDER, min_size=4, max_size=6, unique_by=names.fold))
@example(["1", "01", "1e0", "1.0", "NaN", "None"])
def test_any_names_go_from_folders_to_plans(folders: list[str]) -> None:
    wanted = {names.clean(folder) for folder in folders}
    with TemporaryDirectory() as place, chdir(place):
        for i, folder in enumerate(folders):
            (Path("pictures") / folder).mkdir(parents=True)
            for k in range(2):
                shown = Image.new("RGB", (9, 9), (20 * i, 90 * k, 0))
                shown.save(Path("pictures") / folder / f"{k}.png")
        values = toy.params(Path("models"), Path("pictures"))
        params = config.Params.model_validate(values)
        made = dataset(params.dataset)
        read = manifest.read(DATASET, manifest.DATASET_COLUMNS, "")
        assert read.to_dict("records") == made.to_dict("records")
        assert set(read["category"]) == wanted
        planned = plan.plan(params.generator)
        parts = [shards.read_table(PLAN / f"{i}.csv", shards.PLAN_COLUMNS, "") for i in (0, 1)]
        rows = {row for part in parts for row in part.itertuples(index=False, name=None)}
        assert rows == set(planned.itertuples(index=False, name=None))
        assert {row[0] for row in rows} == wanted
