"""What an idea is added to: the simplest fusion, or the default that is shipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.features.features import Features
from components.learning import aggregator
from components.vectors import Array
from study.networks import shipped
from study.ranking import Ranking, best, fusing, mean_of
from study.world import World


@dataclass(frozen=True)
class Base:
    """``join`` makes one embedding (C, d_vision) of each category's pictures. ``temperature`` is
    that of the correction for hubness, 0 for none."""

    join: Callable[[Features], Array]
    temperature: float

    def rankings(self, world: World, text: Array, image: Array) -> Iterator[Ranking]:
        """The ranking with each fixed λ, from ``text`` (C, d_clip) and ``image`` (C, d_vision)."""
        yield from map(fusing(text, image, self.temperature), world.weights)


Idea = Callable[[World, Base], Ranking]


def simplest(_: World) -> Base:
    """The mean of the imagined pictures, not corrected."""
    return Base(mean_of, 0.0)


def default(world: World) -> Base:
    """The default's network and correction."""
    model = shipped(world)
    return Base(lambda features: aggregator.aggregate(model, features), world.hubness)


def nothing(world: World, base: Base) -> Ranking:
    """The base itself, with the best fixed λ. On the default this is the control: its own λ is
    chosen without the correction, and an idea chooses λ again with it."""
    return best(world, base.rankings(world, world.features.text, base.join(world.features)))
