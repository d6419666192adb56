"""Accelerators: which ones there are, and that tasks take turns with them."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from ops.accelerators import VARIABLE, accelerators, one_of


def test_accelerators_are_those_that_cuda_may_use(tmp_path: Path) -> None:
    assert accelerators({}, tmp_path) == []
    for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert accelerators({}, tmp_path) == ["2", "10"]
    assert accelerators({"CUDA_VISIBLE_DEVICES": "1, 3"}, tmp_path) == ["1", "3"]
    assert accelerators({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []


def test_each_task_that_draws_has_an_accelerator_of_its_own(tmp_path: Path) -> None:
    with one_of(["0"], tmp_path) as alone:
        assert alone == {}
    waited: list[dict[str, str]] = []

    def third() -> None:
        with one_of(["0", "1"], tmp_path) as chosen:
            waited.append(chosen)

    with one_of(["0", "1"], tmp_path) as first:
        with one_of(["0", "1"], tmp_path) as second:
            assert [first, second] == [{VARIABLE: "0"}, {VARIABLE: "1"}]
            thread = Thread(target=third)
            thread.start()
            thread.join(timeout=0.5)
            assert thread.is_alive() and not waited
        thread.join(timeout=30)
        assert waited == [{VARIABLE: "1"}]
