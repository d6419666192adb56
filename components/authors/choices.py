"""The options of the authors' evaluation, in a module of their own so that `--help` loads fast."""

from __future__ import annotations

from enum import StrEnum


class TextModel(StrEnum):
    """The encoder of texts and gallery pictures: CLIP, EVA-CLIP, MetaCLIP, OpenCLIP or SigLIP."""

    CLIP = "clip"
    EVA = "eva"
    META = "meta"
    OPEN = "open"
    SIG = "sig"


class VisionModel(StrEnum):
    """The encoder of imagined and gallery pictures: DINOv2 or DeiT."""

    DINO = "dino"
    DEIT = "deit"


class Method(StrEnum):
    """The content of a query: the class's name, its description, or both."""

    CLASS = "class"
    DESCRIPTION = "description"
    BOTH = "both"
