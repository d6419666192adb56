"""Models leave the accelerator while nobody uses them, and are back before they are used."""

from __future__ import annotations

import threading

import numpy as np
import torch
from PIL import Image
from transformers import BitImageProcessorPil

from components.models.preparing import in_threads
from components.models.resting import Resting


class Model:
    """It notes where it was moved to."""

    def __init__(self) -> None:
        self.places: list[str] = []

    def to(self, place: object) -> None:
        self.places.append(str(place))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_idle_models_rest_and_come_back() -> None:
    clock, model = Clock(), Model()
    resting = Resting([model], idle=10, clock=clock)
    clock.now = 9
    assert not resting.rest()
    with resting.in_use():
        clock.now = 30
        assert not resting.rest()  # in use, however long it takes
    clock.now = 39
    assert not resting.rest()
    clock.now = 40
    assert resting.rest() and resting.rest()
    assert model.places == ["cpu"]
    with resting.in_use(), resting.in_use():
        assert len(model.places) == 2
    assert not resting.rest()


def test_models_rest_only_where_it_is_asked_for() -> None:
    clock = Clock()
    resting = Resting([Model()], idle=None, clock=clock)
    clock.now = 1e9
    assert not resting.rest()


def test_models_never_move_while_they_are_used() -> None:
    users, lock, ended = 0, threading.Lock(), threading.Event()
    moved_in_use: list[bool] = []

    class Watched:
        def to(self, place: object) -> None:
            moved_in_use.append(users > 0)

    resting = Resting([Watched()], idle=1e-9)

    def use() -> None:
        nonlocal users
        while not ended.wait(0.001):
            with resting.in_use():
                with lock:
                    users += 1
                with lock:
                    users -= 1

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(moved_in_use) < 40:
        resting.rest()
    ended.set()
    for thread in threads:
        thread.join()
    assert not any(moved_in_use)


def test_threads_prepare_pictures_as_one_does() -> None:
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (40 + i, 60, 3), dtype=np.uint8)) for i in range(21)
    ]
    processor = BitImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 24, "width": 24}
    )
    alone = in_threads(processor, pictures, 1)
    together = in_threads(processor, pictures, 3)
    assert alone.keys() == together.keys()
    assert all(torch.equal(alone[name], together[name]) for name in alone)
