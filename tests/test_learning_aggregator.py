"""The aggregator is the published one: it equals an independent derivation in float64."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from components.errors import EidolonError
from components.files import file_aside, folder_aside
from components.learning.aggregator import Aggregator
from tests.definitions import independent

pytestmark = pytest.mark.numeric


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


def test_forward_with_rejected_pictures_equals_an_independent_derivation(
    model: Aggregator,
) -> None:
    rng = np.random.default_rng(4)
    features, accepted = rng.normal(size=(6, 5, 16)), rng.random((6, 5)) < 0.6
    accepted[:, 0] |= ~accepted.any(1)
    found = model(torch.from_numpy(features), torch.from_numpy(accepted)).detach().numpy()
    for row, pictures, mask in zip(found, features, accepted, strict=True):
        np.testing.assert_allclose(row, independent(model, pictures[mask]), atol=1e-12)


def test_starts_as_published() -> None:
    dim = 256
    torch.manual_seed(0)
    model = Aggregator(dim)
    assert model.fusion_weight == 0.5
    for layer in model.self_attn.layers:
        query, key, value = layer.in_proj_weight.detach().split(dim)
        assert torch.equal(query, key)
        # the bare parameter keeps torch's initialisation: uniform within ±sqrt(6 / (dim + 3 dim))
        bound = (6 / (4 * dim)) ** 0.5
        for part in (query, value):
            assert 0.99 * bound < float(part.abs().max()) <= bound
            assert float(part.std()) == pytest.approx(bound / 3**0.5, rel=0.02)
        # the linear layer is drawn again, from a normal distribution with deviation 0.02
        drawn = layer.out_proj.weight.detach()
        assert float(drawn.std()) == pytest.approx(0.02, rel=0.02)
        assert float((drawn.abs() < 0.02).float().mean()) == pytest.approx(0.683, abs=0.01)
        assert not layer.in_proj_bias.any()
        assert not layer.out_proj.bias.any()
        assert layer.dropout == 0.1
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "lamda": (1,),
    } | {
        f"self_attn.layers.{i}.{name}": shape
        for i in (0, 1)
        for name, shape in {
            "in_proj_weight": (3 * dim, dim),
            "in_proj_bias": (3 * dim,),
            "out_proj.weight": (dim, dim),
            "out_proj.bias": (dim,),
        }.items()
    }


def test_order_of_the_pictures_is_irrelevant(model: Aggregator) -> None:
    features = torch.randn(1, 6, 16, dtype=torch.float64)
    torch.testing.assert_close(model(features), model(features[:, [3, 1, 5, 0, 2, 4]]))


def test_saves_and_loads(model: Aggregator, tmp_path: Path) -> None:
    model.float().save(tmp_path / "a.safetensors")
    again = Aggregator.load(tmp_path / "a.safetensors")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())


def test_written_files_are_as_readable_as_others(model: Aggregator, tmp_path: Path) -> None:
    with folder_aside(tmp_path / "out") as aside:
        model.save(aside / "a.safetensors")
        (aside / "other").touch()
    weights, other = (tmp_path / "out" / name for name in ("a.safetensors", "other"))
    assert stat.S_IMODE(weights.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_failed_write_keeps_the_old_file(model: Aggregator, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), file_aside(path) as aside:
        model.save(aside)
        _ = 1 / 0
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_an_aggregator_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(EidolonError, match=r"a\.safetensors holds no aggregator \(No such file"):
        Aggregator.load(path)
    path.write_bytes(b"no tensors here")
    with pytest.raises(EidolonError, match=r"Error while deserializing.* train or import it again"):
        Aggregator.load(path)


PROBE = "self_attn.layers.0.out_proj.weight"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({PROBE: torch.tensor(1.0)}, f"it lacks {PROBE}"),
        ({PROBE: torch.zeros(0, 0)}, f"it lacks {PROBE}"),
        ({PROBE: torch.zeros(10**6, 1)}, f"it lacks {PROBE}"),
        ({PROBE: torch.zeros(8)}, rf"it holds {PROBE} of shape \(8,\), not \(8, 8\)"),
        ({"lamda": torch.tensor([torch.nan])}, "it holds numbers in lamda that are not finite"),
        ({"lamda": torch.full((1,), torch.inf)}, "it holds numbers in lamda that are not finite"),
        ({"lamda": torch.tensor([1])}, "it holds lamda of type torch.int64"),
        ({"extra": torch.zeros(1)}, "it also holds 'extra'"),
        ({"lamda": None}, "it lacks 'lamda'"),
    ],
)
def test_weights_that_do_not_fit_are_one_clear_error(
    edit: dict[str, torch.Tensor | None], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    state = Aggregator(8).state_dict() | edit
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    with pytest.raises(EidolonError, match=rf"holds no aggregator \({reason}.* again$"):
        Aggregator.load(path)
