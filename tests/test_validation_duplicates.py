"""Copies within a dataset: the searches find what comparing each with each finds, and a second
inspection decodes nothing and compares only what is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.lookalikes import KINDS as LOOKALIKES
from components import config
from components.files import sha256
from components.images import decoding, looks
from components.images.hashing import difference_hash
from components.images.looks import look
from components.images.near_duplicates import SKETCH, detail, distances, sketch
from components.validation import compared, pairs
from components.validation.compared import Compared, keys_of
from components.validation.duplicates import KINDS, Details, Nearest, Search
from components.validation.inspection import measure
from tests.toy import ROOT

Small = npt.NDArray[np.uint8]


def thumbnails(kind: str, count: int, seed: int) -> Small:
    """Thumbnails (N, 192), of which a third are altered copies of others."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        small = rng.integers(0, 256, (count, 192), dtype=np.uint8)
    elif kind == "plain":  # many are equal, and more are close to each other
        small = np.repeat(rng.integers(0, 40, (count, 3), dtype=np.uint8), 64, axis=1)
    else:
        walk = rng.normal(0, 20, (count, 8, 24)).cumsum(axis=1).reshape(count, 192)
        small = np.uint8(np.clip(128 + walk, 0, 255))
    third = count // 3
    changed = small[:third].astype(int) + rng.integers(-9, 10, (third, 192))
    small[count - third :] = np.clip(changed, 0, 255)
    return small


SHARES = st.sampled_from([None, 0.0, 0.01, 0.5, 1.0])
"""Shares of pictures that are new. With None, a search is not told which."""


def chosen(count: int, seed: int, share: float | None) -> pairs.Mask | None:
    """A random ``share`` of pictures, as a mask."""
    return None if share is None else np.random.default_rng(seed).random(count) < share


def either(new: pairs.Mask | None, count: int) -> pairs.Mask:
    """Whether each pair has a new picture: (N, N)."""
    all_ = np.ones(count, dtype=bool)
    return all_[:, None] | all_ if new is None else new[:, None] | new


@given(
    kind=st.sampled_from(["noise", "plain", "smooth"]),
    count=st.integers(0, 700),
    seed=st.integers(0, 99),
    radius=st.sampled_from([0.0, 70.0, 212.0, 900.0, np.inf]),
    share=SHARES,
)
@settings(max_examples=60)
def test_the_search_by_colour_finds_exactly_the_pairs_within_the_radius(
    kind: str, count: int, seed: int, radius: float, share: float | None
) -> None:
    small, new = thumbnails(kind, count, seed), chosen(count, seed, share)
    found = [
        (min(one, other), max(one, other), squared)
        for block in pairs.by_colour(small, radius, new)
        for one, other, squared in zip(*(rows.tolist() for rows in block), strict=True)
    ]
    values = small.astype(np.int64)
    products = values @ values.T
    norms = np.diag(products)
    apart = norms[:, None] + norms - 2 * products
    one, other = np.nonzero(np.triu((apart <= radius**2) & either(new, count), 1))
    expected = zip(one.tolist(), other.tolist(), apart[one, other].tolist(), strict=True)
    assert sorted(found) == sorted(expected)


