"""The served Bento does what its OpenAPI text says, for good requests and for wrong ones."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_the_service_does_what_its_openapi_text_says(served: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/docs.json")
    tried = set()
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        for operation in (found.ok() for found in schema.get_all_operations()):
            if operation.label in ("GET /metrics", "GET /livez", "GET /readyz"):
                continue  # BentoML's, without a body that is described

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=15,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def check(case: schemathesis.Case) -> None:
                response = case.call(base_url=served.url, timeout=60)
                case.validate_response(response, checks=CHECKS)

            tried.add(operation.label)
            with suppress(Unsatisfiable):  # nothing can be wrong in it
                check()
    assert {"POST /search", "POST /search/stream", "POST /similar", "POST /feedback"} <= tried
