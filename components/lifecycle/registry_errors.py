"""Translates errors of the registry, so that each message fits its cause, and only temporary errors
are tried again.

MLflow gives each error a code (mlflow/protos/databricks.proto), over HTTP and with a database
alike. Sometimes errors of lower layers come through: of SQLAlchemy while it connects to a database,
and of requests while artifacts are copied.
"""

from __future__ import annotations

from http import HTTPStatus

from requests import RequestException
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from components.errors import EidolonError, TransientError
from components.variables import masked

GONE = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_REFUSED = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_WRONG = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "MALFORMED_REQUEST"}
_NO_MLFLOW = {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED"}
_CONFLICT = {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "ABORTED", "RESOURCE_CONFLICT"}
# any other code means an outage: INTERNAL_ERROR (a dead port, HTTP 5xx), TEMPORARILY_UNAVAILABLE (a
# locked database), REQUEST_LIMIT_EXCEEDED, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, ...

_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: "BAD_REQUEST",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.CONFLICT: "RESOURCE_CONFLICT",
    HTTPStatus.NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
}
_OUTAGES = (OperationalError, InterfaceError, PoolTimeoutError)


def code_of(error: Exception) -> str:
    """The code of an error of MLflow, or the code that MLflow would give to another error."""
    if isinstance(error, RequestException):
        status = None if error.response is None else error.response.status_code
        return _BY_STATUS.get(HTTPStatus(status), "INTERNAL_ERROR") if status else "INTERNAL_ERROR"
    if isinstance(error, SQLAlchemyError):
        return "TEMPORARILY_UNAVAILABLE" if isinstance(error, _OUTAGES) else "FEATURE_DISABLED"
    if isinstance(error, ImportError):  # of a database's driver
        return "FEATURE_DISABLED"
    return str(getattr(error, "error_code", "INTERNAL_ERROR"))


def translated(error: Exception, registry: str) -> EidolonError | TransientError:
    """The error to raise for ``error``: one sentence with the remedy.

    ``registry`` is the registry's address, without a password.
    """
    code, said = (
        code_of(error),
        (masked(str(error)).strip() or type(error).__name__).splitlines()[0][:160],
    )
    at = f"the registry at {registry}"
    if code in GONE:
        return EidolonError(
            f"{at} does not have it, or it was deleted ({said}): `eidolon data log` lists versions"
        )
    if code in _REFUSED:
        return EidolonError(
            f"{at} refuses access ({said}): check the user and the password or token that"
            " MLFLOW_TRACKING_URI or the variables MLFLOW_TRACKING_* give"
        )
    if code in _WRONG:
        return EidolonError(f"{at} does not accept this ({said}): correct the value that it names")
    if code in _NO_MLFLOW:
        return EidolonError(
            f"{at} is not a usable MLflow ({said}): check MLFLOW_TRACKING_URI, and that both sides"
            " have the same version of MLflow"
        )
    if code in _CONFLICT:
        return TransientError(
            f"{at} was changed by another process at the same time ({said}): try again"
        )
    return TransientError(
        f"{at} cannot be reached ({said}): start it (`make up`), or set MLFLOW_TRACKING_URI"
    )
