"""The typed, checked model of params.yaml, where every tunable value lives.

``load`` reads params.yaml; :mod:`components.config.profiles` writes it from a profile.
"""

from __future__ import annotations

from components.config.calibrating import Calibrate
from components.config.data import Dataset, Ingest, Inspect
from components.config.fields import MEMORY_SHARE
from components.config.imagining import Encoders, Generator, Validate
from components.config.monitoring import Monitor
from components.config.params import PARAMS, Params, load
from components.config.retrieval import Bundle, Evaluate, Gate, Index, Train
from components.config.serving import Canary, Serve

__all__ = [
    "MEMORY_SHARE",
    "PARAMS",
    "Bundle",
    "Calibrate",
    "Canary",
    "Dataset",
    "Encoders",
    "Evaluate",
    "Gate",
    "Generator",
    "Index",
    "Ingest",
    "Inspect",
    "Monitor",
    "Params",
    "Serve",
    "Train",
    "Validate",
    "load",
]
