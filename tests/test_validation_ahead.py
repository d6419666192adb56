"""Machines that share what is to be encoded: each picture once, and nothing is left to the
stages."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from components import config
from components.errors import EidolonError
from components.features.embed import embed
from components.paths import DATASET, FEATURES, IMAGINED
from components.validation.ahead import encode
from components.validation.validate import validate


def sharing(count: int) -> config.Params:
    """The parameters here, with ``count`` shards."""
    params = config.load()
    shards = tuple(range(count))
    return params.model_copy(
        update={"generator": params.generator.model_copy(update={"shards": shards})}
    )


def features() -> bytes:
    return (FEATURES / "features.safetensors").read_bytes()


def test_shards_have_each_picture_once_and_leave_nothing_to_the_stages(
    toy_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = features()
    monkeypatch.setenv("EIDOLON_FEATURES", str(toy_copy / "fresh"))
    params = sharing(3)
    parts = [encode(shard, params) for shard in params.generator.shards]
    there = [pd.read_csv(at / "manifest.csv")["sha256"] for at in (DATASET, IMAGINED)]
    assert sum(of for _, of in parts) == sum(map(len, there))
    assert sum(new for new, _ in parts) == sum(digests.nunique() for digests in there)
    assert all(new > 0 for new, _ in parts)
    assert [encode(shard, params)[0] for shard in params.generator.shards] == [0, 0, 0]
    capsys.readouterr()
    validate(params)
    embed(params.encoders)
    said = capsys.readouterr().err
    assert re.search(r"^validate: 0 of \d+ pictures measured anew$", said, re.MULTILINE)
    assert re.search(r"^embed: 0 of \d+ pictures encoded$", said, re.MULTILINE)
    assert features() == before


def test_more_shards_than_pictures_leave_some_empty(in_toy: Path) -> None:
    params = sharing(100)
    found = [encode(shard, params) for shard in params.generator.shards]
    there = sum(len(pd.read_csv(at / "manifest.csv")) for at in (DATASET, IMAGINED))
    assert sum(of for _, of in found) == there
    assert (0, 0) in found


def test_an_unknown_shard_is_named(in_toy: Path) -> None:
    with pytest.raises(EidolonError, match=r"generator.shards has no 7: give one of \[0, 1\]"):
        encode(7, config.load())
