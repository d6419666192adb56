"""The two pictures of docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from components import config
from study.figures import DEFAULT, PAPER, SIMPLEST, Figures, Sweep
from study.methods import IDEAS, KEPT

LOWEST = 0.6  # mAP: lower points are not drawn


def effects(figures: Figures, path: Path) -> None:
    names = (*IDEAS, PAPER, DEFAULT)
    found = {name: figures.between(name, SIMPLEST, "unseen") for name in names}
    ordered = sorted(found, key=lambda name: found[name][0])
    figure = Figure((8, 4.8), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(ordered):
        mean, half = found[name]
        kept = name in (*KEPT, DEFAULT)
        axes.errorbar(
            mean,
            place,
            xerr=half,
            fmt="s" if kept else "o",
            color="#2c6e8f" if kept else "#7a8794",
            capsize=3,
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(ordered)), ordered)
    axes.set(
        xlabel="mAP on unseen categories, minus the simplest fusion",
        title="Each idea by itself (squares: kept), and the default",
    )
    figure.savefig(path, dpi=130, metadata={"Software": None})


def sweeps(params: config.Params, sweep: Sweep, seconds: Mapping[int, float], path: Path) -> None:
    many, steps = params.generator.images_per_category, params.generator.steps
    time = {
        "pictures": lambda n: n * seconds[steps],
        "steps": lambda n: many * seconds[n],
    }
    label = {
        "pictures": f"K pictures of {steps} steps",
        "steps": f"{many} pictures of so many steps",
    }
    figure = Figure((7, 4), layout="constrained")
    axes = figure.subplots()
    for what, mark, colour in (("pictures", "o-", "#2c6e8f"), ("steps", "s--", "#d98f2b")):
        values = [n for n in sweep.values(what) if sweep.at(what, n)[0] > LOWEST]
        means, halves = zip(*(sweep.at(what, n) for n in values), strict=True)
        at = [time[what](n) for n in values]
        axes.errorbar(at, means, yerr=halves, fmt=mark, color=colour, capsize=3, label=label[what])
        for x, y, n in zip(at, means, values, strict=True):
            below = -14 if what == "steps" else 8
            axes.annotate(str(n), (x, y), (4, below), textcoords="offset points", color=colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(
        xlabel="seconds to imagine a category",
        ylabel="fused mAP, unseen",
        title="What time for imagining buys",
    )
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=130, metadata={"Software": None})
