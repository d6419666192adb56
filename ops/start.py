"""`python -m ops.start NAME`: become a service of `make up`, with only the variables it needs."""

from __future__ import annotations

import os
import sys

from components.errors import one_sentence
from ops.places import places, program
from ops.services import current


def main() -> None:
    """Replace this process by the service that the command line names."""
    with one_sentence():
        service = current()[sys.argv[1]]
        for place in places():
            if program(place.name) == service.name:
                place.end_leftovers()  # of a server that was killed
    os.execve(service.command[0], service.command, dict(service.env))


if __name__ == "__main__":
    main()
