"""What the authors' evaluation is asked for; apart, so that the command line stays light."""

from __future__ import annotations

from enum import StrEnum


class TextModel(StrEnum):
    """The encoder of texts and gallery: CLIP, EVA-CLIP, MetaCLIP, OpenCLIP or SigLIP."""

    CLIP = "clip"
    EVA = "eva"
    META = "meta"
    OPEN = "open"
    SIG = "sig"


class VisionModel(StrEnum):
    """The encoder of imagined pictures and gallery: DINOv2 or DeiT."""

    DINO = "dino"
    DEIT = "deit"


class Method(StrEnum):
    """What a query says: the class's name, its description, or both."""

    CLASS = "class"
    DESCRIPTION = "description"
    BOTH = "both"
