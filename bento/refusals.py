"""Errors of a search as HTTP statuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bentoml.exceptions import BentoMLException, InvalidArgument, ServiceUnavailable

from components.errors import EidolonError, NoRoomError, QueryError, TransientError
from components.index.qdrant import NoIndexError

log = logging.getLogger("bentoml.eidolon")


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an error within this block into a status of HTTP.

    400: the caller must change the query. 503: the service lacks something that the search needs,
    such as memory or its index server. 500: something else is wrong with the service. The last two
    are logged.
    """
    try:
        yield
    except QueryError as error:
        raise InvalidArgument(str(error)) from None
    except NoIndexError as error:
        log.error("no search: %s", error)
        raise ServiceUnavailable(str(error)) from None
    except (NoRoomError, TransientError, MemoryError) as error:
        log.error("no search: %s", str(error) or type(error).__name__)
        raise ServiceUnavailable("the service has no room for this search now: try again") from None
    except EidolonError as error:
        log.error("no search: %s", error)
        raise BentoMLException("the search failed: the log of the service says why") from None
