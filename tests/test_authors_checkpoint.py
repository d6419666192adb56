"""An authors' checkpoint becomes ours, whichever version of torch wrote it, and none of its code is
run."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from components.authors.checkpoint import import_checkpoint, load, read_checkpoint
from components.cli import __main__ as cli
from components.errors import EidolonError
from components.learning.aggregator import Aggregator

DIM = 8
Edit = Callable[[dict[str, Any]], Any]


class Published(nn.Module):
    """The modules and names of the published network, for its checkpoints alone."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers = [nn.MultiheadAttention(dim, 1, batch_first=True) for _ in range(3)]
        self.attn_layer = layers[0]
        self.self_attn = nn.Module()
        self.self_attn.layers = nn.ModuleList(layers[1:])
        self.lamda = nn.Parameter(torch.tensor([0.25]))


def state(dim: int = DIM) -> OrderedDict[str, torch.Tensor]:
    torch.manual_seed(7)
    return nn.DataParallel(Published(dim)).state_dict()


def saved(path: Path, value: Any, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(EidolonError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith("give the .pth of the authors' aggregator")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s,
        lambda s: {k.removeprefix("module."): v for k, v in s.items() if "attn_layer" not in k},
        lambda s: {"epoch": 3, "best": 0.5, "state_dict": s},
        lambda s: {
            k: v.t().contiguous().t() for k, v in s.items()
        },  # strides other than the default
        lambda s: {
            k: torch.cat([v, v])[: len(v)] for k, v in s.items()
        },  # tensors that are parts of a storage
        lambda s: {k: v.double() for k, v in s.items()},
    ],
    ids=["as published", "bare", "nested", "strided", "views", "double"],
)
def test_every_tensor_arrives(
    tmp_path: Path, edit: Edit, legacy: bool, recwarn: pytest.WarningsRecorder
) -> None:
    expected = state()
    path = saved(tmp_path / "model.pth", edit(expected), legacy=legacy)
    model = import_checkpoint(path, tmp_path / "deep" / "a.safetensors")
    for name, parameter in Aggregator.load(tmp_path / "deep" / "a.safetensors").named_parameters():
        assert torch.equal(parameter, expected[f"module.{name}"])
        assert torch.equal(parameter, model.get_parameter(name))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.safetensors"]
    assert stat.S_IMODE((tmp_path / "deep" / "a.safetensors").stat().st_mode) == stat.S_IMODE(
        path.stat().st_mode
    )
    assert model.fusion_weight == pytest.approx(1 / (1 + 2.718281828**-0.25), abs=1e-6)
    assert torch.equal(load(path).lamda, load(tmp_path / "deep" / "a.safetensors").lamda)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dim", [2, 12])
def test_half_precision_and_other_dimensions(tmp_path: Path, dtype: torch.dtype, dim: int) -> None:
    half = {k: v.to(dtype) for k, v in state(dim).items()}
    model = read_checkpoint(saved(tmp_path / "model.pth", half))
    assert model.dim == dim
    assert torch.equal(model.lamda, half["module.lamda"].float())


class Attack:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.system, "(posix|nt).system"),
        (eval, "(builtins|__builtin__).eval"),
        (torch.load, "torch.serialization.load"),
        (nn.Linear, "torch.nn.modules.linear.Linear"),
    ],
)
def test_a_forbidden_name_is_refused_and_not_run(
    tmp_path: Path, function: Callable[..., Any], named: str, protocol: int, legacy: bool
) -> None:
    mark = tmp_path / "ran"
    attack = Attack(function, f"touch {mark}")
    path = tmp_path / "model.pth"
    torch.save(
        state() | {"x": attack},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    assert re.search(f"is refused: it asks for {named}, which", refusal(path))
    assert not mark.exists()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "model.pth", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Attack(os.system, f"touch {mark}")))
    assert "is refused: it asks for" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda s: s | {"module.extra": torch.zeros(1)}, "also holds 'extra'"),
        (lambda s: {k: v for k, v in s.items() if "1.in_proj_b" not in k}, "lacks 'self_attn"),
        (lambda s: s | {"module.lamda": torch.zeros(2)}, r"lamda of shape \(2,\), not \(1,\)"),
        (lambda s: s | state(12) | {"module.lamda": torch.zeros(12)}, r"of shape \(12,\)"),
        (lambda s: s | {"module.lamda": torch.full((1,), torch.nan)}, "lamda that are not finite"),
        (lambda s: s | {"module.lamda": torch.zeros(1).expand(10**9)}, "of shape"),
        (lambda s: s | {"module.lamda": torch.zeros(1, dtype=torch.int64)}, "torch.LongStorage"),
        (lambda s: s | {"module.lamda": 0.5}, "no state dict of tensors"),
        (lambda s: s | {7: s["module.lamda"]}, "no state dict of tensors"),
        (lambda s: [s], "no state dict of tensors"),
        (lambda s: {}, "lacks self_attn.layers.0.out_proj.weight"),
        (lambda s: s | {"lamda": torch.ones(1)}, "holds lamda twice, with and without 'module.'"),
    ],
)
def test_another_state_dict_is_one_clear_error(tmp_path: Path, edit: Edit, reason: str) -> None:
    assert re.search(reason, refusal(saved(tmp_path / "model.pth", edit(state()))))


def rezipped(path: Path, change: Callable[[str, bytes], bytes | None], **options: Any) -> Path:
    """The zip at ``path`` with each member changed, or left out when that gives None."""
    source = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", **options) as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)
    return path


