"""docs/api.md shows the API as it is: routes, fields, statuses and examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

from bento import guard, reference
from bento.web import Web
from components import config
from components.api import messages as api
from components.names import MAX_TEXT
from tests import documents
from tests.commandlines import commands, lines

PAGE = "docs/api.md"
OPENAPI: dict[str, Any] = reference.openapi(1, config.Serve(), "x.png")
SERVER = re.compile(r"(?:http://)?(?:localhost|127\.0\.0\.1):3000(/.*)?")
BY_STARLETTE = {405}  # the one status that only the router gives


def examples() -> list[documents.Block]:
    blocks = [block for document in documents.every() for block in document.blocks]
    return [block for block in blocks if block.language == "json"]


def requests() -> Iterator[tuple[str, list[str]]]:
    """Every curl command to the API, with its place."""
    for block in (block for document in documents.every() for block in document.blocks):
        if block.language == "sh" and block.excluded is None:
            for line in lines(block.text):
                for words in commands(line):
                    if words[0] == "curl" and any(map(SERVER.fullmatch, words)):
                        yield block.place, words


def model_of(example: dict[str, Any]) -> type[BaseModel]:
    """The model that an example is of, told by a field that no other model has."""
    if "hits" in example:
        return api.Answer
    if "right" in example:
        return api.Feedback
    if "id" in example:
        return api.Similar
    return api.Failure if "error" in example else api.Query


@pytest.mark.parametrize("block", examples(), ids=lambda block: block.place)
def test_examples_are_what_the_models_give(block: documents.Block) -> None:
    example = json.loads(block.text)
    found = model_of(example).model_validate(example).model_dump(mode="json", by_alias=True)
    assert found == example, f"{block.place} has other fields than the API"


def test_requests_are_understood() -> None:
    found = list(requests())
    for place, words in found:
        (url,) = (match[1] or "/" for match in map(SERVER.fullmatch, words) if match)
        path = urlsplit(url).path
        if "-d" in words:
            body = words[words.index("-d") + 1]
            assert list(OPENAPI["paths"][path]) == ["post"], f"{place}: {path} takes no body"
            assert "content-type: application/json" in [word.lower() for word in words], place
            model_of(json.loads(body)).model_validate_json(body)
        else:
            assert path in known_addresses() or path.startswith("/images/"), f"{place}: {path}"
    assert found


def known_addresses() -> set[str]:
    return set(OPENAPI["paths"]) | set(Web(config.Serve()).pages) | {"/docs.json"}


def test_every_route_is_documented() -> None:
    rows = documents.section(PAGE, "The API")[1:]
    shown = {code.split(" ")[-1] for row in rows for code in documents.codes(row[0])}
    assert shown == set(OPENAPI["paths"]), f"the first table of {PAGE} differs from the routes"
    for row in rows:
        for code in documents.codes(row[0]):
            method, _, path = code.rpartition(" ")
            assert (method.lower() or "get") in OPENAPI["paths"][path], f"{PAGE}: {code}"


def test_every_field_is_documented() -> None:
    parts = ("POST /search", "The answer", "POST /similar", "POST /feedback")
    rows = [row for part in parts for row in documents.section(PAGE, part)]
    shown = {name for row in rows for name in documents.codes(row[0])}
    keys = set(re.findall(r'"(\w+)":', "".join(block.text for block in examples())))
    models = (
        *(api.Query, api.Similar, api.Feedback, api.Answer, api.SimilarAnswer, api.Hit),
        *(api.Imagined, api.BundleName, api.Timings, api.Failure),
    )
    known = {
        str(field.serialization_alias or name)
        for model in models
        for name, field in model.model_fields.items()
    }
    assert not shown - known, f"{PAGE} names fields that the API has not: {sorted(shown - known)}"
    missing = known - shown - keys
    assert not missing, f"document these fields in {PAGE}: {sorted(missing)}"
    for name in api.Query.model_fields:
        assert name in shown, f"add the field {name} to the table of requests in {PAGE}"


def test_every_status_is_documented() -> None:
    rows = documents.section(PAGE, "Errors")[1:]
    shown = {int(row[0]): row[1] for row in rows}
    assert set(shown) == set(reference.ERRORS) | BY_STARLETTE


def test_the_reference_has_the_real_limits_and_a_picture_that_there_is() -> None:
    schemas = OPENAPI["components"]["schemas"]
    assert schemas["Query"]["properties"]["query"]["maxLength"] == MAX_TEXT
    assert {schemas[name]["example"]["id"] for name in ("Similar", "Feedback")} == {"x.png"}


def test_limits_are_documented() -> None:
    text = documents.read(PAGE).prose
    for limit in (
        f"1 to {api.MAX_HITS}",
        f"1 to {MAX_TEXT} characters",
        f"{guard.MAX_BODY // 1024} KiB",
    ):
        assert limit in text, f"{PAGE} does not say {limit!r}"
