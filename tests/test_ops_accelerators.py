"""Accelerators: which ones there are, and that tasks take turns with them."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pynvml
import pytest

from ops.accelerators import VARIABLE, accelerators, one_of


def test_accelerators_are_those_that_cuda_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = SimpleNamespace(  # of two accelerators; pynvml itself needs a card
        NVMLError=pynvml.NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}0",
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    assert accelerators({}) == ["GPU-00", "GPU-10"]
    assert accelerators({"CUDA_VISIBLE_DEVICES": "1, GPU-3"}) == ["1", "GPU-3"]
    assert accelerators({"CUDA_VISIBLE_DEVICES": ""}) == []


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a driver")
def test_without_a_driver_there_is_none() -> None:
    assert accelerators({}) == []


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
