"""The aggregator is the published one, held against an independent derivation in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from components.aggregator import Aggregator
from components.errors import EidolonError


def independent(model: Aggregator, features: np.ndarray) -> np.ndarray:
    """Attention written out in numpy: one query (the CLS row), keys and values from all rows."""
    cls = features.mean(0)
    for layer in model.self_attn.layers:
        state = {k: v.detach().double().numpy() for k, v in layer.state_dict().items()}
        wq, wk, wv = np.split(state["in_proj_weight"], 3)
        bq, bk, bv = np.split(state["in_proj_bias"], 3)
        tokens = np.vstack([cls, features])
        query = wq @ cls + bq
        keys, values = tokens @ wk.T + bk, tokens @ wv.T + bv
        logits = keys @ query / np.sqrt(len(cls))
        attention = np.exp(logits - logits.max())
        attention /= attention.sum()
        cls = state["out_proj.weight"] @ (attention @ values) + state["out_proj.bias"]
    return cls / np.linalg.norm(cls)


@pytest.fixture
def model() -> Aggregator:
    torch.manual_seed(1)
    model = Aggregator(16).double().eval()
    for layer in model.self_attn.layers:  # biases that are not zero would be missed otherwise
        torch.nn.init.normal_(layer.in_proj_bias)
        torch.nn.init.normal_(layer.out_proj.bias)
    return model


def test_forward_equals_an_independent_derivation(model: Aggregator) -> None:
    features = np.random.default_rng(0).normal(size=(3, 5, 16))
    found = model(torch.from_numpy(features)).detach().numpy()
    for row, expected in zip(found, features, strict=True):
        np.testing.assert_allclose(row, independent(model, expected), atol=1e-12)


def test_rejected_pictures_do_not_count(model: Aggregator) -> None:
    features = torch.randn(2, 4, 16, dtype=torch.float64)
    accepted = torch.tensor([[True, True, False, True], [False] * 4])
    found = model(features, accepted)
    torch.testing.assert_close(found[0], model(features[:1, [0, 1, 3]])[0])
    assert not found[1].any()  # nothing accepted: the text alone decides


def test_starts_as_published() -> None:
    model = Aggregator(8)
    assert model.fusion_weight == 0.5
    for layer in model.self_attn.layers:
        assert torch.equal(layer.in_proj_weight[:8], layer.in_proj_weight[8:16])
        assert layer.out_proj.weight.abs().max() < 0.1
        assert not layer.out_proj.bias.any()
    names = set(model.state_dict())
    assert {
        "lamda",
        "self_attn.layers.1.in_proj_weight",
        "self_attn.layers.0.out_proj.bias",
    } <= names


def test_order_of_the_pictures_is_irrelevant(model: Aggregator) -> None:
    features = torch.randn(1, 6, 16, dtype=torch.float64)
    torch.testing.assert_close(model(features), model(features[:, [3, 1, 5, 0, 2, 4]]))


def test_saves_and_loads(model: Aggregator, tmp_path: Path) -> None:
    model.float().save(tmp_path / "a.safetensors")
    again = Aggregator.load(tmp_path / "a.safetensors")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())


def test_a_file_that_is_no_aggregator_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(EidolonError, match=r"a\.safetensors holds no aggregator"):
        Aggregator.load(path)
    path.write_bytes(b"no tensors here")
    with pytest.raises(EidolonError, match="train it anew"):
        Aggregator.load(path)
    save_file({"self_attn.layers.0.out_proj.weight": torch.zeros(4, 4)}, path)
    with pytest.raises(EidolonError, match="train it anew"):
        Aggregator.load(path)
