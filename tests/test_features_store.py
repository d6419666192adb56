"""What was encoded once is not encoded again, whatever happened in between, and the result is the
same to the last bit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components import config
from components.errors import EidolonError
from components.features import encoding
from components.features import store as stores
from components.features.embed import embed
from components.features.encoding import Encoding, describe, digests, encode
from components.features.store import FeatureStore
from components.models.lazy import LazyClip, LazyVision, _filled
from components.paths import ACCEPTED, DATASET, FEATURES, HOME, VALIDATION
from components.validation.validate import validate
from zoo import dino

STORE = HOME / "features"


def features() -> bytes:
    return (FEATURES / "features.safetensors").read_bytes()


def encoded(said: str) -> tuple[int, int]:
    """How many pictures were encoded, and of how many."""
    found = re.findall(r"^embed: ([\d,]+) of ([\d,]+) pictures encoded$", said, re.MULTILINE)
    new, of = found[-1]
    return int(new.replace(",", "")), int(of.replace(",", ""))


def pictures() -> int:
    folders = (DATASET, ACCEPTED)
    return sum(len(pd.read_csv(folder / "manifest.csv")) for folder in folders)


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """No encoder can be loaded."""

    def refuse(_: object) -> None:
        raise AssertionError("a model is loaded")

    for kind in (LazyClip, LazyVision):
        monkeypatch.setattr(kind, "loaded", property(refuse))


def test_the_second_time_nothing_is_encoded_or_opened(
    toy_copy: Path, no_models: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = features()
    for folder in (DATASET, ACCEPTED):
        for file in folder.rglob("*.png"):
            file.unlink()
    shutil.rmtree(FEATURES)
    embed(config.load().encoders)
    assert features() == before
    assert encoded(capsys.readouterr().err) == (0, pictures())


def test_nothing_to_do_needs_no_library_of_models(toy_copy: Path) -> None:
    before = features()
    shutil.rmtree(FEATURES)
    script = (
        "import sys; from components.cli.__main__ import app\n"
        "app(['embed'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert features() == before


def test_a_validation_without_news_measures_nothing(
    toy_copy: Path, no_models: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (VALIDATION / "measurements.csv").read_bytes()
    validate(config.load())
    assert "validate: 0 of 24 pictures measured anew" in capsys.readouterr().err
    assert (VALIDATION / "measurements.csv").read_bytes() == before


def test_what_validate_encoded_embed_does_not(
    toy_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(STORE)
    validate(config.load())
    embed(config.load().encoders)
    new, of = encoded(capsys.readouterr().err)
    assert new == of - len(pd.read_csv(ACCEPTED / "manifest.csv"))


def test_pictures_that_come_one_by_one_give_the_same_as_all_at_once(
    toy_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An embedding depends on no other picture and on no history, to the last bit."""
    before, frame = features(), pd.read_csv(DATASET / "manifest.csv")
    shutil.rmtree(STORE)
    clip, vision = LazyClip(str(_model("clip"))), LazyVision(str(_model("dino")))
    rng = np.random.default_rng(0)
    files = [DATASET / path for path in frame["path"].sample(frac=0.8, random_state=1)]
    while files:
        some, files = files[: (n := int(rng.integers(1, 8)))], files[n:]
        encode(some, "some", clip, vision, reduced=True)
    embed(config.load().encoders)
    assert features() == before
    new, of = encoded(capsys.readouterr().err)
    assert 0 < new < of - 0.7 * len(frame)


def _model(name: str) -> Path:
    return Path(getattr(config.load().encoders, {"clip": "clip", "dino": "vision"}[name]))


def test_another_encoder_is_not_mixed_up(toy_copy: Path, tmp_path: Path) -> None:
    import torch

    model = dino.build()
    with torch.no_grad():
        for part in model.parameters():
            part.add_(torch.randn_like(part) / 10)
    dino.save(model, tmp_path / "dino")  # of the same name
    other = config.load().encoders.model_copy(update={"vision": str(tmp_path / "dino")})
    old, found = embed(config.load().encoders), embed(other)
    assert not np.allclose(found.gallery_vision, old.gallery_vision)
    np.testing.assert_array_equal(found.gallery_clip, old.gallery_clip)
    shutil.rmtree(STORE)
    fresh = embed(other)
    np.testing.assert_array_equal(fresh.gallery_vision, found.gallery_vision)
    np.testing.assert_array_equal(fresh.imagined, found.imagined)


