"""Pre-trained models by folder or by name on a hub: loading them safely, and what pins them.

A model of a hub is pinned to a commit, which cannot change; a local folder is pinned by a hash over
its files. Weights are read from safetensors alone, and no code that a model brings is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import list_repo_files, try_to_load_from_cache
from huggingface_hub.constants import is_offline_mode
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open

from components.errors import EidolonError, NoRoomError, TransientError
from components.files import sha256

_CONFIGS = ("model_index.json", "config.json")  # of a pipeline, of a single model
_PINNED_BY = {".json", ".model", ".safetensors", ".txt"}  # .model: a SentencePiece vocabulary
_PICKLES = {".bin", ".ckpt", ".pt", ".pth"}

Placed = TypeVar("Placed", bound=Any)


OTHERS = 0.1
"""The share of an accelerator's memory that a desktop or a driver may always hold."""


def device() -> torch.device:
    """The accelerator when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision() -> torch.dtype:
    """What models compute in: bfloat16 on an accelerator (float16 on one that lacks it), which
    halves memory and is several times as fast; float32 on the CPU."""
    if device().type == "cpu":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch raised ``error`` since a device's memory, or the machine's, did not suffice."""
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def crowded(free: int, total: int, ours: int) -> bool:
    """Whether others hold so much of a device's ``total`` bytes that it may suffice without them.
    ``ours`` is what this process has reserved; a driver's own part does not count."""
    return total - free - ours > OTHERS * total


@contextmanager
def within_memory() -> Iterator[None]:
    """Raise an error of ours where the memory does not suffice: :class:`TransientError` while
    others use the accelerator, too, else :class:`NoRoomError`."""
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
    """``model`` on the device. Raises as :func:`within_memory` where it has no room."""
    with within_memory():
        return model.to(device())


def load(loader: Callable[..., Any], model: str, revision: str | None, **options: Any) -> Any:
    """Call a ``from_pretrained``: of a folder without a ``revision``, else of a hub's commit.

    Raises :class:`EidolonError` that names the model and the remedy when a file is missing or
    damaged, and :class:`TransientError` when the hub is out of reach.
    """
    local = _is_local(model, revision)
    try:
        return loader(
            model, revision=revision, local_files_only=local, trust_remote_code=False, **options
        )
    except Exception as error:  # a damaged config can end a loader anywhere
        cause = _cause(model, revision, error)
        raise EidolonError(f"cannot load {pinned_name(model, revision)}: {cause}") from None


def load_model(
    loader: Callable[..., Any],
    model: str,
    revision: str | None,
    subfolder: str = "",
    optional: str = "",
) -> tuple[Any, bool]:
    """A model with all its weights, in :func:`precision`, and whether those are among them whose
    names start with ``optional``: a checkpoint may lack these, and no others.

    Weights of the variant fp16 are taken where a folder or the cache has no others. Raises
    :class:`EidolonError`, as :func:`load` does and for a checkpoint that does not fill the model.
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
    # a set: the plainest is named, the same one each time
    for name, found, wanted in sorted(info["mismatched_keys"], key=lambda k: (len(k[1]), k[0])):
        raise EidolonError(
            f"{called} has weights that do not fit its config ({name}: {list(found)}, not"
            f" {list(wanted)}): give files of one checkpoint"
        )
    missing = set(info["missing_keys"])
    spared = {name for name in missing if optional and name.startswith(optional)}
    if missing > spared:
        raise EidolonError(
            f"{called} lacks weights ({min(missing - spared)}): give the checkpoint of a whole"
            f" {type(loaded).__name__}"
        )
    return loaded, not spared


def check_tokenizer(tokenizer: Any, called: str) -> None:
    """Raise :class:`EidolonError` for a tokenizer that knows no word.

    transformers makes such a one, silently, where the files of a vocabulary are absent.
    """
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise EidolonError(
            f"the tokenizer of {called} knows no word: its files (tokenizer.json, or vocab.json and"
            " merges.txt) are missing, get them again"
        )


def fingerprint(model: str, revision: str | None) -> str:
    """What pins a model: the commit on its hub, or a hash over a local folder's files.

    Reads no weights of a hub, and needs no network.
    """
    if not _is_local(model, revision):
        return pinned_name(model, revision)
    folder = Path(model)
    files = sorted(p for p in folder.rglob("*") if p.suffix in _PINNED_BY)
    digests = json.dumps([(p.relative_to(folder).as_posix(), sha256(p)) for p in files])
    return f"{folder.name}@{hashlib.sha256(digests.encode()).hexdigest()[:12]}"


def pinned_name(model: str, revision: str | None) -> str:
    """The model with the commit that pins it, if any."""
    return f"{model}@{revision}" if revision else model


def _is_local(model: str, revision: str | None) -> bool:
    """Whether ``model`` is a folder here. Raises :class:`EidolonError` when that is not clear."""
    found = Path(model).is_dir()
    if found and revision:
        raise EidolonError(
            f"{model} is a folder here, and a revision is for models of a hub: set it to null"
        )
    if found or revision:
        return found
    remedy = (
        _restored(model)
        if model.startswith("zoo/")
        else "to take it from the hub, set its revision to a commit, such as the one that"
        f" `git ls-remote https://huggingface.co/{model} HEAD` prints"
    )
    raise EidolonError(f"{model} is no folder here: {remedy}")


def _folder(model: str, revision: str | None) -> Path | None:
    """Where the model's files lie, if a load got so far as to fetch its config."""
    if Path(model).is_dir():
        return Path(model)
    for config in _CONFIGS:
        found = try_to_load_from_cache(model, config, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None


def _variant(model: str, revision: str | None, subfolder: str) -> str | None:
    folder = _folder(model, revision)
    files = list((folder / subfolder).glob("*.safetensors")) if folder else []
    return "fp16" if files and all(".fp16" in file.name for file in files) else None


def _cause(model: str, revision: str | None, error: Exception) -> str:
    """What is wrong with a model, as far as its files and its hub tell, and the remedy."""
    folder = _folder(model, revision)
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder else []
    kinds = {path.suffix for path in files}
    fetch = f"HF_HUB_OFFLINE=0 hf download {model} --revision {revision}"
    if model.startswith("zoo/"):
        remedy = _restored(model)
    elif revision is None:
        remedy = "give a folder that save_pretrained wrote"
    else:
        remedy = f"`{fetch} --force-download` fetches it anew"
    damage = next(filter(None, map(_damage, files)), None)
    if damage:
        return f"{damage}: {remedy}"
    if isinstance(error, ImportError):
        return f"{_first_sentence(error)}: choose a model that needs no such library"
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
                " for a gated one `hf auth login`"
            )
        except Exception:  # whatever the way to the hub brings
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
            " they can run code: where you trust them, save_pretrained writes them anew"
        )
    return f"{_first_sentence(error)}: {remedy}"


def _restored(model: str) -> str:
    return f"`git checkout {model}` restores it, `make zoo` trains it anew"


def _damage(path: Path) -> str | None:
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            if path.name.endswith(("config.json", "index.json")) and not isinstance(content, dict):
                raise ValueError("it holds no settings")
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                file.keys()
    except (OSError, ValueError, SafetensorError) as damage:
        return f"{path} is damaged ({damage})"
    return None


def _first_sentence(error: Exception) -> str:
    said = " ".join(str(error).split()).split(". ")[0].rstrip(".:")
    return said[:300] or type(error).__name__
