"""Every family of models takes the path of the real ones, and gives what its own model computes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers as tf
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from components import config
from components.errors import EidolonError
from components.imagining import generator
from components.imagining.generator import Generator, identity
from components.models import batches, checkpoints, encoders
from components.models.batches import Batches
from components.models.encoders import ClipEncoder, VisionEncoder
from tests import families, toy
from tests.clones import Clone
from tests.neighbours import answering
from tests.rounding import of_dot
from zoo.pictures import Category, draw

TEXTS = ["a photo of a red plain star", "blue ring", "a picture of a green checked cross " * 5]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOLERANCE = 64 * of_dot(1)
"""Of a value in a vector of length one: the models here sum up to 64 products at a time, and norm
what comes out of each layer. The largest seen on three kernels of PyTorch was 1.8e-7."""


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [draw(Category.parse(n), seed=3, subset="toy", index=0) for n in toy.NAMES[:5]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder per family."""
    root = tmp_path_factory.mktemp("families")
    for family in [*families.TWO_SIDED, *families.ONE_SIDED]:
        families.save(family, root / family)
    return root


def pixels(pictures: list[Image.Image]) -> torch.Tensor:
    """What a processor makes of pictures that have the model's size already."""
    levels = np.stack([np.asarray(p, dtype=np.float32) for p in pictures]) / 255
    mean, std = np.float32(families.MEAN), np.float32(families.STD)
    return torch.from_numpy((levels - mean) / std).permute(0, 3, 1, 2)


def unit(vectors: torch.Tensor) -> np.ndarray:
    return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy()


def by_hand(family: str, folder: Path, pictures: list[Image.Image]) -> tuple[Any, Any]:
    """Image and text embeddings by the whole forward pass of the family's own classes."""
    kinds = {"metaclip2": tf.MetaClip2Model, "siglip2-naflex": tf.Siglip2Model}
    common = tf.SiglipModel if family.startswith("siglip") else tf.CLIPModel
    model = kinds.get(family, common).from_pretrained(folder).eval()
    if family == "siglip2-naflex":
        prepare = tf.Siglip2ImageProcessorPil.from_pretrained(folder)
        images = prepare(images=pictures, return_tensors="pt")
    else:
        images = {"pixel_values": pixels(pictures)}
    words = tf.AutoTokenizer.from_pretrained(folder)(
        [text.lower() for text in TEXTS],
        padding="max_length",
        max_length=families.LENGTH,
        truncation=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        output = model(**images, **words)
    return output.image_embeds.numpy(), output.text_embeds.numpy()


@pytest.mark.numeric
@pytest.mark.parametrize("family", families.TWO_SIDED)
def test_texts_and_pictures_of_a_two_sided_family(
    family: str, models: Path, pictures: list[Image.Image]
) -> None:
    encoder = ClipEncoder(str(models / family), batch=2)
    images, texts = encoder.images(pictures), encoder.texts(TEXTS)
    for vectors in (images, texts):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=TOLERANCE)
        assert np.abs(vectors[0] - vectors[1]).max() > 0.01  # inputs are told apart
    assert images.shape[1] == texts.shape[1]
    np.testing.assert_array_equal(images, encoder.images(pictures))
    np.testing.assert_array_equal(texts, encoder.texts(TEXTS))
    alone = ClipEncoder(str(models / family), batch=1)
    np.testing.assert_allclose(images, alone.images(pictures), atol=TOLERANCE)
    np.testing.assert_allclose(texts, alone.texts(TEXTS), atol=TOLERANCE)
    expected_images, expected_texts = by_hand(family, models / family, pictures)
    np.testing.assert_allclose(images, expected_images, atol=TOLERANCE)
    np.testing.assert_allclose(texts, expected_texts, atol=TOLERANCE)


@pytest.mark.numeric
@pytest.mark.parametrize("family", ["clip", "siglip", "siglip2", "siglip2-naflex"])
def test_families_trained_on_small_letters_get_small_letters(family: str, models: Path) -> None:
    encoder = ClipEncoder(str(models / family))
    np.testing.assert_array_equal(encoder.texts(["A Red STAR"]), encoder.texts(["a red star"]))


