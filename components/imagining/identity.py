"""What an imagined picture depends on beside its prompt and seed, found without loading a model."""

from __future__ import annotations

from components import config
from components.models.fingerprints import fingerprint, number_type


def identity(params: config.Generator) -> dict[str, str | int | float]:
    """Everything that a picture depends on, except its prompt and seed. Loads no weights.

    The scheduler and its settings are files of the model, so the fingerprint includes them.
    """
    return {
        "model": fingerprint(params.model, params.revision),
        "steps": params.steps,
        "guidance": params.guidance,
        "size": params.size,
        "dtype": number_type(),
    }
