"""`make docs`: write the documents that are made from code.

The tests hold each of them against what this would write.
"""

from __future__ import annotations

from pathlib import Path

from components.config import listing, profiles
from components.files import write_text
from docs import commands

HERE = Path(__file__).parent


def parameters() -> str:
    """The page docs/parameters.md, with the values of the base of all profiles."""
    return listing.page(profiles.BASE, profiles.values(profiles.BASE))


PAGES = {"commands.md": commands.render, "parameters.md": parameters}


def main() -> None:
    """Write every generated document into docs/."""
    for name, render in PAGES.items():
        write_text(HERE / name, render())
        print(f"docs/{name} is written")


if __name__ == "__main__":
    main()
