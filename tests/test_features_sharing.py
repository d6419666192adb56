"""Machines that share a place for objects encode each picture once, whatever ends in mid-run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components import config
from components.errors import TransientError
from components.features.embed import embed
from components.features.sharing import SharedSegments
from components.features.store import FeatureStore
from components.objects import Objects, opened
from components.paths import FEATURES, HOME
from tests.buckets import BUCKET, server
from tests.test_features_segments import got, keys_of, put
from tests.test_features_store import encoded, features, pictures

ABOUT = {"encoder": "e", "of": "pictures"}


def machine(root: Path, objects: Objects) -> SharedSegments:
    """The shelf of a machine that has just begun to use it."""
    root.joinpath("shelf").mkdir(parents=True, exist_ok=True)
    return SharedSegments(root / "shelf", objects, ABOUT)


def has(found: SharedSegments, numbers: list[int]) -> list[int]:
    there = found.has(keys_of(numbers))
    return [n for n, here in zip(numbers, there, strict=True) if here]


def segments(objects: Objects) -> list[str]:
    return [key for key in objects.keys("features/shelf/") if key.endswith(".safetensors")]


def test_rows_of_one_machine_are_rows_of_all(objects: Objects, tmp_path: Path) -> None:
    one, other = (machine(tmp_path / name, objects) for name in ("one", "other"))
    put(one, [1, 2, 3])
    assert has(other, [2, 3, 4]) == got(other, [2, 3, 4]) == [2, 3]
    put(other, [4])
    assert has(one, [1, 2, 3, 4, 5]) == got(one, [1, 2, 3, 4, 5]) == [1, 2, 3, 4]
    assert len(segments(objects)) == 2  # what was fetched is not shared again
    assert has(machine(tmp_path / "one", objects), [1, 4]) == [1, 4]
    assert objects.exists("features/shelf/about.json")


def test_only_segments_with_wanted_rows_are_fetched(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine(tmp_path / "one", objects)
    for n in range(5):
        put(one, [10 * n, 10 * n + 1])
    asked, read = list[str](), objects.read

    def listening(key: str) -> bytes | None:
        asked.append(key)
        return read(key)

    monkeypatch.setattr(objects, "read", listening)
    other = machine(tmp_path / "other", objects)
    assert has(other, [31]) == [31]
    assert sum(key.endswith(".safetensors") for key in asked) == 1
    asked.clear()
    assert has(machine(tmp_path / "other", objects), [31]) == [31]
    assert not asked  # the keys are kept too


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(0, 20), min_size=1, unique=True)), max_size=12
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_row_is_computed_twice(
    steps: list[tuple[int, list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Machines by turns compute what they lack."""
    root = tmp_path_factory.mktemp("machines")
    objects = opened((root / "objects").as_uri())
    machines = [machine(root / str(i), objects) for i in range(3)]
    computed = set[int]()
    for number, wanted in steps:
        lacking = sorted(set(wanted) - set(has(machines[number], wanted)))
        assert not computed & set(lacking)
        if lacking:
            put(machines[number], lacking)
        computed |= set(lacking)
        assert got(machines[number], wanted) == wanted


def test_what_is_damaged_is_computed_again_and_then_found(objects: Objects, tmp_path: Path) -> None:
    put(machine(tmp_path / "one", objects), [1, 2])
    (segment,) = segments(objects)
    data = bytearray(objects.read(segment) or b"")
    data[-1] ^= 1  # of the last row
    objects.write(segment, bytes(data))
    other = machine(tmp_path / "other", objects)
    assert has(other, [1, 2]) == [1]
    put(other, [2])
    assert has(machine(tmp_path / "third", objects), [1, 2]) == [1, 2]
    for key in segments(objects):
        objects.write(key, b"no segment")
    fourth = machine(tmp_path / "fourth", objects)
    assert has(fourth, [1, 2]) == []
    put(fourth, [1, 2])
    assert has(machine(tmp_path / "fifth", objects), [1, 2]) == [1, 2]


@pytest.mark.parametrize("damage", [None, b"", b"\0" * 31, b"\0" * 64])
def test_a_writer_that_was_killed_before_it_wrote_the_keys(
    objects: Objects, tmp_path: Path, damage: bytes | None
) -> None:
    put(machine(tmp_path / "one", objects), [1, 2])
    (segment,) = segments(objects)
    keys = segment.replace(".safetensors", ".keys")
    if damage is None:
        objects.delete(keys)
    else:
        objects.write(keys, damage)
    assert has(machine(tmp_path / "other", objects), [1, 2]) == []
    shutil.rmtree(tmp_path / "one" / "shelf" / ".shared", ignore_errors=True)
    assert has(machine(tmp_path / "one", objects), [1, 2]) == [1, 2]  # which shares them
    assert has(machine(tmp_path / "other", objects), [1, 2]) == [1, 2]


def test_a_server_that_dies_in_mid_run_costs_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(tmp_path / "s3") as running:
        for name, value in running.variables.items():
            monkeypatch.setenv(name, value)
        objects = opened(f"s3://{BUCKET}/a")
        one = machine(tmp_path / "one", objects)
        put(one, [1])
        running.kill()
        with pytest.raises(TransientError, match="cannot be reached"):
            put(one, [2])
        with pytest.raises(TransientError, match="cannot be reached"):
            has(one, [2])
        assert got(one, [1, 2]) == [1, 2]
        running.start()
        assert has(machine(tmp_path / "one", objects), [1, 2]) == [1, 2]
        assert has(machine(tmp_path / "other", objects), [1, 2]) == [1, 2]


def test_a_second_machine_encodes_nothing_and_has_the_same_features(
    toy_copy: Path, objects: Objects, capsys: pytest.CaptureFixture[str]
) -> None:
    before = features()
    embed(config.load().encoders)  # had everything before anything was shared
    assert encoded(capsys.readouterr().err) == (0, pictures())
    for folder in (FEATURES, HOME / "features"):
        shutil.rmtree(folder)
    embed(config.load().encoders)
    assert encoded(capsys.readouterr().err) == (0, pictures())
    assert features() == before
    assert all(isinstance(shelf, SharedSegments) for shelf in [FeatureStore().shelf("a", ABOUT)])