@pytest.mark.numeric
@pytest.mark.parametrize("family", families.ONE_SIDED)
def test_pictures_of_a_one_sided_family(
    family: str, models: Path, pictures: list[Image.Image]
) -> None:
    encoder = VisionEncoder(str(models / family), batch=2)
    vectors = encoder.images(pictures)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=TOLERANCE)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01
    np.testing.assert_array_equal(vectors, encoder.images(pictures))
    alone = VisionEncoder(str(models / family), batch=1).images(pictures)
    np.testing.assert_allclose(vectors, alone, atol=TOLERANCE)

    kinds = {
        "dinov2": tf.Dinov2Model,
        "dinov2-with-registers": tf.Dinov2WithRegistersModel,
        "dinov3-vit": tf.DINOv3ViTModel,
        "dinov3-convnext": tf.DINOv3ConvNextModel,
        "deit": tf.DeiTForImageClassification,
        "deit-pooled": tf.DeiTModel,
        "resnet": tf.ResNetModel,
        "regnet": tf.RegNetModel,
    }
    model = kinds[family].from_pretrained(models / family).eval()
    inside = model.deit if family == "deit" else model
    with torch.inference_mode():
        output = inside(pixel_values=pixels(pictures))
    if family == "deit-pooled":
        expected = output.pooler_output
    elif family in ("resnet", "regnet"):
        expected = output.last_hidden_state.mean(dim=(2, 3))
    else:  # the CLS token; of a ConvNeXt the mean over the picture
        expected = output.last_hidden_state[:, 0]
    np.testing.assert_allclose(vectors, unit(expected), atol=TOLERANCE)


@pytest.mark.numeric
def test_dinov3_pictures_are_resized_as_by_its_own_processor(models: Path) -> None:
    """Its own, which needs torchvision, resizes floats; the difference is what rounding makes."""
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    )
    encoder = VisionEncoder(str(models / "dinov3-vit"))
    (ours,) = encoder._pixels([picture])["pixel_values"]
    levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    size = (families.SIZE, families.SIZE)
    resized = torch.nn.functional.interpolate(levels, size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in (families.MEAN, families.STD))
    assert (ours * std + mean - resized[0]).abs().max() <= 1.01 / 255


def test_a_model_of_the_wrong_kind_is_refused(models: Path) -> None:
    with pytest.raises(EidolonError, match=r"is a dinov2, which reads no texts: .*encoders\.clip"):
        ClipEncoder(str(models / "dinov2"))
    with pytest.raises(EidolonError, match=r"is a clip, .*more than pictures: .*encoders\.vision"):
        VisionEncoder(str(models / "clip"))


def test_a_model_that_does_not_pool_is_refused(pictures: list[Image.Image], tmp_path: Path) -> None:
    tf.ViTMAEModel(tf.ViTMAEConfig(**families.PATCHES)).save_pretrained(tmp_path)
    tf.ViTImageProcessorPil(size=families.SQUARE).save_pretrained(tmp_path)
    with pytest.raises(EidolonError, match="makes no vector of a picture"):
        VisionEncoder(str(tmp_path)).images(pictures)


def copied(source: Path, to: Path) -> Path:
    shutil.copytree(source, to)
    return to


def test_pickled_weights_are_not_opened(models: Path, tmp_path: Path) -> None:
    folder = copied(models / "dinov2", tmp_path / "pickled")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(EidolonError, match=r"no safetensors weights.*pickled.*never opened"):
        VisionEncoder(str(folder))


def test_a_checkpoint_without_some_weights_is_refused(models: Path, tmp_path: Path) -> None:
    folder = copied(models / "dinov2", tmp_path / "partial")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EidolonError, match=r"lacks weights \(encoder\.layer\.1\.mlp\.fc1\.weight"):
        VisionEncoder(str(folder))


