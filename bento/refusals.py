"""What an error of a search is to its caller: a status of HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bentoml.exceptions import BentoMLException, InvalidArgument, ServiceUnavailable

from components.errors import EidolonError, NoRoomError, QueryError, TransientError

log = logging.getLogger("bentoml.eidolon")


@contextmanager
def refusals() -> Iterator[None]:
    """Give 400 for a query that its caller must change, 503 while the service lacks what a search
    needs, such as memory, and 500 for whatever is wrong here. The last two are logged."""
    try:
        yield
    except QueryError as error:
        raise InvalidArgument(str(error)) from None
    except (NoRoomError, TransientError, MemoryError) as error:
        log.error("no search: %s", str(error) or type(error).__name__)
        raise ServiceUnavailable("the service has no room for this search now: try again") from None
    except EidolonError as error:
        log.error("no search: %s", error)
        raise BentoMLException("the search failed: the log of the service says why") from None
