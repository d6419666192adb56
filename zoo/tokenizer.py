"""A CLIP tokenizer for the zoo's captions: byte-level BPE, so any text can be tokenized."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from zoo.pictures import corpus

LENGTH = 16


def train_tokenizer() -> CLIPTokenizer:
    """Learn merges on the caption corpus; every common word becomes one token."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=1024, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator(corpus(), trainer)
    learned = json.loads(bpe.to_str())["model"]
    tokens = alphabet + [f"{c}</w>" for c in alphabet]
    tokens += [
        t for t in sorted(learned["vocab"], key=learned["vocab"].get) if t not in set(tokens)
    ]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocab, merges = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocab.write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
        merges.write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in learned["merges"]))
        return CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH)