@pytest.mark.parametrize("family", families.TWO_SIDED)
def test_a_tokenizer_without_its_vocabulary_is_refused(
    family: str, models: Path, tmp_path: Path
) -> None:
    folder = copied(models / family, tmp_path / family)
    vocabulary = "spiece.model" if family == "siglip" else "tokenizer.json"
    (folder / vocabulary).unlink()
    with pytest.raises(
        EidolonError, match=r"the tokenizer of .* knows no word: .*|cannot load .*model_file"
    ):
        ClipEncoder(str(folder))


def test_weights_of_another_size_are_refused(models: Path, tmp_path: Path) -> None:
    folder = copied(models / "dinov2", tmp_path / "other")
    change(folder / "config.json", {"hidden_size": 64})
    with pytest.raises(EidolonError, match=r"do not fit its config \(\S+: \[32.*\], not \[64"):
        VisionEncoder(str(folder))


def change(file: Path, entries: Any) -> None:
    """Change entries of a JSON object, or all of the file where ``entries`` are none."""
    settings = json.loads(file.read_text())
    settings = settings | entries if isinstance(entries, dict) else entries
    file.write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("file", "entries", "reason"),
    [
        ("config.json", None, r"config\.json is damaged"),
        ("config.json", {"hidden_size": "x"}, "hidden_size"),
        ("config.json", {"num_attention_heads": 0}, "zero"),
        ("preprocessor_config.json", [], r"preprocessor_config\.json is damaged"),
        ("preprocessor_config.json", {"image_processor_type": 5}, "int"),
    ],
)
def test_a_damaged_config_is_one_sentence(
    file: str, entries: Any, reason: str, models: Path, tmp_path: Path
) -> None:
    folder = copied(models / "dinov2", tmp_path / "damaged")
    change(folder / file, entries)
    refused(lambda: VisionEncoder(str(folder)), reason)


def refused(load: Callable[[], object], reason: str) -> None:
    """``load`` raises one sentence with ``reason`` and the remedy for a folder."""
    with pytest.raises(EidolonError, match=f"cannot load .*{reason}.*: give a folder") as caught:
        load()
    assert "\n" not in str(caught.value)


def as_variant(folder: Path) -> None:
    """Name weights as those of the variant fp16."""
    for file in list(folder.rglob("*.safetensors")):
        file.rename(file.with_suffix(".fp16.safetensors"))


@pytest.mark.numeric
def test_weights_of_sixteen_bits_are_taken_where_there_are_no_others(
    models: Path, pipelines: Path, pictures: list[Image.Image], tmp_path: Path
) -> None:
    clip = copied(models / "clip", tmp_path / "clip")
    as_variant(clip)
    plain = ClipEncoder(str(models / "clip")).images(pictures)
    np.testing.assert_array_equal(ClipEncoder(str(clip)).images(pictures), plain)
    folder = copied(pipelines / "xl", tmp_path / "xl")
    as_variant(folder)
    drawn, wanted = (
        Generator(parameters(place)).draw(["a star"], [5])[0]
        for place in (folder, pipelines / "xl")
    )
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(wanted))


