"""What the monitor looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from components.features.features import Features
from components.monitoring.agreement import Ranker
from components.monitoring.texts import Embed
from components.serving.loading import Bundle


@dataclass(frozen=True)
class Seen:
    """What there is to look at.

    ``folder`` has the logs of queries and feedback, and ``logs`` are the endpoint's. ``embed`` is
    the bundle's text encoder, or ``None`` if it is not here. ``features`` are today's, or ``None``
    without any, and ``same`` names the spaces whose encoder is still the bundle's. ``made`` is when
    the champion was registered, ``newest`` when its data was first registered. ``marks`` are all
    that were kept, and ``ranker`` is the champion's.
    """

    folder: Path
    logs: list[Path]
    bundle: Bundle
    champion: str
    made: datetime
    newest: datetime | None
    embed: Embed | None = None
    features: Features | None = None
    same: frozenset[str] = frozenset()
    marks: pd.DataFrame | None = None
    ranker: Ranker | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
