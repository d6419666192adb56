"""Train the zoo's CLIPModel from scratch, by image-text contrast on noisy captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
)

from zoo.evaluate import text_to_image_map
from zoo.loop import train
from zoo.pictures import caption, pictures
from zoo.tokenizer import LENGTH, train_tokenizer

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
BATCH = 128


def tensor(pixels: np.ndarray) -> Tensor:
    """(N, 32, 32, 3) uint8 to normalised (N, 3, 32, 32) float32."""
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (scaled - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def build(vocabulary: int, bos: int, eos: int) -> CLIPModel:
    """A CLIPModel with the zoo's architecture, and random weights from a fixed seed."""
    torch.manual_seed(0)
    return CLIPModel(
        CLIPConfig(
            projection_dim=64,
            text_config={
                "vocab_size": vocabulary,
                "hidden_size": 64,
                "intermediate_size": 256,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": LENGTH,
                "bos_token_id": bos,
                "eos_token_id": eos,
                "pad_token_id": eos,
            },
            vision_config={
                "hidden_size": 96,
                "intermediate_size": 384,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "image_size": 32,
                "patch_size": 4,
            },
        )
    )


def save(model: CLIPModel, tokenizer: CLIPTokenizer, out: Path) -> None:
    """Write a folder that ``from_pretrained`` reads: weights, tokenizer, image processor."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=32, image_mean=list(MEAN), image_std=list(STD)
    )
    model.save_pretrained(out)
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(out)


def main(
    steps: Annotated[int, typer.Option(min=1, help="steps of training")] = 4500,
    out: Annotated[Path, typer.Option(help="the folder to write the model to")] = Path(
        "zoo/models/clip"
    ),
) -> None:
    """Train the embedded CLIP."""
    torch.set_num_threads(1)

    tokenizer = train_tokenizer()
    model = build(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    model.set_attn_implementation("eager")  # twice as fast as sdpa in bfloat16 on a CPU
    data = pictures("photo", 120)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng((1, step))
        rows = rng.integers(len(data.labels), size=BATCH)
        words = [
            caption(rng, data.names[label], noise=0.3, synonyms=0.15) for label in data.labels[rows]
        ]
        tokens = tokenizer(words, padding="max_length", truncation=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            out = model(pixel_values=tensor(data.pixels[rows]), **tokens)
        # equal captions are not negatives of each other
        same = torch.tensor([[a == b for b in words] for a in words], dtype=torch.float32)
        target = same / same.sum(1, keepdim=True)
        logits = out.logits_per_text.float()
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def report(_: int) -> dict[str, float]:
        model.eval()
        result = text_to_image_map(model, tokenizer, tensor)
        model.train()
        return result

    weights = train(
        "clip",
        model,
        loss,
        steps=steps,
        lr=1.2e-3,
        weight_decay=0.05,
        ema=0.995,
        report=report,
    )
    model.load_state_dict(weights, strict=False)
    model.eval()
    print(text_to_image_map(model, tokenizer, tensor))
    save(model, tokenizer, out)


if __name__ == "__main__":
    typer.run(main)