def test_a_model_that_brings_its_own_code_is_refused(models: Path, tmp_path: Path) -> None:
    folder = copied(models / "dinov2", tmp_path / "code")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: ...\n")
    with pytest.raises(EidolonError, match=r"cannot load .*code"):
        VisionEncoder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_eva_is_carried_by_way_of_timm_alone(tmp_path: Path) -> None:
    settings = {"model_type": "timm_wrapper", "architecture": "eva02_tiny_patch14_224"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(EidolonError, match=r"requires the timm library .*: choose a model that"):
        VisionEncoder(str(tmp_path))


# the generator


def parameters(model: Path, **changes: Any) -> config.Generator:
    turbo = {"steps": 1, "guidance": 0.0, "size": families.SIZE, "batch": 3}
    chosen = toy.params(Path("models"), Path("pictures"))["generator"]
    return config.Generator.model_validate(chosen | turbo | {"model": str(model)} | changes)


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipelines")
    toy.save_models(root / "toy")
    torch.manual_seed(0)
    families.sdxl_turbo(root / "xl")
    return root


PROMPTS = ["a red star", "a blue ring", "a red star", "a green cross"]


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("model", "changes"),
    [("xl", {}), ("toy/generator", {"steps": 3, "guidance": 3.0})],
    ids=["StableDiffusionXLPipeline", "StableDiffusionPipeline"],
)
def test_a_picture_depends_on_its_prompt_and_seed_alone(
    model: str, changes: dict[str, Any], pipelines: Path
) -> None:
    from diffusers import DiffusionPipeline

    params = parameters(pipelines / model, **changes)
    seeds = [1, 2, 3, 1]
    drawn = [np.asarray(p, dtype=int) for p in Generator(params).draw(PROMPTS, seeds)]
    assert all(p.shape == (families.SIZE, families.SIZE, 3) for p in drawn)
    pipe = DiffusionPipeline.from_pretrained(params.model, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    for prompt, seed, picture in zip(PROMPTS, seeds, drawn, strict=True):
        (alone,) = pipe(
            prompt,
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            height=params.size,
            width=params.size,
            generator=torch.Generator().manual_seed(seed),
        ).images
        assert np.abs(picture - np.asarray(alone, dtype=int)).max() <= 1
    assert np.abs(drawn[0] - drawn[2]).mean() > 1  # another seed
    assert np.abs(drawn[0] - drawn[3]).mean() > 0.1  # another prompt


def test_what_a_drawing_depends_on_is_known_without_the_model(pipelines: Path) -> None:
    params = parameters(pipelines / "xl")
    before = identity(params)
    assert before["model"].startswith("xl@")
    assert {k: before[k] for k in ("steps", "guidance", "size", "dtype")} == {
        "steps": 1,
        "guidance": 0.0,
        "size": families.SIZE,
        "dtype": "float32",
    }
    scheduler = pipelines / "xl" / "scheduler" / "scheduler_config.json"
    text = scheduler.read_text()
    try:
        scheduler.write_text(text.replace("0.012", "0.013"))
        assert identity(params)["model"] != before["model"]
    finally:
        scheduler.write_text(text)
    of_hub = parameters(Path("org/name"), revision=COMMIT)
    assert identity(of_hub)["model"] == f"org/name@{COMMIT}"


def test_a_pipeline_with_pickled_weights_is_refused(pipelines: Path, tmp_path: Path) -> None:
    folder = copied(pipelines / "xl", tmp_path / "pickled")
    for weights in folder.rglob("*.safetensors"):
        torch.save(load_file(weights), weights.with_suffix(".bin"))
        weights.unlink()
    with pytest.raises(EidolonError, match=r"no safetensors weights.*pickled.*never opened"):
        Generator(parameters(folder))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "text_encoder_2"])
def test_a_pipeline_without_some_weights_is_refused(
    part: str, pipelines: Path, tmp_path: Path
) -> None:
    folder = copied(pipelines / "xl", tmp_path / "partial")
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    gone = sorted(weights)[len(weights) // 2]
    del weights[gone]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(EidolonError, match=rf"partial/{part} lacks weights \({re.escape(gone)}\)"):
        Generator(parameters(folder))


@pytest.mark.parametrize("gone", ["tokenizer", "tokenizer_2"])
def test_a_pipeline_with_a_tokenizer_that_knows_no_word_is_refused(
    gone: str, pipelines: Path, tmp_path: Path
) -> None:
    folder = copied(pipelines / "xl", tmp_path / "mute")
    (folder / gone / "tokenizer.json").unlink()
    with pytest.raises(EidolonError, match=rf"the tokenizer of \S+mute/{gone} knows no word"):
        Generator(parameters(folder))


@pytest.mark.parametrize(
    ("file", "entries", "reason"),
    [
        ("model_index.json", [], r"model_index\.json is damaged"),
        ("model_index.json", {"unet": 5}, "int"),
        ("unet/config.json", [], r"unet/config\.json is damaged"),
        ("unet/config.json", {"block_out_channels": "x"}, "block_out_channels"),
        ("text_encoder/config.json", {"hidden_size": "x"}, "hidden_size"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "x"}, "linspace"),
    ],
)
def test_a_damaged_pipeline_is_one_sentence(
    file: str, entries: Any, reason: str, pipelines: Path, tmp_path: Path
) -> None:
    folder = copied(pipelines / "xl", tmp_path / "damaged")
    change(folder / file, entries)
    refused(lambda: Generator(parameters(folder)), reason)


