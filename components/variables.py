"""Which environment variables a process is given, and how a secret in an address is shown.

All services run as one user, so this keeps secrets out of what a process may show by accident: a
debug page, a crash report, a log, `ps`. It is no wall between processes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ENDPOINT = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
    *("HOSTNAME", "HF_HUB_OFFLINE", "PYTHONUNBUFFERED", "PYTHONPYCACHEPREFIX"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"),
}
_ENDPOINT_PREFIXES = (
    *("LC_", "LD_", "XDG_", "EIDOLON_", "BENTOML_", "OTEL_", "MALLOC_", "OMP_", "KMP_", "MKL_"),
    *("OPENBLAS_", "CUDA_", "NVIDIA_", "PYTORCH_", "TORCH_", "HIP_", "ROCR_"),
)
_PASSWORD = re.compile(r"(://[^\s/:@]*):(\S*)@")
_PARAMETER = re.compile(r"([?&](?:password|passwd|pwd|token|secret|sig)=)([^&\s]+)", re.IGNORECASE)


def of_endpoint(given: Mapping[str, str]) -> dict[str, str]:
    """What the endpoint gets of ``given``: only what is named here, since it answers strangers. No
    key of Airflow, MLflow, a cloud or a model hub, and no PYTHONPATH, since it serves its Bento's
    code."""
    return {k: v for k, v in given.items() if k in _ENDPOINT or k.startswith(_ENDPOINT_PREFIXES)}


def without_airflow(given: Mapping[str, str]) -> dict[str, str]:
    """What every process gets that is no part of Airflow: a stage, DVC, MLflow's server. The keys
    to a remote or a hub stay, which those may need."""
    return {k: v for k, v in given.items() if "AIRFLOW_" not in k or k.startswith("EIDOLON_")}


def masked(text: str) -> str:
    """``text`` with the passwords of all addresses in it hidden: `postgresql://user:***@host/db`.
    An address ends at white space; of one with several `@`, all before the last is hidden."""
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def passwords(text: str) -> list[str]:
    """The passwords that :func:`masked` hides in ``text``."""
    return [found[2] for pattern in (_PASSWORD, _PARAMETER) for found in pattern.finditer(text)]
