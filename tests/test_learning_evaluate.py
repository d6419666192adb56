"""The figures of the evaluation mean what they say, on planted features."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from components import config, manifest
from components.features.features import Features
from components.files import read_json
from components.index import build
from components.learning import analysis, evaluate
from components.learning.aggregator import Aggregator
from components.learning.intervals import DIGITS
from components.learning.metrics import average_precisions
from tests import planted
from tests.toy import ROOT

PARAMS = config.load(ROOT / "profiles" / "embedded.yaml")
RULES = PARAMS.evaluate.model_copy(update={"min_categories": 8})
WEIGHT = 0.6


def queries(features: Features) -> np.ndarray:
    return planted.normalised((features.imagined * features.accepted[..., None]).sum(axis=1))


def frame_of(features: Features) -> pd.DataFrame:
    aggregated = queries(features)
    gallery = build.build_index(features, aggregated, 0.5)
    return analysis.per_category(features, gallery, aggregated, WEIGHT)


def test_the_correction_knows_nothing_of_seen_and_unseen() -> None:
    """Each picture's own query is in the bank, so other splits change nothing."""
    features = planted.features()
    dealt = features.categories["split"].replace({"train": "unseen", "unseen": "train"})
    other = replace(features, categories=features.categories.assign(split=dealt))
    one, two = (build.build_index(given, queries(given), 0.5) for given in (features, other))
    np.testing.assert_array_equal(one.clip_hubness, two.clip_hubness)
    np.testing.assert_array_equal(one.vision_hubness, two.vision_hubness)
    assert np.abs(one.vision_hubness).max() > 0


def test_text_image_and_fused_get_the_same_correction() -> None:
    features, aggregated = planted.features(), queries(planted.features())
    gallery, frame = build.build_index(features, aggregated, 0.5), frame_of(features)
    positive = features.labels(features.gallery)[None, :] == np.arange(len(frame))[:, None]
    for kind, similar in (
        ("text", features.text @ gallery.clip.T - gallery.clip_hubness),
        ("image", aggregated @ gallery.vision.T - gallery.vision_hubness),
    ):
        np.testing.assert_allclose(frame[kind], average_precisions(similar, positive), atol=1e-9)


def test_the_unseen_only_gallery_has_the_unseen_pictures_alone() -> None:
    features = planted.features()
    aggregated, unseen = queries(features), features.rows("unseen")
    gallery, frame = build.build_index(features, aggregated, 0.5), frame_of(features)
    labels = features.labels(features.gallery)
    only = np.isin(labels, unseen)
    scores = gallery.score(features.text[unseen], aggregated[unseen], WEIGHT).fused[:, only]
    expected = average_precisions(scores, labels[only][None, :] == unseen[:, None])
    found = frame.set_index("category")["fused_unseen_only"]
    np.testing.assert_allclose(found.iloc[unseen], expected, atol=1e-9)
    assert found.drop(features.categories["category"].iloc[unseen]).isna().all()
    assert (found.iloc[unseen] >= frame["fused"].iloc[unseen].to_numpy() - 1e-9).all()


def test_a_category_left_to_text_has_no_image_figure_and_is_counted() -> None:
    features = planted.without_pictures(planted.features(), 0, 25)
    frame = frame_of(features)
    without = frame["category"].isin(["category 0", "category 25"])
    assert frame["image"].isna().tolist() == without.tolist()
    np.testing.assert_array_equal(frame.loc[without, "fused"], frame.loc[without, "text"])
    metrics = analysis.summarise(frame, RULES)
    assert metrics["text_only"] == 2
    others = frame.loc[~without & (frame["split"] == "unseen"), "image"].mean()
    assert metrics["map"]["image"]["unseen"]["mean"] == pytest.approx(others, abs=1e-4)


def test_the_summary_has_unseen_only_and_the_harmonic_mean() -> None:
    frame = frame_of(planted.features())
    metrics = analysis.summarise(frame, RULES)
    means = frame.groupby("split")[["text", "fused"]].mean()
    for kind in ("text", "fused"):
        seen, unseen = means[kind]["train"], means[kind]["unseen"]
        found = metrics["map"][kind]
        assert found["harmonic"]["mean"] == pytest.approx(
            2 * seen * unseen / (seen + unseen), abs=1e-4
        )
        assert found["unseen_only"]["mean"] == pytest.approx(
            frame[f"{kind}_unseen_only"].mean(), abs=1e-4
        )
        assert found["harmonic"]["low"] < found["harmonic"]["mean"] < found["harmonic"]["high"]
    assert set(metrics["gain"]) == set(metrics["map"]["fused"])
    assert metrics["gain"]["unseen"]["mean"] == pytest.approx(
        frame.loc[frame["split"] == "unseen", "gain"].mean(), abs=1e-4
    )
    assert metrics["categories"] == {"seen": 12, "validation": 8, "unseen": 8}


