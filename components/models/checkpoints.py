"""Loading pre-trained models safely, from a folder or from a hub.

Weights are read from safetensors only, and code that comes with a model is never run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from huggingface_hub import list_repo_files, try_to_load_from_cache
from huggingface_hub.constants import is_offline_mode
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open

from components.errors import EidolonError, NoRoomError, TransientError
from components.models.fingerprints import is_local, pinned_name, restoring

if TYPE_CHECKING:
    import torch

_CONFIGS = ("model_index.json", "config.json")  # of a pipeline, of a single model
_PICKLES = {".bin", ".ckpt", ".pt", ".pth"}

Placed = TypeVar("Placed", bound=Any)


OTHERS = 0.1
"""The share of an accelerator's memory that a desktop or a driver may hold at any time."""


def device() -> torch.device:
    """The accelerator if there is one, otherwise the CPU."""
    import torch  # here, since most callers want a fingerprint, and that needs no torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision() -> torch.dtype:
    """The number type in which models compute.

    On an accelerator it is bfloat16, or float16 where bfloat16 is missing: half the memory, and
    several times as fast. On the CPU it is float32.
    """
    import torch

    if device().type == "cpu":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch raised ``error`` because a device or the machine ran out of memory."""
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def crowded(free: int, total: int, ours: int) -> bool:
    """Whether other processes hold so much memory that the device might suffice without them.

    All three are bytes of the device: ``free``, ``total``, and ``ours``, which this process has
    reserved. Up to :data:`OTHERS` of the total does not count: a driver may hold that much.
    """
    return total - free - ours > OTHERS * total


@contextmanager
def within_memory() -> Iterator[None]:
    """Turn torch's error for too little memory into one with a remedy.

    Raises :class:`TransientError` while other processes use the accelerator too, and otherwise
    :class:`NoRoomError`.
    """
    import torch

    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        cuda = device().type == "cuda"
        sentence = (
            f"the {'accelerator' if cuda else 'machine'}'s memory does not hold the model and a"
            " batch of one: stop what else uses it, or choose a smaller size or model"
        )
        if cuda and crowded(*torch.cuda.mem_get_info(), torch.cuda.memory_reserved()):
            raise TransientError(sentence) from None
        raise NoRoomError(sentence) from None


def placed(model: Placed) -> Placed:
    """``model``, moved to the device. Raises what :func:`within_memory` raises."""
    with within_memory():
        return model.to(device())


def load(loader: Callable[..., Any], model: str, revision: str | None, **options: Any) -> Any:
    """Call ``loader``, a ``from_pretrained``, for a local folder or for a commit of a hub.

    ``revision`` is the commit; without one, ``model`` is a folder. Raises :class:`EidolonError`
    with the model and the remedy when a file is missing or damaged. Raises :class:`TransientError`
    when the hub cannot be reached.
    """
    local = is_local(model, revision)
    try:
        return loader(
            model, revision=revision, local_files_only=local, trust_remote_code=False, **options
        )
    except Exception as error:  # a damaged config can make a loader fail in any way
        cause = _cause(model, revision, error)
        raise EidolonError(f"cannot load {pinned_name(model, revision)}: {cause}") from None


def load_model(
    loader: Callable[..., Any],
    model: str,
    revision: str | None,
    subfolder: str = "",
    optional: str = "",
) -> tuple[Any, bool]:
    """A model in :func:`precision`, and whether its checkpoint has the optional weights.

    A checkpoint may lack the weights whose names start with ``optional``, and no others. Weights of
    the variant fp16 are loaded where a folder or the cache has no others. Raises what :func:`load`
    raises, and :class:`EidolonError` for a checkpoint that does not fill the model.
    """
    loaded, info = load(
        loader,
        model,
        revision,
        subfolder=subfolder,
        use_safetensors=True,
        variant=_variant(model, revision, subfolder),
        dtype=precision(),
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    called = "/".join(filter(None, (pinned_name(model, revision), subfolder)))
    # these are a set: the smallest one is named, so the message is the same each time
    for name, found, wanted in sorted(info["mismatched_keys"], key=lambda k: (len(k[1]), k[0])):
        raise EidolonError(
            f"{called} has weights that do not fit its config ({name}: {list(found)}, not"
            f" {list(wanted)}): use files of one checkpoint"
        )
    missing = set(info["missing_keys"])
    allowed = {name for name in missing if optional and name.startswith(optional)}
    if missing > allowed:
        raise EidolonError(
            f"{called} lacks weights ({min(missing - allowed)}): use the checkpoint of a complete"
            f" {type(loaded).__name__}"
        )
    return loaded, not allowed


def check_tokenizer(tokenizer: Any, called: str) -> None:
    """Raise :class:`EidolonError` for a tokenizer without a vocabulary.

    transformers makes one without a warning when the files of the vocabulary are missing.
    ``called`` names the model in the message.
    """
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise EidolonError(
            f"the tokenizer of {called} knows no word: get its files again (tokenizer.json, or"
            " vocab.json and merges.txt), which are missing"
        )


def _folder(model: str, revision: str | None) -> Path | None:
    """The folder of the model's files, if at least its config is here."""
    if Path(model).is_dir():
        return Path(model)
    for config in _CONFIGS:
        found = try_to_load_from_cache(model, config, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None


def _variant(model: str, revision: str | None, subfolder: str) -> str | None:
    """``fp16`` if all the weights that are here are of that variant."""
    folder = _folder(model, revision)
    files = list((folder / subfolder).glob("*.safetensors")) if folder else []
    return "fp16" if files and all(".fp16" in file.name for file in files) else None


def _cause(model: str, revision: str | None, error: Exception) -> str:
    """Why a model did not load, found in its files and on its hub, and the remedy."""
    folder = _folder(model, revision)
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder else []
    kinds = {path.suffix for path in files}
    fetch = f"HF_HUB_OFFLINE=0 hf download {model} --revision {revision}"
    if model.startswith("zoo/"):
        remedy = restoring(model)
    elif revision is None:
        remedy = "give a folder that save_pretrained wrote"
    else:
        remedy = f"`{fetch} --force-download` fetches it again"
    damage = next(filter(None, map(_damage, files)), None)
    if damage:
        return f"{damage}: {remedy}"
    if isinstance(error, ImportError):
        return f"{_first_sentence(error)}: choose a model that does not need this library"
    if revision is not None and (folder is None or isinstance(error, OSError)):
        try:
            kinds |= {Path(name).suffix for name in list_repo_files(model, revision=revision)}
        except HfHubHTTPError as refusal:
            if refusal.response.status_code in (429, *range(500, 600)):
                raise TransientError(
                    f"cannot load {pinned_name(model, revision)}: the hub is out of order"
                    f" ({_first_sentence(refusal)}): try again"
                ) from None
            return (
                f"the hub refuses it ({_first_sentence(refusal)}): check its name and commit, and"
                " run `hf auth login` if it is gated"
            )
        except Exception:  # any failure on the way to the hub
            why = "HF_HUB_OFFLINE is set" if is_offline_mode() else "the hub is out of reach"
            if not kinds & _PICKLES:
                cause = f"the cache does not hold it whole, and {why}: `{fetch}` fetches it"
                if is_offline_mode():
                    return cause
                sentence = f"cannot load {pinned_name(model, revision)}: {cause}"
                raise TransientError(sentence) from None
    if ".safetensors" not in kinds and kinds & _PICKLES:
        return (
            "no safetensors weights are there, and pickled ones (.bin, .pt) are never opened, since"
            " they can run code: if you trust them, save_pretrained writes them anew"
        )
    return f"{_first_sentence(error)}: {remedy}"


def _damage(path: Path) -> str | None:
    """What is wrong with a JSON or safetensors file, if anything."""
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            if path.name.endswith(("config.json", "index.json")) and not isinstance(content, dict):
                raise ValueError("it holds no settings")
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                file.keys()
    except (OSError, ValueError, SafetensorError) as damage:
        return f"{path} is damaged ({damage})"
    return None


def _first_sentence(error: Exception) -> str:
    said = " ".join(str(error).split()).split(". ")[0].rstrip(".:")
    return said[:300] or type(error).__name__