@given(
    count=st.integers(0, 500),
    seed=st.integers(0, 99),
    bits=st.integers(0, 11),
    ones=st.sampled_from([0.5, 0.03]),
    share=SHARES,
)
@settings(max_examples=60)
def test_the_search_by_outline_finds_exactly_the_pairs_of_few_different_bits(
    count: int, seed: int, bits: int, ones: float, share: float | None
) -> None:
    new = chosen(count, seed, share)
    rng = np.random.default_rng(seed)
    hashes = rng.random((count, 64)) < ones
    changed = rng.random((count - count // 2, 64)) < 0.1
    hashes[count // 2 :] = hashes[: count - count // 2] ^ changed
    outlines = np.packbits(hashes, axis=1).view(np.uint64).ravel()
    found = [
        (min(pair), max(pair))
        for block in pairs.by_outline(outlines, bits, new)
        for pair in zip(*(rows.tolist() for rows in block), strict=True)
    ]
    apart = np.bitwise_count(outlines[:, None] ^ outlines)
    wanted = np.nonzero(np.triu((apart <= bits) & either(new, count), 1))
    expected = zip(*(rows.tolist() for rows in wanted), strict=True)
    assert sorted(found) == sorted(expected)


def test_outlines_are_preferred_unless_they_are_much_alike() -> None:
    rng = np.random.default_rng(0)
    assert pairs.prefer_outlines(rng.integers(0, 2**64, 3000, dtype=np.uint64), 10)
    assert not pairs.prefer_outlines(rng.integers(0, 2**64, 3000, dtype=np.uint64), 30)
    assert not pairs.prefer_outlines(np.zeros(3000, dtype=np.uint64), 10)
    few = np.arange(3000) < 7
    mixed = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    mixed[7:] = 0  # the old ones are alike, but none is like a new one
    assert pairs.prefer_outlines(mixed, 10, few) and not pairs.prefer_outlines(mixed, 10, ~few)


class Reference:
    """Compares each picture with each."""

    def __init__(self, images: list[Image.Image], category: list[int], subset: list[int]) -> None:
        looks = [look(image) for image in images]
        self.small = np.array([one.thumbnail for one in looks])
        self.outlines = np.array([difference_hash(image) for image in images], dtype=np.uint64)
        self.category, self.subset = np.array(category), np.array(subset)
        self.sketches = np.array([sketch(image) for image in images], dtype=SKETCH)

    def nearest(self, params: config.Inspect, *, everywhere: bool) -> Nearest:
        count = len(self.small)
        found, rows = Nearest(count), np.arange(count)
        near = params.near_copy_factor * params.copy_colour_distance
        for i in range(count):
            differences = self.small.astype(np.int64) - self.small[i]
            apart = np.sqrt((differences**2).sum(axis=1)) / (255 * 192**0.5)
            own, same = self.category == self.category[i], self.subset == self.subset[i]
            bits = np.bitwise_count(self.outlines ^ self.outlines[i])
            outline = bits <= params.max_outline_bits
            similar = apart < params.copy_colour_distance
            similar |= (apart < near) & outline & ~own
            limit = params.near_duplicate_distance
            far = distances(self.sketches[i], self.sketches, rows, detail(self.sketches), limit) > 1
            apart[(similar & far) | (rows == i)] = np.inf
            relations = (own & same, own & ~same, ~own, ~own & outline)
            for kind, among in zip(KINDS, relations, strict=True):
                most = near if kind == "near" else params.copy_colour_distance
                counts = among if everywhere else among & (apart < most)
                values = np.where(counts, apart, np.inf)
                found.apart[kind][i], found.of[kind][i] = values.min(), values.argmin()
        return found


def pictures(seed: int, count: int) -> list[Image.Image]:
    """Pictures of several kinds, and lossy, brighter and equal copies of some."""
    rng = np.random.default_rng(seed)
    kinds = [*LOOKALIKES]
    images = [LOOKALIKES[kinds[int(rng.integers(len(kinds)))]](rng) for _ in range(count)]
    for i in range(0, count - 1, 3):
        values = np.asarray(images[i]) * (0.9, 0.99, 1)[i // 3 % 3]
        images[i + 1] = Image.fromarray(values.astype(np.uint8))
    return images


@given(seed=st.integers(0, 10_000), everywhere=st.booleans(), outlines=st.booleans())
@settings(max_examples=12)
def test_the_nearest_pictures_are_those_of_the_reference(
    tmp_path_factory: pytest.TempPathFactory, seed: int, everywhere: bool, outlines: bool
) -> None:
    rng, place = np.random.default_rng(seed), tmp_path_factory.mktemp("pictures")
    images = pictures(seed, 24)
    files = [place / f"{i}.png" for i in range(len(images))]
    for image, file in zip(images, files, strict=True):
        image.save(file)
    given_ = [decoding.decode(file, side=32) for file in files]
    category, subset = (rng.integers(0, 2, len(images)).tolist() for _ in range(2))
    params = config.load(ROOT / "params.yaml").inspect
    expected = Reference(images, category, subset)
    expected.sketches = np.array([sketch(image) for image in given_], dtype=SKETCH)
    names = [str(i) for i in range(len(images))]
    details = Details(files, names, params.near_duplicate_distance, place / "known.sqlite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "prefer_outlines", lambda *_: outlines)
        patch.setattr("components.validation.duplicates._WAITING", 5)
        search = Search(
            expected.small,
            expected.outlines,
            expected.category,
            expected.subset,
            names,
            details,
            params,
        )
        found = search.everywhere() if everywhere else search.run(compared.nothing())[0]
    wanted = expected.nearest(params, everywhere=everywhere)
    for kind in KINDS:
        assert np.array_equal(found.apart[kind], wanted.apart[kind])
        there = np.isfinite(found.apart[kind])
        assert np.array_equal(found.of[kind][there], wanted.of[kind][there])


@dataclass
class Folder:
    """Picture files, and datasets of some of them."""

    place: Path
    images: list[Image.Image]

    def __post_init__(self) -> None:
        self.files = [self.place / f"{i}.png" for i in range(len(self.images))]
        for image, file in zip(self.images, self.files, strict=True):
            image.save(file)
        looks = [look(decoding.decode(file)) for file in self.files]
        self.small = np.array([one.thumbnail for one in looks])
        self.outlines = np.array([one.outline for one in looks], dtype=np.uint64)
        self.digests = [sha256(file) for file in self.files]

    def find(
        self, chosen: list[tuple[int, int, int]], before: Compared
    ) -> tuple[Nearest, Compared]:
        """The nearest in a dataset of ``chosen`` pictures, each with its category and subset."""
        which, category, subset = np.array(chosen, dtype=np.intp).reshape(-1, 3).T
        digests = [self.digests[i] for i in which]
        params = config.load(ROOT / "params.yaml").inspect
        limit, known = params.near_duplicate_distance, self.place / "known.sqlite"
        details = Details([self.files[i] for i in which], digests, limit, known)
        keys = keys_of(digests, map(str, category))
        small, outlines = self.small[which], self.outlines[which]
        found = Search(small, outlines, category, subset, keys, details, params).run(before)
        details.save()
        return found


CHOSEN = st.lists(st.tuples(st.integers(0, 17), st.integers(0, 2), st.integers(0, 1)), max_size=40)
"""Datasets of some of 18 pictures. A picture may be there twice, in one category or in several."""


@given(seed=st.integers(0, 10_000), outlines=st.booleans(), steps=st.lists(CHOSEN, max_size=4))
@settings(max_examples=25)
def test_what_was_compared_before_need_not_be_compared_again(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    outlines: bool,
    steps: list[list[tuple[int, int, int]]],
) -> None:
    place = tmp_path_factory.mktemp("pictures")
    folder, kept = Folder(place, pictures(seed, 18)), place / "compared.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "prefer_outlines", lambda *_: outlines)
        for step in steps:
            found, now = folder.find(step, compared.read(kept, "this"))
            compared.write(kept, now, "this")
            wanted, all_ = folder.find(step, compared.nothing())
            for kind in KINDS:
                assert np.array_equal(found.apart[kind], wanted.apart[kind])
                assert np.array_equal(found.of[kind], wanted.of[kind])
            assert now.keys == all_.keys and not now.new.any()
            assert np.array_equal((now.one, now.other), (all_.one, all_.other))
            again = compared.read(kept, "this").among(now.keys)
            assert again.keys == now.keys and not again.new.any()


def test_a_damaged_or_foreign_file_of_what_was_compared_counts_as_none(tmp_path: Path) -> None:
    kept, one = tmp_path / "compared.safetensors", np.arange(3)
    keys = keys_of([f"{i:064x}" for i in range(4)], "aabb")
    compared.write(kept, Compared(keys, np.zeros(4, dtype=bool), one, one + 1), "this")
    read = compared.read(kept, "this")
    assert read.keys == keys and read.one.tolist() == [0, 1, 2] and read.other.tolist() == [1, 2, 3]
    fewer = read.among([keys[3], "new", keys[2]])
    assert fewer.new.tolist() == [False, True, False]
    assert (fewer.one.tolist(), fewer.other.tolist()) == ([2], [0])
    assert compared.read(kept, "other").keys == []
    assert compared.read(tmp_path / "missing", "this").keys == []
    whole = kept.read_bytes()
    for place in range(0, len(whole), 7):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert compared.read(kept, "this").keys == []
        kept.write_bytes(whole[:place])
        assert compared.read(kept, "this").keys == []


def saved(root: Path, count: int) -> pd.DataFrame:
    """A small dataset with copies, and its rows."""
    rows = []
    for i, image in enumerate(pictures(3, count)):
        path = f"gallery/{'ab'[i % 2]}/{i}.png"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / path)
        rows.append((path, "ab"[i % 2], "gallery", ""))
    return pd.DataFrame(rows, columns=["path", "category", "subset", "source"])


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the pictures that are decoded from now on."""
    decoded: list[object] = []
    real = decoding.decode

    def decode(*args: object, **how: object) -> Image.Image:
        decoded.append(args)
        return real(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "decode", decode)
    return lambda: len(decoded)


def test_a_second_inspection_decodes_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, known = saved(tmp_path, 30), tmp_path / "known.sqlite"
    params = config.load(ROOT / "params.yaml").inspect
    first = measure(tmp_path, rows, params, known)
    assert first[[*KINDS]].notna().any(axis=None)
    decoded = counted(monkeypatch)
    assert measure(tmp_path, rows, params, known).equals(first) and decoded() == 0
    Image.effect_noise((40, 40), 90).save(tmp_path / rows["path"][0])  # in its place
    changed = measure(tmp_path, rows, params, known)
    assert decoded() == 1 and not changed.equals(first)
    assert changed.equals(measure(tmp_path, rows, params, tmp_path / "other" / "known.sqlite"))
    copied = rows["path"][first[[*KINDS]].notna().any(axis=1)].iloc[-1]
    digest = sha256(tmp_path / copied)
    assert looks.small_sketches(known).get(digest)
    forgetting = looks.Looks(known)
    forgetting.forget([digest])
    assert looks.small_sketches(known).get(digest) is None
    known.write_bytes(b"no database" * 1000)
    assert measure(tmp_path, rows, params, known).equals(changed)
