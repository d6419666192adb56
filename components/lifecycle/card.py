"""The model card of a version, from facts alone: MLflow shows it as the version's description.

Its sections follow Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019,
arXiv 1810.03993).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GROUPS = {
    "seen": "seen in training",
    "unseen": "never seen",
    "unseen_only": "never seen, among themselves",
    "harmonic": "harmonic mean of seen and unseen",
}


def card(info: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """The card in Markdown. ``info`` is the content of bundle.json, and ``tags`` are those of the
    version."""
    generator, validation = info["generator"], info["validation"]
    return "\n".join(
        [
            *_verdict(tags),
            "## Data",
            f"{tags['pictures']} pictures of {tags['categories']} categories, profile"
            f" {info['profile']}, DVC `{tags['dataset']}`."
            + (f" Ingested pictures: DVC `{tags['collection']}`." if tags["collection"] else ""),
            "",
            "## Models",
            *(f"- {part}: `{model}`" for part, model in info["models"].items()),
            f"- imagined pictures: {generator['images_per_category']} of each category, prompt"
            f" “{generator['prompt']}”, {validation['accepted']} of {validation['pictures']}"
            " accepted by validation",
            f"- fusion weight λ: {info['lambda']:g}",
            "",
            "## Mean average precision",
            "Over categories, with 95 % bootstrap intervals. No decision was made by these figures"
            " of never seen categories.",
            "",
            *_table(info["metrics"]),
            "",
            "## Use and limits",
            "It ranks the pictures of the gallery for a text. It says nothing about people in them."
            " Categories that are unlike those it was trained on may be found worse; the service"
            " says for each answer how sure it is.",
            "",
            "## Code",
            f"commit `{tags['commit']}`"
            + (" with uncommitted changes" if tags["dirty"] == "true" else "")
            + f", dvc.lock `{tags['dvc_lock']}`",
        ]
    )


def _verdict(tags: Mapping[str, str]) -> list[str]:
    if "verdict" not in tags:
        return []
    return [f"**{tags['verdict'].capitalize()} by the gate**: {tags['verdict_reason']}", ""]


def _table(metrics: Mapping[str, Any]) -> list[str]:
    kinds = list(metrics["map"])
    rows = [f"| categories | {' | '.join(kinds)} |", "|---|" + "---|" * len(kinds)]
    for group, words in _GROUPS.items():
        cells = [_figure(metrics["map"][kind].get(group, {})) for kind in kinds]
        rows.append(f"| {words} | {' | '.join(cells)} |")
    return rows


def _figure(value: Mapping[str, float]) -> str:
    if "mean" not in value:
        return "none"
    bounds = f" ({value['low']:.3f}–{value['high']:.3f})" if "low" in value else ""
    return f"{value['mean']:.3f}{bounds}"
