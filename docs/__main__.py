"""`make docs`: write the documents that are made from code.

The tests hold each of them against what this would write.
"""

from __future__ import annotations

from pathlib import Path

from components.files import write_text
from docs import commands

HERE = Path(__file__).parent


def main() -> None:
    """Write every generated document into docs/."""
    for name, render in {"commands.md": commands.render}.items():
        write_text(HERE / name, render())
        print(f"docs/{name} is written")


if __name__ == "__main__":
    main()