# what an accelerator computes in


@pytest.mark.numeric
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_change_little(
    dtype: torch.dtype,
    models: Path,
    pipelines: Path,
    pictures: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders = [str(models / family) for family in ("clip", "siglip2-naflex", "dinov3-vit")]
    prompts, seeds = PROMPTS[:2], [1, 2]

    def results() -> list[np.ndarray]:
        clip, siglip = ClipEncoder(folders[0]), ClipEncoder(folders[1])
        drawn = Generator(parameters(pipelines / "xl")).draw(prompts, seeds)
        return [
            clip.images(pictures),
            clip.texts(TEXTS),
            siglip.images(pictures),
            VisionEncoder(folders[2]).images(pictures),
            np.stack([np.float32(p) / 255 for p in drawn]),
        ]

    exact = results()
    for module in (checkpoints, encoders, generator):
        monkeypatch.setattr(module, "precision", lambda: dtype)
    for wanted, found in zip(exact, results(), strict=True):
        assert found.dtype == np.float32
        assert 0 < np.abs(found - wanted).max() < 0.06


# models of a hub

_BY_NAME = """
import json, sys
from PIL import Image
from components import config
from components.models.encoders import ClipEncoder, VisionEncoder
from components.errors import EidolonError
from components.imagining.generator import Generator
commit = sys.argv[1]
picture = Image.open(sys.argv[2])
drawn = Generator(config.Generator.model_validate(json.loads(sys.argv[3]))).draw(["a star"], [5])
drawn[0].save(sys.argv[4])
clip = ClipEncoder("org/clip", commit)
found = {
    "image": clip.images([picture]).tolist(),
    "text": clip.texts(["a star"]).tolist(),
    "vision": VisionEncoder("org/dino", commit).images([picture]).tolist(),
}
for name in ("org/pickled", "org/partial"):
    try:
        VisionEncoder(name, commit)
    except EidolonError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


def to_hub(home: Path, name: str, source: Path) -> None:
    """Put a model into the cache of a hub, where a download would leave it."""
    place = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("f" * 40)  # a branch that moved on


@pytest.mark.numeric
def test_a_name_of_a_hub_with_a_commit_loads_what_a_folder_loads(
    models: Path, pipelines: Path, pictures: list[Image.Image], tmp_path: Path
) -> None:
    home, shown, drawn = tmp_path / "home", tmp_path / "picture.png", tmp_path / "drawn.png"
    for name, source in (
        ("org/clip", models / "clip"),
        ("org/dino", models / "dinov2"),
        ("org/xl", pipelines / "xl"),
    ):
        to_hub(home, name, source)
    pictures[0].save(shown)
    pickled = copied(models / "dinov2", tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    to_hub(home, "org/pickled", pickled)
    (pickled / "pytorch_model.bin").unlink()
    to_hub(home, "org/partial", pickled)
    asked = parameters(Path("org/xl"), revision=COMMIT).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", _BY_NAME, COMMIT, str(shown), asked, str(drawn)],
        cwd=toy.ROOT,
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    clip = ClipEncoder(str(models / "clip"))
    vision = VisionEncoder(str(models / "dinov2"))
    for key, wanted in (
        ("image", clip.images(pictures[:1])),
        ("text", clip.texts(["a star"])),
        ("vision", vision.images(pictures[:1])),
    ):
        np.testing.assert_allclose(found[key], wanted, atol=TOLERANCE)
    (here,) = Generator(parameters(pipelines / "xl")).draw(["a star"], [5])
    there = np.asarray(Image.open(drawn), dtype=int)
    assert np.abs(there - np.asarray(here, dtype=int)).max() <= 1  # where a level is rounded
    assert re.fullmatch(
        r"cannot load \S+: no safetensors weights are there.*writes them anew",
        found["org/pickled"],
    )
    assert out_of_reach("org/partial", "HF_HUB_OFFLINE is set").fullmatch(found["org/partial"])


def out_of_reach(model: str, why: str) -> re.Pattern[str]:
    return re.compile(
        rf"cannot load {model}@{COMMIT}: the cache does not hold it whole, and {why}:"
        rf" `HF_HUB_OFFLINE=0 hf download {model} --revision {COMMIT}` fetches it"
    )


@pytest.mark.parametrize("kind", [ClipEncoder, VisionEncoder, Generator])
def test_a_model_out_of_reach_is_one_sentence(kind: Any) -> None:
    given = ("org/name", COMMIT)
    if kind is Generator:
        given = (parameters(Path("org/name"), revision=COMMIT),)
    with pytest.raises(EidolonError, match=out_of_reach("org/name", "HF_HUB_OFFLINE is set")):
        kind(*given)


_UNREACHED = """
import sys
from components.errors import TransientError
from components.models.encoders import ClipEncoder
try:
    ClipEncoder("org/name", sys.argv[1])
except TransientError as error:
    print(error)
"""


def test_a_hub_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    nowhere = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", _UNREACHED, COMMIT],
        cwd=toy.ROOT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out_of_reach("org/name", "the hub is out of reach").fullmatch(done.stdout.strip())


def test_a_hub_that_is_out_of_order_is_asked_again(tmp_path: Path) -> None:
    with answering(501) as url:  # huggingface_hub itself waits minutes for 503 to pass
        here = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": url}
        done = subprocess.run(
            [sys.executable, "-c", _UNREACHED, COMMIT],
            cwd=toy.ROOT,
            env=os.environ | here,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "the hub is out of order (" in done.stdout


def test_a_model_of_a_hub_must_be_pinned(models: Path) -> None:
    with pytest.raises(
        EidolonError, match=r"org/name is no folder here: .*git ls-remote .*org/name"
    ):
        checkpoints.fingerprint("org/name", None)
    with pytest.raises(EidolonError, match=r"is a folder here, and a revision is for models of a"):
        VisionEncoder(str(models / "dinov2"), COMMIT)


@pytest.mark.slow
def test_dvc_follows_local_models_and_knows_those_of_a_hub_by_their_commit(tmp_path: Path) -> None:
    (tmp_path / "clone").mkdir()
    clone, home = Clone(tmp_path / "clone"), tmp_path / "home"
    to_hub(home, "org/generator", clone.root / "models" / "generator")
    file = clone.root / "params.yaml"
    local = yaml.safe_load(file.read_text())
    hub = local | {
        "generator": local["generator"] | {"model": "org/generator", "revision": COMMIT, "steps": 1}
    }
    environment = clone.env | {
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }

    def dvc(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=clone.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    file.write_text(yaml.safe_dump(hub))
    assert "Running stage 'imagine@0'" in dvc("repro", "imagine@0")
    rows = pd.read_csv(clone.root / "data" / "shards" / "0" / "manifest.csv")
    assert set(rows["model"]) == {f"org/generator@{COMMIT}"}
    assert "Stage 'imagine@0' didn't change" in dvc("repro", "imagine@0")

    hub["generator"]["revision"] = "f" * 40
    file.write_text(yaml.safe_dump(hub))
    assert "generator.revision" in dvc("status", "imagine@0")

    file.write_text(yaml.safe_dump(local))
    assert "Running stage 'imagine@0'" in dvc("repro", "imagine@0")
    assert "up to date" in dvc("status", "imagine@0")
    scheduler = clone.root / "models" / "generator" / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.012", "0.013"))
    assert "modified:           models" in dvc("status", "imagine@0")


# batches


def test_batches_keep_order_and_halve_when_memory_is_short() -> None:
    sizes: list[int] = []

    def work(items: Any) -> list[int]:
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * item for item in items]

    many = Batches(work, 0, 10)
    assert [x for part in many(range(11)) for x in part] == [i * i for i in range(11)]
    assert sizes == [10, 5, 2, 2, 2, 2, 2, 1]
    assert many.size == 2
    assert [x for part in many(range(3)) for x in part] == [0, 1, 4]


def test_one_item_that_does_not_fit_is_one_sentence() -> None:
    def work(_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EidolonError, match="memory does not hold"):
        Batches(work, 0, 4)([1, 2, 3])


def test_memory_that_runs_out_halves_the_batch_and_one_item_too_many_is_told() -> None:
    """With the machine's own memory, of which a process has 300 MB more than at first."""
    code = (
        "import resource, sys, psutil, torch\n"
        "from components.errors import NoRoomError\n"
        "from components.models.batches import Batches\n"
        "torch.set_num_threads(1)\n"
        "work = Batches(lambda sizes: len(torch.empty(sum(sizes), dtype=torch.uint8)), 1, 8)\n"
        "limit = psutil.Process().memory_info().vms + 300 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "assert work([100 * 2**20] * 8) == [200 * 2**20] * 4, work.size\n"
        "try:\n"
        "    work([400 * 2**20])\n"
        "except NoRoomError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=toy.ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("the machine's memory does not hold the model and a batch of")


def test_only_memory_that_others_hold_may_become_free() -> None:
    gib = 2**30
    assert not checkpoints.crowded(free=2 * gib, total=80 * gib, ours=77 * gib)
    assert checkpoints.crowded(free=2 * gib, total=80 * gib, ours=40 * gib)
    assert checkpoints.crowded(free=0, total=80 * gib, ours=0)


def test_a_model_that_does_not_fit_is_one_sentence() -> None:
    class Large:
        def to(self, _: torch.device) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EidolonError, match=r"memory does not hold the model .*: stop what else"):
        checkpoints.placed(Large())


@pytest.mark.parametrize(("size", "batch"), [(32, 32), (512, 4), (2048, 1)])
def test_a_cpu_draws_a_million_pixels_at_once(size: int, batch: int, pipelines: Path) -> None:
    chosen = parameters(pipelines / "xl", batch=None, size=size)
    assert Generator(chosen).batch == batch


def test_the_batch_follows_from_free_memory() -> None:
    gib = 2**30
    assert batches.fitting(free=80 * gib, cost=gib) == 64
    assert batches.fitting(free=10 * gib, cost=gib) == 8
    assert batches.fitting(free=80 * gib, cost=2**20) == batches.LARGEST
    assert batches.fitting(free=gib, cost=4 * gib) == 1
    assert batches.fitting(free=gib, cost=0) == batches.LARGEST


# full size


def test_the_benchmarked_architectures_have_the_published_sizes() -> None:
    from benchmarks.models import ARCHITECTURES, parameters

    assert {part: parameters(part) for part in ARCHITECTURES} == {
        "clip": 427_616_513,  # openai/clip-vit-large-patch14
        "dinov2": 304_368_640,  # facebook/dinov2-large
        "unet": 2_567_463_684,  # SDXL
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    }


def test_the_benchmark_runs_at_toy_size(models: Path, pipelines: Path, tmp_path: Path) -> None:
    from benchmarks.models import measure

    copied(models / "clip", tmp_path / "clip")
    copied(models / "dinov2", tmp_path / "dinov2")
    rates = measure(tmp_path, parameters(pipelines / "xl"), items=2)
    assert [rate.batch for rate in rates] == [3, batches.ON_CPU, batches.ON_CPU]
    assert all(rate.alone > 0 and rate.batched > 0 for rate in rates)
