"""Selects the environment variables of a process, and hides secrets in addresses.

This keeps secrets out of what a process may show by accident: a debug page, a crash report, a log,
`ps`. It does not protect processes from each other, because all services run as the same user.
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
_ADDRESS_OF_S3 = {
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "AWS_EC2_METADATA_DISABLED",
}
_KEYS_OF_S3 = "EIDOLON_THUMBNAILS_KEYS"  # names a file, as AWS_SHARED_CREDENTIALS_FILE does
_NOT_ENDPOINT = {"EIDOLON_WEBHOOK", "EIDOLON_OBJECTS"}  # a secret; a place without its keys
_PASSWORD = re.compile(r"(://[^\s/:@]*):(\S*)@")
_PARAMETER = re.compile(r"([?&](?:password|passwd|pwd|token|secret|sig)=)([^&\s]+)", re.IGNORECASE)


def of_endpoint(given: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``given`` that the endpoint gets.

    It answers strangers, so it gets only variables that are listed here: no key of Airflow, MLflow,
    a cloud or a model hub, and no address of a webhook. It gets no PYTHONPATH, because it must run
    the code of its Bento. Of S3 it gets the address, and as keys only those that are meant for it.
    """
    listed = _ENDPOINT | _ADDRESS_OF_S3
    allowed = (k for k in given if k in listed or k.startswith(_ENDPOINT_PREFIXES))
    keys = {"AWS_SHARED_CREDENTIALS_FILE": given[_KEYS_OF_S3]} if _KEYS_OF_S3 in given else {}
    return {k: given[k] for k in allowed if k not in _NOT_ENDPOINT} | keys


def without_airflow(given: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``given`` for a process outside Airflow: a stage, DVC, MLflow's server.

    Keys for a remote or a hub stay, because the process may need them.
    """
    return {k: v for k, v in given.items() if "AIRFLOW_" not in k or k.startswith("EIDOLON_")}


def masked(text: str) -> str:
    """``text`` with hidden passwords in all its addresses: `postgresql://user:***@host/db`.

    An address ends at white space. If it has several `@`, the password ends at the last one.
    """
    return _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def passwords(text: str) -> list[str]:
    """The passwords that :func:`masked` hides in ``text``."""
    return [found[2] for pattern in (_PASSWORD, _PARAMETER) for found in pattern.finditer(text)]
