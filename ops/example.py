"""Print one example answer of a bundle as JSON. It runs in a process of its own, since it loads the
models.

python -m ops.example [K]
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from components import config
from components.paths import BUNDLE
from components.serving.loading import load
from components.serving.retriever import Retriever


def example(k: int) -> dict[str, Any]:
    """The first unseen category as a query, and its ``k`` best hits."""
    params, bundle = config.load(), load(BUNDLE)
    unseen = bundle.categories.query("split == 'unseen'")["category"]
    retriever = Retriever(bundle, params.generator, params.encoders)
    answer = retriever.search(unseen.iloc[0], k)
    return {"text": answer.query, "hits": [asdict(hit) for hit in answer.hits]}


if __name__ == "__main__":
    print(json.dumps(example(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
