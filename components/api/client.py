"""A client of the search service. Every failure is one sentence that says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

import httpx
from pydantic import BaseModel, ValidationError

from components.api.messages import (
    Answer,
    Event,
    Feedback,
    Mode,
    Query,
    Similar,
    SimilarAnswer,
    what_is_wrong,
)
from components.errors import EidolonError, TransientError
from components.kinds import Kind

URL = "http://127.0.0.1:3000"
"""Where `make serve` serves."""

T = TypeVar("T", bound=BaseModel)
Filter = dict[str, str | list[str]]
_PASSES = {429, 502, 503, 504}  # statuses of a failure that another attempt may overcome


class Options(TypedDict, total=False):
    """The options of a search: the fields of :class:`Query` but the text."""

    k: int
    offset: int
    mode: Mode
    weight: float | None
    images: int | None
    seed: int | None
    drop: list[str]
    kind: Kind
    description: str | None
    exclude: str | None
    filter: Filter
    group: bool


class Client:
    """Asks the service at ``url``, with an API ``key`` if it wants one.

    ``timeout`` is how many seconds to wait for an answer, or for the next event of a stream. Each
    method raises :class:`EidolonError`, or :class:`TransientError` where another attempt may help.
    """

    def __init__(self, url: str = URL, key: str | None = None, timeout: float = 120) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url, self._timeout = url, timeout
        with self._explained():
            self._http = httpx.Client(
                base_url=url, headers=headers, timeout=timeout, trust_env=False
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(self, query: str, **options: Unpack[Options]) -> Answer:
        """The gallery's pictures for a text."""
        response = self._ask("POST", "search", json=_query(query, options))
        return self._read(Answer, response)

    def stream(self, query: str, **options: Unpack[Options]) -> Iterator[Event]:
        """The same as events: `text`, the answer by text alone; `imagined`, each picture as it
        arrives; `fused`, the answer of :meth:`search`. Raises for an event `error`, and when the
        stream ends too early."""
        body = _query(query, options)
        with (
            self._explained(),
            self._http.stream("POST", "search/stream", json=body) as response,
        ):
            if response.is_error:
                response.read()
            self._check(response)
            for name, text in _events(_lines(response.iter_bytes())):
                if name == "done":
                    return
                if name == "error":
                    raise EidolonError(_sentence(text))
                yield self._parsed(Event, f'{{"event": {json.dumps(name)}, "data": {text}}}')
        raise TransientError(f"the answer of {self._url} broke off: try again")

    def similar(
        self,
        id: str | None = None,
        *,
        picture: Path | None = None,
        k: int = 20,
        offset: int = 0,
        filter: Filter | None = None,
        group: bool = False,
    ) -> SimilarAnswer:
        """The pictures most similar to that with this ``id`` in the gallery, or to the file
        ``picture``."""
        if (id is None) == (picture is None):
            raise EidolonError("give either the id of a hit or the file of a picture")
        how = {"k": k, "offset": offset, "filter": filter or {}, "group": group}
        if picture is None:
            body = _checked(Similar, {"id": id} | how).model_dump()
            response = self._ask("POST", "similar", json=body)
        else:
            response = self._ask(
                "POST",
                "similar",
                data={name: json.dumps(value) for name, value in how.items()},
                files={"image": (picture.name, picture.read_bytes())},
            )
        return self._read(SimilarAnswer, response)

    def feedback(self, request: str, id: str, right: bool) -> None:
        """Say whether the picture ``id`` in the answer ``request`` is what was asked for."""
        body = _checked(Feedback, {"request": request, "id": id, "right": right}).model_dump()
        self._ask("POST", "feedback", json=body)

    def bundle(self) -> dict[str, Any]:
        """What the served bundle was made from."""
        return self._object(self._ask("GET", "bundle"))

    def categories(self) -> list[dict[str, Any]]:
        """The categories of the bundle: each has `category`, `split` and `pictures`."""
        listed: list[dict[str, Any]] = self._object(self._ask("GET", "categories"))["categories"]
        return listed

    def picture(self, address: str) -> bytes:
        """The file at the address `picture` of a hit or an imagined picture."""
        if httpx.URL(address).is_absolute_url:  # a key must not go to another server
            raise EidolonError(f"{address[:100]!r} is no picture of {self._url}")
        return self._ask("GET", address).content

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        with self._explained():
            response = self._http.request(method, path, **content)
        self._check(response)
        return response

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        status = response.status_code
        why = _sentence(response.text) if response.is_error else ""
        why = why or f"{self._url} answered with status {status}: is it the search service?"
        if status in _PASSES:
            seconds = response.headers.get("retry-after", "")
            when = f"in {seconds} seconds" if seconds.isdecimal() else "later"
            raise TransientError(f"{why} (try again {when})")
        raise EidolonError(why)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the connection in this block into a sentence."""
        url = self._url
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise EidolonError(f"{url!r} is no address ({error}): give one like {URL}") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EidolonError(
                f"nothing answers at {url} ({error}): start the service with `make serve`, or give"
                " its address"
            ) from None
        except httpx.TimeoutException:
            raise TransientError(f"{url} gave no answer for {self._timeout:g} seconds") from None
        except httpx.TransportError as error:
            raise TransientError(f"the answer of {url} broke off ({error}): try again") from None

    def _read(self, model: type[T], response: httpx.Response) -> T:
        return self._parsed(model, response.text)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._foreign()
        return value

    def _parsed(self, model: type[T], text: str) -> T:
        try:
            return model.model_validate_json(text)
        except ValidationError:
            raise self._foreign() from None

    def _foreign(self) -> EidolonError:
        return EidolonError(
            f"{self._url} does not answer as this version of Eidolon: give the address of another"
            " service, or use the client that belongs to it"
        )


def _checked(model: type[T], fields: Any) -> T:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise EidolonError(what_is_wrong(error.errors())) from None


def _query(query: str, options: Options) -> dict[str, Any]:
    return _checked(Query, {"query": query, **options}).model_dump(exclude_none=True)


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    """The whole lines of a stream. Only a line feed ends one: a text in JSON may hold other
    characters that Python takes for the end of a line."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The names and data of server-sent events
    (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6)."""
    name, data = "", []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line:
            if data:
                yield name, "\n".join(data)
            name, data = "", []


def _sentence(text: str) -> str:
    """The sentence in an error of the service; empty if there is none."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, TypeError, KeyError):
        return ""
    return error if isinstance(error, str) else ""