def test_shapes_that_the_bytes_do_not_fill_are_refused(tmp_path: Path) -> None:
    class Claim(Attack):
        pass

    def claiming(offset: int, size: tuple[Any, ...], stride: tuple[int, ...]) -> str:
        weight = state()["module.lamda"]
        storage = torch.storage.TypedStorage(
            wrap_storage=weight.untyped_storage(), dtype=torch.float32, _internal=True
        )
        arguments = (storage, offset, size, stride, False, OrderedDict())
        value = state() | {"module.lamda": Claim(torch._utils._rebuild_tensor_v2, *arguments)}
        return refusal(saved(tmp_path / "model.pth", value))

    assert "do not fill" in claiming(10**12, (1,), (1,))
    assert "do not fill" in claiming(1, (1,), (1,))
    assert "no possible size" in claiming(-1, (1,), (1,))
    assert "no possible size" in claiming(0, (1,), (-(10**12),))
    for size in (("a",), ([1],), (True,), (1.0,), (float("nan"),), (10**5000,)):
        assert "no possible size" in claiming(0, size, (1,))
    assert "of shape" in claiming(0, (2**40, 2**40), (0, 0))


STORAGE = object()


def legacy(*, numel: int = 4096, system: Any = None, keys: Any = None) -> bytes:
    """torch's older format by hand: one storage of zeros, which claims ``numel`` numbers."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            claim = ("storage", torch.FloatStorage, "0", "cpu", numel, None)
            return claim if value is STORAGE else None

    def tensor(t: torch.Tensor) -> Attack:
        layout = (0, tuple(t.shape), t.stride(), False, OrderedDict())
        return Attack(torch._utils._rebuild_tensor_v2, STORAGE, *layout)

    file = io.BytesIO()
    for value in (
        0x1950A86A20F9469CFC6C,
        1001,
        {"little_endian": True} if system is None else system,
    ):
        pickle.dump(value, file, 2)
    Pickler(file, 2).dump({name: tensor(t) for name, t in state().items()})
    pickle.dump(["0"] if keys is None else keys, file, 2)
    return file.getvalue() + struct.pack("<Q", numel) + bytes(4 * 4096)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"system": [1]}, "none of torch's formats"),
        ({"system": {"little_endian": False}}, "big-endian"),
        *(({"keys": keys}, "not those of its tensors") for keys in (5, [[1]], [], ["0", "0"], "0")),
        *(({"numel": numel}, "is truncated") for numel in (2**40, 2**61 - 1, 2**62, 4097)),
    ],
)
def test_false_claims_of_the_older_format_are_one_clear_error(
    tmp_path: Path, claims: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(legacy())
    assert read_checkpoint(path).dim == DIM
    path.write_bytes(legacy(**claims))
    assert reason in refusal(path)


def test_damaged_zips_are_one_clear_error(tmp_path: Path) -> None:
    def fresh() -> Path:
        return saved(tmp_path / "model.pth", state())

    assert "lacks data/" in refusal(rezipped(fresh(), lambda n, d: None if "data/" in n else d))
    cut = rezipped(fresh(), lambda n, d: d[:-4] if "/data/" in n else d)
    assert "is truncated" in refusal(cut)
    assert "big-endian" in refusal(
        rezipped(fresh(), lambda n, d: b"big" if n.endswith("byteorder") else d)
    )
    packed = rezipped(fresh(), lambda n, d: d, compression=zipfile.ZIP_DEFLATED)
    assert "not as torch writes it" in refusal(packed)
    assert "none of torch's" in refusal(
        rezipped(fresh(), lambda n, d: None if n.endswith(".pkl") else d)
    )
    bomb = rezipped(fresh(), lambda n, d: b"\0" * 2**25 if n.endswith("data.pkl") else d)
    assert "not as torch writes it" in refusal(bomb)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"no checkpoint", b"\x80\x02}q\x00.", b"\x93NUMPY"]
)
def test_a_file_that_is_not_a_checkpoint_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    refusal(path)


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.pth", {})
    with pytest.raises(EidolonError):
        import_checkpoint(path, tmp_path / "out" / "a.safetensors")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("model.pth", "does not end in .safetensors"),
        ("aggregator.bin", "does not end in .safetensors"),
        ("folder.safetensors", "is a folder"),
    ],
)
def test_an_import_that_cannot_be_written_changes_nothing(
    tmp_path: Path, out: str, reason: str
) -> None:
    path = saved(tmp_path / "model.pth", state())
    (tmp_path / "folder.safetensors").mkdir()
    before = path.read_bytes()
    with pytest.raises(EidolonError, match=reason):
        import_checkpoint(path, tmp_path / out)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"model.pth", "folder.safetensors"}


@pytest.fixture(scope="module", params=[False, True], ids=["zip", "legacy"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sample") / "model.pth"
    return saved(path, state(2), legacy=request.param).read_bytes()


@given(data=st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_damage_is_read_or_refused(sample: bytes, data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(sample[: data.draw(st.integers(0, len(sample)))])
    if data.draw(st.booleans()):
        content = bytearray(sample)
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    try:
        assert read_checkpoint(path).dim == 2
    except EidolonError as error:
        assert str(error).startswith(str(path))


def test_the_command_writes_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.safetensors"

    def eidolon(source: Path) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["eidolon", "import-checkpoint", str(source), str(out)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code

    assert eidolon(tmp_path / "absent.pth") == 2
    assert not out.exists()
    missing = tmp_path / "absent.pth"
    assert capsys.readouterr().err == f"error: {missing} is missing: give the authors' .pth file\n"
    assert eidolon(saved(tmp_path / "model.pth", state())) == 0
    assert "aggregator of 8 dimensions, λ = 0.5622" in capsys.readouterr().out
    assert Aggregator.load(out).dim == DIM