def test_the_gate_s_categories_are_distractors_and_in_no_figure() -> None:
    """Other queries for them change nothing; without their pictures, the others rank better."""
    splits = ("train",) * 12 + ("validation",) * 8 + ("unseen",) * 8 + ("gate",) * 8
    features = planted.features(splits)
    kept, labels = features.rows("gate"), features.labels(features.gallery)
    metrics = analysis.summarise(frame_of(features), RULES)
    assert metrics["categories"] == {"seen": 12, "validation": 8, "unseen": 8}
    assert not set(frame_of(features)["category"]) & {f"category {i}" for i in kept}
    assert (
        analysis.summarise(frame_of(planted.without_pictures(features, *kept)), RULES)["text_only"]
        == metrics["text_only"]
    )
    shown = ~np.isin(labels, kept)
    alone = replace(
        features,
        gallery=features.gallery[shown].reset_index(drop=True),
        gallery_clip=features.gallery_clip[shown],
        gallery_vision=features.gallery_vision[shown],
    )
    fewer = frame_of(alone).groupby("split")["text"].mean()
    assert (fewer > frame_of(features).groupby("split")["text"].mean()).all()
    assert len(analysis.reported(features).text) == 28
    sweeps = analysis.sweep(
        features, build.build_index(features, queries(features), 0.5), queries(features), [0.5]
    )
    assert set(sweeps["group"]) == set(analysis.GROUPS)


def test_too_few_categories_have_a_mean_and_no_interval() -> None:
    rules = RULES.model_copy(update={"min_categories": 9})
    metrics = analysis.summarise(frame_of(planted.features()), rules)
    for groups in (*metrics["map"].values(), metrics["gain"]):
        assert set(groups["seen"]) == {"mean", "low", "high"}
        for group in ("validation", "unseen", "unseen_only", "harmonic"):
            assert set(groups[group]) == {"mean"}


@pytest.mark.parametrize("unseen", [0, 1, 2, 4])
def test_a_small_world_is_evaluated_and_drawn(unseen: int, tmp_path: Path) -> None:
    splits = ("train", "validation") + ("unseen",) * unseen
    metrics = evaluated(planted.features(splits), tmp_path)
    assert metrics["categories"] == {"seen": 1, "validation": 1, "unseen": unseen}
    assert ("mean" in metrics["gain"]["unseen"]) == (unseen > 0)
    assert not any("low" in figures for figures in metrics["gain"].values())
    for name in ("gains", "sweep", "pictures", "imagined", "strips", "modality_gap"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert min(picture.size) > 50


def test_the_last_digits_of_features_change_no_tracked_figure(tmp_path: Path) -> None:
    """Another processor computes them with other last digits of float32."""
    features, rng = planted.features(), np.random.default_rng(7)
    epsilon = np.finfo(np.float32).eps

    def nearly(rows: np.ndarray) -> np.ndarray:
        return (rows * (1 + epsilon * rng.uniform(-1, 1, rows.shape))).astype(np.float32)

    arrays = ("text", "imagined", "gallery_clip", "gallery_vision")
    other = replace(features, **{name: nearly(getattr(features, name)) for name in arrays})
    assert not np.array_equal(other.gallery_clip, features.gallery_clip)
    written = []
    for place, given in (("one", features), ("two", other)):
        (tmp_path / place).mkdir()
        evaluated(given, tmp_path / place)
        tables = (tmp_path / place / "out").glob("*.[cj]s*")
        written.append({file.name: file.read_text() for file in tables})
    assert set(written[0]) == {
        *("metrics.json", "per_category.csv", "per_kind.csv", "sweep.csv", "pictures.csv")
    }
    assert written[0] == written[1]
    for name in ("per_category.csv", "per_kind.csv", "sweep.csv", "pictures.csv"):
        table = pd.read_csv(tmp_path / "one" / "out" / name).select_dtypes("number")
        pd.testing.assert_frame_equal(table, table.round(DIGITS))


def evaluated(features: Features, folder: Path) -> dict[str, object]:
    """Run the stage on ``features``, with one picture for each of their rows."""
    for name in ("features", "aggregator", "dataset", "accepted"):
        (folder / name).mkdir()
    features.save(folder / "features")
    torch.manual_seed(0)
    model = Aggregator(planted.DIM)
    model.start_at_mean()
    model.save(folder / "aggregator" / "aggregator.safetensors")
    split = features.categories.set_index("category")["split"]
    pictures = features.gallery.assign(subset="gallery")
    pictures["split"] = pictures["category"].map(split)
    drawn = pd.DataFrame(
        [
            {"path": f"{name}/{k}.png", "category": name, "kind": "class"}
            for name in features.categories["category"]
            for k in range(planted.IMAGINED)
        ]
    )
    for place, table, columns in (
        ("dataset", pictures, manifest.DATASET_COLUMNS),
        ("accepted", drawn, manifest.ACCEPTED_COLUMNS),
    ):
        table.reindex(columns=columns, fill_value="0").to_csv(
            folder / place / "manifest.csv", index=False
        )
        for path in table["path"]:
            (folder / place / path).parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), "red").save(folder / place / path)
    params = PARAMS.model_copy(update={"evaluate": RULES})
    evaluate.evaluate(
        params,
        folder / "features",
        folder / "aggregator",
        folder / "accepted",
        folder / "dataset",
        folder / "out",
    )
    found: dict[str, object] = read_json(folder / "out" / "metrics.json", "")
    return found


def test_no_figure_is_written_as_nan(tmp_path: Path) -> None:
    evaluated(planted.features(("train", "validation")), tmp_path)
    assert "NaN" not in (tmp_path / "out" / "metrics.json").read_text()
    assert math.isfinite(read_json(tmp_path / "out" / "metrics.json", "")["lambda"])
