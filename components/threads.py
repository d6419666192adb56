"""How many threads a process may keep busy."""

from __future__ import annotations

import os


def cpus() -> int:
    """The CPUs that this process may use: in a container, or under `taskset`, not all there are."""
    return len(os.sched_getaffinity(0))
