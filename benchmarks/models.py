"""Full-size architectures with random weights on an accelerator: `python -m benchmarks.models`.

A model takes as long with random weights as with trained ones, so nothing needs to be downloaded.
CLIP ViT-L/14, DINOv2-L and SDXL-Turbo are built from their published hyperparameters and loaded by
the code that loads the real ones. Each rate is compared with that of the plain loop: one prompt or
picture at a time through the library's own class, in the same precision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import typer
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoImageProcessor,
    AutoModel,
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

from benchmarks.timing import median_seconds
from components import config
from components.config import profiles
from components.errors import EidolonError, one_sentence
from components.imagining.generator import Generator
from components.models.checkpoints import device, precision
from components.models.encoders import ClipEncoder, VisionEncoder
from zoo.tokenizer import train_tokenizer

T = TypeVar("T")
M = TypeVar("M", Generator, ClipEncoder, VisionEncoder)

ALONE = 16  # items of the plain loop
TOKENS = 77
CROP = {"height": 224, "width": 224}

# config.json of openai/clip-vit-large-patch14
CLIP_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": TOKENS,
    "projection_dim": 768,
}
CLIP_VISION: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
# config.json of facebook/dinov2-large
DINOV2: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "mlp_ratio": 4,
    "image_size": 518,
    "patch_size": 14,
}
# unet/, vae/ and text_encoder_2/config.json and the scheduler of stabilityai/sdxl-turbo
UNET: dict[str, Any] = {
    "sample_size": 64,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
BIGG_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "max_position_embeddings": TOKENS,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "trailing",
}

ARCHITECTURES: dict[str, Callable[[], torch.nn.Module]] = {
    "clip": lambda: CLIPModel(
        CLIPConfig(text_config=CLIP_TEXT, vision_config=CLIP_VISION, projection_dim=768)
    ),
    "dinov2": lambda: Dinov2Model(Dinov2Config(**DINOV2)),
    "unet": lambda: UNet2DConditionModel(**UNET),
    "vae": lambda: AutoencoderKL(**VAE),
    "text_encoder": lambda: CLIPTextModel(CLIPTextConfig(**CLIP_TEXT)),
    "text_encoder_2": lambda: CLIPTextModelWithProjection(CLIPTextConfig(**BIGG_TEXT)),
}


@dataclass(frozen=True)
class Rate:
    """Items per second, alone and in batches of ``batch``; ``peak`` GiB of memory, 0 on a CPU."""

    what: str
    alone: float
    batched: float
    batch: int
    peak: float


def parameters(part: str) -> int:
    """The number of parameters of an architecture, computed without allocating them."""
    with torch.device("meta"):
        return sum(p.numel() for p in ARCHITECTURES[part]().parameters())


def save_models(folder: Path) -> None:
    """Write clip/, dinov2/ and sdxl/ with random weights: 9 GB in 16 bits."""
    parts: dict[str, Any] = {}
    for part, build in ARCHITECTURES.items():
        with device():
            parts[part] = build().to(precision())
    words = _tokenizer()
    parts["clip"].save_pretrained(folder / "clip")
    CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size=CROP), words
    ).save_pretrained(folder / "clip")
    parts["dinov2"].save_pretrained(folder / "dinov2")
    BitImageProcessorPil(size={"shortest_edge": 256}, crop_size=CROP).save_pretrained(
        folder / "dinov2"
    )
    StableDiffusionXLPipeline(
        vae=parts["vae"],
        text_encoder=parts["text_encoder"],
        text_encoder_2=parts["text_encoder_2"],
        tokenizer=words,
        tokenizer_2=words,
        unet=parts["unet"],
        scheduler=EulerAncestralDiscreteScheduler(**SCHEDULE),
    ).save_pretrained(folder / "sdxl")


def measure(folder: Path, params: config.Generator, items: int) -> list[Rate]:
    """The rates of the models in ``folder``, over ``items`` pictures in batches."""
    prompts = [f"a photo of a thing, number {i}" for i in range(items)]
    noise = np.random.default_rng(0).integers(0, 256, (params.size, params.size, 3))
    pictures = [Image.fromarray(noise.astype(np.uint8))] * items
    clip, dinov2 = str(folder / "clip"), str(folder / "dinov2")

    def clip_loop() -> Callable[[Image.Image], object]:
        prepare, model = _plain(clip)
        return lambda picture: model.get_image_features(**prepare(picture)).pooler_output.cpu()

    def dinov2_loop() -> Callable[[Image.Image], object]:
        prepare, model = _plain(dinov2)
        return lambda picture: model(**prepare(picture)).pooler_output.cpu()

    def drawing_loop() -> Callable[[str], object]:
        pipe = DiffusionPipeline.from_pretrained(params.model, dtype=precision()).to(device())
        pipe.set_progress_bar_config(disable=True)
        return lambda prompt: pipe(
            prompt,
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            height=params.size,
            width=params.size,
        )

    def draw(generator: Generator, some: list[str]) -> object:
        return generator.draw(some, range(len(some)))

    return [
        _compare("pictures drawn", prompts, drawing_loop, lambda: Generator(params), draw),
        _compare(
            "CLIP features of pictures",
            pictures,
            clip_loop,
            lambda: ClipEncoder(clip),
            ClipEncoder.images,
        ),
        _compare(
            "DINOv2 features of pictures",
            pictures,
            dinov2_loop,
            lambda: VisionEncoder(dinov2),
            VisionEncoder.images,
        ),
    ]


def _plain(model: str) -> tuple[Callable[[Image.Image], Any], Any]:
    """What prepares a picture, and the model, as in the documentation of transformers."""
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    loaded = AutoModel.from_pretrained(model, dtype=precision()).eval().to(device())
    return lambda p: processor(p, return_tensors="pt").to(device(), precision()), loaded


def _compare(
    what: str,
    items: list[T],
    plain: Callable[[], Callable[[T], object]],
    ours: Callable[[], M],
    work: Callable[[M, list[T]], object],
) -> Rate:
    """Measure both ways on ``items``. ``plain`` and ``ours`` load a model; only one is in memory at
    a time."""
    _forget()
    alone = _one_by_one(plain(), items[:ALONE])
    _forget()
    model = ours()
    rate = _rate(lambda: work(model, items), len(items))
    return Rate(what, alone, rate, model.batch, _peak())


@torch.inference_mode()
def _one_by_one(work: Callable[[T], object], items: list[T]) -> float:
    return _rate(lambda: [work(item) for item in items], len(items))


def _rate(work: Callable[[], object], items: int) -> float:
    """Items per second, the median of several repeats after one warm-up."""
    return items / median_seconds(lambda _: work())


def _forget() -> None:
    if device().type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device().type == "cuda" else 0.0


def _tokenizer() -> CLIPTokenizer:
    words = train_tokenizer()
    words.model_max_length = TOKENS
    return words


def main() -> None:
    """Measure full-size models with random weights, on an accelerator (docs/models.md)."""
    if device().type == "cpu":
        raise EidolonError(
            "there is no accelerator here, and a CPU takes hours for this: `make bench` measures"
            " the embedded models"
        )
    turbo = profiles.load("cub200-sdxl-turbo").generator
    with tempfile.TemporaryDirectory(prefix="eidolon-models-") as folder:
        save_models(Path(folder))
        _forget()
        local = turbo.model_copy(update={"model": f"{folder}/sdxl", "revision": None})
        rates = measure(Path(folder), local, items=512)
    name = torch.cuda.get_device_name()
    table = Table(title=f"full-size architectures, random weights, {name}, {precision()}")
    for column in ("per second", "one at a time", "batched", "batch", "ratio", "peak GiB"):
        table.add_column(column)
    for rate in rates:
        table.add_row(
            rate.what,
            f"{rate.alone:.1f}",
            f"{rate.batched:.1f}",
            str(rate.batch),
            f"{rate.batched / rate.alone:.1f}x",
            f"{rate.peak:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