@pytest.mark.parametrize("part", ["arithmetic", "libraries", "code", "side"])
def test_another_preparation_is_not_mixed_up(
    part: str, toy_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if part == "side":
        monkeypatch.setattr(FeatureStore, "side", lambda *_: 7)
    else:
        monkeypatch.setattr(f"components.models.lazy.{part}", lambda *_: "another")
    embed(config.load().encoders)
    new, of = encoded(capsys.readouterr().err)
    imagined = len(pd.read_csv(ACCEPTED / "manifest.csv"))
    assert new == (of - imagined if part == "side" else of)  # imagined ones are read in full


def test_what_only_words_change_in_the_code_is_the_same(tmp_path: Path) -> None:
    from components.code_versions import code

    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "__init__.py").touch()

    def of(text: str) -> str:
        (folder / "thing.py").write_text(text)
        return subprocess.run(
            [
                *(sys.executable, "-c"),
                "from components.code_versions import code; print(code('some.thing'))",
            ],
            env=os.environ | {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[1]}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    same = {of('"""Says."""\nx = 1\n'), of("x  =  1  # why\n"), of('"""Other."""\n\n\nx = 1')}
    assert len(same) == 1
    assert of("x = 2\n") not in same
    assert code("components.images.decoding") != code("components.models.encoders")


def test_a_damaged_picture_is_an_error_if_it_is_not_stored(toy_copy: Path) -> None:
    picture = DATASET / pd.read_csv(DATASET / "manifest.csv")["path"][3]
    picture.write_bytes(picture.read_bytes()[:200])
    embed(config.load().encoders)  # it was encoded when it was whole
    shutil.rmtree(STORE)
    with pytest.raises(EidolonError, match=rf"{picture.name} cannot be decoded"):
        embed(config.load().encoders)
    picture.unlink()
    with pytest.raises(EidolonError, match=rf"{picture.name} is missing"):
        embed(config.load().encoders)


def test_what_was_encoded_before_an_error_is_kept(
    toy_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(DATASET / "manifest.csv")
    last = DATASET / frame.loc[frame["subset"] == "training", "path"].iloc[-1]
    whole = last.read_bytes()
    shutil.rmtree(STORE)
    last.write_bytes(b"")
    with pytest.raises(EidolonError, match="is empty"):
        embed(config.load().encoders)
    last.write_bytes(whole)
    embed(config.load().encoders)
    new, of = encoded(capsys.readouterr().err)
    assert new == of - (frame["subset"] == "gallery").sum()


def test_a_changed_file_is_stored_as_what_it_is(toy_copy: Path) -> None:
    """Not under the hash that the manifest has: that is of another picture."""
    frame = pd.read_csv(DATASET / "manifest.csv")
    one, other = (DATASET / path for path in frame.loc[frame["subset"] == "gallery", "path"][:2])
    before = embed(config.load().encoders).gallery_vision.copy()
    shutil.rmtree(STORE)
    whole = one.read_bytes()
    shutil.copy(other, one)
    changed = embed(config.load().encoders).gallery_vision
    np.testing.assert_array_equal(changed[0], before[1])
    one.write_bytes(whole)
    np.testing.assert_array_equal(embed(config.load().encoders).gallery_vision, before)


def test_equal_pictures_are_encoded_once(toy_copy: Path) -> None:
    file = next(DATASET.rglob("*.png"))
    vision = LazyVision(str(_model("dino")))
    keys = stores.keys(digests([file] * 3))
    work = Encoding([file] * 3, keys, "some", [vision], FeatureStore(toy_copy / "new")).fill()
    assert work.encoded == 1
    assert (work.rows(0) == work.rows(0)[0]).all()


def test_pictures_that_cannot_be_decoded_are_left_out_if_that_is_wanted(toy_copy: Path) -> None:
    bad, missing = toy_copy / "bad.png", toy_copy / "missing.png"
    bad.write_bytes(b"bad")
    files = [bad, next(DATASET.rglob("*.png")), missing, bad]
    vision, store = LazyVision(str(_model("dino"))), FeatureStore(toy_copy / "new")
    work = Encoding(files, stores.keys(digests(files)), "some", [vision], store, lenient=True)
    rows = work.fill().rows(0)
    assert work.fine.tolist() == [False, True, False, False]
    assert not rows[~work.fine].any()
    assert rows[1].any()
    only = Encoding([bad], stores.keys(digests([bad])), "some", [vision], store, lenient=True)
    assert only.fill().rows(0).shape == (1, rows.shape[1])


def test_rows_that_are_damaged_or_pruned_meanwhile_are_encoded_again(toy_copy: Path) -> None:
    files = sorted(DATASET.rglob("*.png"))
    vision, store = LazyVision(str(_model("dino"))), FeatureStore(toy_copy / "new")
    keys = stores.keys(digests(files))
    whole = Encoding(files, keys, "some", [vision], store).fill().rows(0)
    work = Encoding(files, keys, "some", [vision], store).fill()
    assert store.keep(keys[:9], {vision.address["encoder"]}) > 0
    np.testing.assert_array_equal(work.rows(0), whole)
    assert work.encoded == len(files) - 9
    for file in store.root.rglob("*.safetensors"):
        data = bytearray(file.read_bytes())
        data[-2000:] = bytes(2000)
        file.write_bytes(data)
    again = Encoding(files, keys, "some", [vision], store).fill()
    np.testing.assert_array_equal(again.rows(0), whole)
    assert again.encoded > 0


def test_texts_are_encoded_once_and_alike_whatever_others_there_are(toy_copy: Path) -> None:
    clip, store = LazyClip(str(_model("clip"))), FeatureStore(toy_copy / "new")
    names, templates = [f"red {n} star" for n in range(40)], ["{}", "a photo of a {}"]
    whole = describe(clip, names, templates, store)
    alone = np.concatenate(
        [describe(clip, [n], templates, FeatureStore(toy_copy / "other")) for n in names]
    )
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_allclose(whole, clip.loaded.describe(names, templates), atol=1e-6)
    silent = LazyClip(str(_model("clip")))
    np.testing.assert_array_equal(describe(silent, names[::-1], templates, store), whole[::-1])
    assert "loaded" not in vars(silent)


@pytest.mark.parametrize(
    ("count", "size", "filled"),
    [
        *((1, 256, 32), (32, 256, 32), (33, 256, 64), (256, 256, 256), (257, 256, 288)),
        *((40, 48, 48), (100, 48, 128), (3, 1, 3), (5, 4, 8), (300, 32, 320)),
    ],
)
def test_batches_are_filled_up(count: int, size: int, filled: int) -> None:
    assert len(_filled(range(count), size)) == filled


def test_the_store_says_its_size_and_what_pruning_would_free(toy_copy: Path) -> None:
    store, encoders = FeatureStore(), config.load().encoders
    clip, vision = LazyClip(encoders.clip), LazyVision(encoders.vision)
    models = {clip.address["encoder"], vision.address["encoder"]}
    keys = np.concatenate(
        [
            stores.keys(pd.read_csv(folder / "manifest.csv")["sha256"])
            for folder in (DATASET, ACCEPTED, Path("data/imagined"))
        ]
    )
    size = store.size()
    assert size == sum(file.stat().st_size for file in STORE.rglob("*.safetensors"))
    calibrated = store.keep(keys, models, dry=True)  # pictures that only `calibrate` needed
    assert 0 < calibrated < size
    assert store.size() == size
    assert store.keep(keys, models) == calibrated
    assert store.keep(keys, models) == 0
    assert store.keep(keys, {clip.address["encoder"]}) > 0
    kinds = {folder.name.partition("-")[0] for folder in STORE.iterdir()}
    assert kinds >= {"clip", "texts", "numbers", "views"}
    assert "vision" not in kinds


def test_a_store_that_cannot_be_written_is_one_sentence(
    toy_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy_copy / "file").touch()
    monkeypatch.setenv("EIDOLON_FEATURES", "file")
    with pytest.raises(EidolonError, match="features cannot be stored in file "):
        embed(config.load().encoders)


def test_the_store_may_be_elsewhere(
    toy_copy: Path, monkeypatch: pytest.MonkeyPatch, no_models: None
) -> None:
    before = features()
    STORE.rename(toy_copy / "elsewhere")
    monkeypatch.setenv("EIDOLON_FEATURES", "elsewhere")
    embed(config.load().encoders)
    assert features() == before
    assert not STORE.exists()


def test_rows_that_keep_vanishing_are_said(toy_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.errors import TransientError

    def nothing(*_: object) -> np.ndarray:
        return np.zeros(len(files), dtype=bool)

    files = sorted(DATASET.rglob("*.png"))[:2]
    monkeypatch.setattr(encoding.Segments, "read", nothing)
    with pytest.raises(TransientError, match="features vanish"):
        encode(files, "some", LazyVision(str(_model("dino"))))
