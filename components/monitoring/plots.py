"""The plots of the monitor's page, as SVG: a column for each day, and two histograms."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.monitoring.report import Report
from components.monitoring.tally import BINS, Day

BLUE, ORANGE, GREY, RED = "#2c6e8f", "#d98f2b", "#7a8794", "#b3261e"
_SIZE = (4.6, 2.5)  # inches
_MANY = 10  # days, of which each still has room for its label


def all_of(report: Report) -> list[tuple[str, str]]:
    """The title and the SVG of each plot."""
    found = [
        ("Queries per day", _queries(report)),
        ("Shares of the queries", _shares(report)),
        ("Latency", _latency(report)),
        ("Confidence of the answers", _confidence(report)),
    ]
    if report.nearest and report.cut is not None:
        found.append(("Similarity to the nearest training text", _nearest(report, report.cut)))
    return found


def _queries(report: Report) -> str:
    figure, axes = _axes()
    known = [day.known for day in report.days.values()]
    other = [day.queries - day.known for day in report.days.values()]
    at = range(len(report.days))
    axes.bar(at, known, color=BLUE, label="a category's name")
    axes.bar(at, other, bottom=known, color=ORANGE, label="other texts")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _days(axes, report)
    return _svg(figure, axes)


def _shares(report: Report) -> str:
    figure, axes = _axes()
    of = {
        "nothing fits": (RED, lambda day: day.irrelevant),
        "text alone": (BLUE, lambda day: day.text_only),
        "no pictures to be had": (ORANGE, lambda day: day.degraded.total()),
        "unknown words": (GREY, lambda day: day.unknown),
    }
    days = list(report.days.values())
    if report.strange_by_day:
        strange = [report.strange_by_day.get(day, np.nan) for day in report.days]
        label = "unlike training texts"
        axes.plot(range(len(days)), strange, "o--", color="black", label=label, markersize=3.5)
    for label, (colour, part) in of.items():
        shares = [part(day) / day.queries if day.queries else np.nan for day in days]
        axes.plot(range(len(days)), shares, "o-", color=colour, label=label, markersize=3.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(bottom=0)
    _days(axes, report)
    return _svg(figure, axes)


def _latency(report: Report) -> str:
    figure, axes = _axes()
    days: Sequence[Day] = list(report.days.values())
    for quantile, colour in ((0.5, BLUE), (0.95, ORANGE)):
        took = [(day.milliseconds(quantile) or np.nan) / 1000 for day in days]
        label = f"{quantile * 100:.0f} % of the answers within"
        axes.plot(range(len(days)), took, "o-", color=colour, label=label, markersize=3.5)
    axes.set(ylabel="seconds")
    axes.set_ylim(bottom=0)
    _days(axes, report)
    return _svg(figure, axes)


def _confidence(report: Report) -> str:
    figure, axes = _axes()
    counts = np.sum([day.confidence for day in report.days.values()], axis=0)
    edges = np.arange(BINS) / BINS
    axes.bar(edges, counts / max(counts.sum(), 1), width=1 / BINS, align="edge", color=BLUE)
    axes.set(xlabel="confidence", xlim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return _svg(figure, axes)


def _nearest(report: Report, cut: float) -> str:
    figure, axes = _axes()
    edges, shares = zip(*report.nearest, strict=True)
    width = edges[1] - edges[0]
    colours = [RED if edge + width / 2 < cut else BLUE for edge in edges]
    axes.bar(edges, shares, width=width, align="edge", color=colours)
    axes.axvline(cut, color=RED, linewidth=1, label="below: unlike every training text")
    axes.set(xlabel="cosine")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return _svg(figure, axes)


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(_SIZE, layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#0001")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    return figure, axes


def _days(axes: Axes, report: Report) -> None:
    days = list(report.days)
    step = -(-len(days) // _MANY)
    at = range(0, len(days), step)
    axes.set_xticks(list(at), [f"{days[i]:%b %-d}" for i in at])
    axes.set_xlim(-0.6, len(days) - 0.4)


def _svg(figure: Figure, axes: Axes) -> str:
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue().partition("<svg")[1] + file.getvalue().partition("<svg")[2]
