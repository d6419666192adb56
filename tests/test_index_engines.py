"""Every index finds what a full sum in float64 finds, whatever it reads on the way.

An engine joins by one line in ``ENGINES``: all tests here then run over it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import config
from components.arrays import mapped
from components.index import engines, qdrant
from components.index.approximate import Approximate
from components.index.engine import Asked, Engine, Found
from components.index.exact import Exact
from components.index.gallery import Gallery, Hubness, top
from components.index.quantised import Quantised
from components.index.server import Server
from components.vectors import normalized
from tests.rounding import of_dot

pytestmark = pytest.mark.numeric

CLIP, VISION = 24, 40  # dimensions
ROUNDING = of_dot(CLIP + VISION + 3)


def _approximate(clip: np.ndarray, vision: np.ndarray) -> Engine:
    """Reads every group, so that its answers are exact."""
    found = Approximate.grouped(Quantised.of(clip, vision), 1.0, queries(1, 0), seed=0)
    found.reads = len(clip)
    return found


def _server(clip: np.ndarray, vision: np.ndarray) -> Engine:
    """On a server within this process. The levels fit the hubness of one seed, and no other."""
    return Server.of(clip, vision, f"test-{uuid4()}", hubness_of(len(clip), 0), 0.3)


ENGINES: dict[str, Callable[[np.ndarray, np.ndarray], Engine]] = {
    "exact": Exact,
    "quantised": Quantised.of,
    "approximate": _approximate,
    "server": _server,
}


@pytest.fixture(autouse=True, scope="module")
def embedded() -> Iterator[None]:
    """The server engine's server is one within this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(qdrant.URL, ":memory:")
        yield
        qdrant.connect.cache_clear()


@pytest.fixture(params=list(ENGINES))
def make(request: pytest.FixtureRequest) -> Callable[[np.ndarray, np.ndarray], Engine]:
    return ENGINES[request.param]


def gallery(count: int, seed: int, copies: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around a few centres and away from zero, some of them copies of others."""
    rng = np.random.default_rng(seed)
    spaces = []
    of = rng.integers(0, 7, count)
    copied = np.where(
        rng.random(count) < copies, rng.integers(0, max(1, count), count), np.arange(count)
    )
    for dim in (CLIP, VISION):
        rows = rng.normal(size=(7, dim))[of] + 0.8 * rng.normal(size=(count, dim)) + 0.3
        rows[:, 0] += 2  # a number that is large everywhere, as CLIP has some
        spaces.append(normalized(rows)[copied].astype(np.float32))
    return spaces[0], spaces[1]


def queries(count: int, seed: int, zero: float = 0.0) -> Asked:
    rng = np.random.default_rng(seed + 1000)
    text, image = (normalized(rng.normal(size=(count, dim)) + 0.2) for dim in (CLIP, VISION))
    image[rng.random(count) < zero] = 0
    excluded = normalized(rng.normal(size=(count, CLIP))).astype(np.float32)
    return Asked(text.astype(np.float32), image.astype(np.float32), 0.3, excluded, 0.0)


def hubness_of(count: int, seed: int) -> Hubness:
    rng = np.random.default_rng(seed + 2000)
    return Hubness(*(0.3 * rng.random((2, count))).astype(np.float32))


def truth(
    rows: tuple[np.ndarray, np.ndarray], asked: Asked, hubness: Hubness | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fused, text and image scores (Q, N) in float64, by the formula."""
    clip, vision = (part.astype(np.float64) for part in rows)
    text = asked.text.astype(np.float64) @ clip.T
    image = asked.aggregated.astype(np.float64) @ vision.T
    weight = asked.weights.astype(np.float64)
    fused = (1 - weight) * text + weight * image
    if asked.excluded is not None:
        fused -= asked.strength * (asked.excluded.astype(np.float64) @ clip.T)
    if hubness is not None:
        fused -= (1 - weight) * hubness.clip + weight * hubness.vision
    return fused, text, image


def check(
    found: Found, query: int, true: tuple[np.ndarray, ...], k: int, among: np.ndarray
) -> None:
    """The scores are right, no better picture is missing, and ties keep the gallery's order."""
    fused, text, image = (part[query] for part in true)
    assert len(found.rows) == min(k, len(among))
    assert set(found.rows.tolist()) <= set(among.tolist())
    assert len(set(found.rows.tolist())) == len(found.rows)
    for scores, expected in ((found.fused, fused), (found.text, text), (found.image, image)):
        np.testing.assert_allclose(scores, expected[found.rows], rtol=0, atol=ROUNDING)
    best = np.sort(fused[among])[::-1][: len(found.rows)]
    np.testing.assert_allclose(fused[found.rows], best, rtol=0, atol=2 * ROUNDING)
    for before, after in zip(range(len(found.rows)), range(1, len(found.rows)), strict=False):
        falls = found.fused[before] - found.fused[after]
        assert falls > 0 or (falls == 0 and found.rows[before] < found.rows[after])


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(ENGINES)),
    count=st.one_of(st.integers(1, 4), st.integers(5, 400)),
    asked=st.integers(1, 40),
    k=st.integers(1, 60),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    corrected=st.booleans(),
    strength=st.sampled_from([0.0, 0.6]),
    share=st.sampled_from([None, 0.0, 0.1, 0.9]),
    copies=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_the_best_are_those_of_a_full_sum_in_float64(
    name: str,
    count: int,
    asked: int,
    k: int,
    weight: float,
    corrected: bool,
    strength: float,
    share: float | None,
    copies: float,
    seed: int,
) -> None:
    if name == "server":  # within a process it looks at the filters of each picture in Python
        count, asked = min(count, 60), min(asked, 8)
    rows, some = gallery(count, seed, copies), queries(asked, seed, zero=0.3)
    some = Asked(some.text, some.aggregated, weight, some.excluded, strength)
    hubness = hubness_of(count, seed) if corrected else None
    mask = np.random.default_rng(seed).random(count) < (1.0 if share is None else share)
    among = np.flatnonzero(mask)
    engine = ENGINES[name](*rows)
    found = engine.search(some, k, None if share is None else among, hubness, streams=5)
    true = truth(rows, some, hubness)
    assert len(found) == asked
    for query, one in enumerate(found):
        check(one, query, true, k, among)
        check_streams(one, query, true, some)


def check_streams(found: Found, query: int, true: tuple[np.ndarray, ...], asked: Asked) -> None:
    """What the confidence needs comes from the whole gallery, without filters or corrections."""
    _, text, image = (part[query] for part in true)
    assert found.streams is not None
    for stream, scores in ((found.streams.text, text), (found.streams.image, image)):
        if stream is None:
            assert not asked.aggregated[query].any()
            continue
        best = np.sort(scores)[::-1][:5]
        np.testing.assert_allclose(scores[stream.rows], best, rtol=0, atol=2 * ROUNDING)
        np.testing.assert_allclose(stream.scores, best, rtol=0, atol=2 * ROUNDING)
    assert found.streams.mean == pytest.approx(text.mean(), abs=ROUNDING)
    # the variance is right to rounding, and its root near zero to the root of that
    assert found.streams.spread**2 == pytest.approx(text.var(), abs=ROUNDING)


def test_copies_keep_the_order_of_the_gallery(make: Callable[..., Engine]) -> None:
    clip, vision = gallery(40, 0)
    rows = np.concatenate([clip, clip, clip]), np.concatenate([vision, vision, vision])
    for found in make(*rows).search(queries(3, 0), 12, hubness=None):
        copies = found.rows.reshape(4, 3)
        np.testing.assert_array_equal(copies % 40, copies[:, :1].repeat(3, axis=1) % 40)
        assert (np.diff(copies, axis=1) == 40).all()


def test_nothing_to_find_gives_nothing(make: Callable[..., Engine]) -> None:
    engine = make(*gallery(30, 0))
    nothing = np.empty(0, dtype=np.intp)
    assert [len(found.rows) for found in engine.search(queries(2, 0), 5, nothing)] == [0, 0]
    assert [len(found.rows) for found in engine.search(queries(2, 0), 0)] == [0, 0]
    assert engine.search(queries(2, 0).part(slice(0, 0)), 5) == []
    zero = Asked(np.zeros((1, CLIP), np.float32), np.zeros((1, VISION), np.float32), 0.5)
    np.testing.assert_array_equal(engine.search(zero, 5)[0].rows, np.arange(5))


def test_one_query_is_answered_as_in_a_batch(make: Callable[..., Engine]) -> None:
    engine, asked = make(*gallery(120, 3)), queries(70, 3, zero=0.3)
    together = engine.search(asked, 9, None, hubness_of(120, 3))
    for query, found in enumerate(together):
        (alone,) = engine.search(asked.part(slice(query, query + 1)), 9, None, hubness_of(120, 3))
        np.testing.assert_allclose(alone.fused, found.fused, rtol=0, atol=ROUNDING)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(list(ENGINES)),
    count=st.integers(1, 200),
    more=st.integers(0, 60),
    fewer=st.integers(0, 60),
    seed=st.integers(0, 10**6),
)
def test_an_index_that_grew_and_shrank_answers_as_a_new_one(
    name: str, count: int, more: int, fewer: int, seed: int
) -> None:
    clip, vision = gallery(count + more, seed, copies=0.2)
    rng = np.random.default_rng(seed)
    gone = np.sort(rng.choice(count + more, min(fewer, count + more - 1), replace=False))
    grown = ENGINES[name](clip[:count], vision[:count]).extended(clip[count:], vision[count:])
    if isinstance(grown, Approximate):
        grown.reads = count + more
    followed = grown.shrunk(gone)
    kept = np.delete(np.arange(count + more), gone)
    asked, rows = queries(4, seed), (clip[kept], vision[kept])
    true = truth(rows, asked, None)
    for engine in (followed, ENGINES[name](*rows)):
        assert len(engine) == len(kept)
        for query, found in enumerate(engine.search(asked, 7, streams=5)):
            check(found, query, true, 7, np.arange(len(kept)))
            check_streams(found, query, true, asked)


def test_rows_that_change_places_are_followed(make: Callable[..., Engine]) -> None:
    """A gallery is ordered by category, so new pictures come between old ones."""
    clip, vision = gallery(90, 5)
    old, new = np.random.default_rng(0).permutation(90)[:60], np.arange(90)
    was = np.full(90, -1)
    was[old] = np.arange(60)
    engine = make(clip[old], vision[old]).updated(clip[new], vision[new], was)
    if isinstance(engine, Approximate):
        engine.reads = 90
    asked = queries(5, 5)
    for query, found in enumerate(engine.search(asked, 11, streams=5)):
        true = truth((clip, vision), asked, None)
        check(found, query, true, 11, np.arange(90))
        check_streams(found, query, true, asked)


_READ = """
import sys, numpy as np
from pathlib import Path
from components.index import engines, qdrant
from tests.test_index_engines import gallery, queries
engine = engines.load(Path(sys.argv[1]), *gallery(200, 4))
print(*(row for found in engine.search(queries(3, 4), 6) for row in found.rows))
"""


def test_processes_share_a_saved_index(make: Callable[..., Engine], tmp_path: Path) -> None:
    engine = make(*gallery(200, 4))
    expected = [row for found in engine.search(queries(3, 4), 6) for row in found.rows.tolist()]
    assert engine.save(tmp_path / engines.FILE) == bool(engine.arrays())
    loaded = engines.load(tmp_path, *gallery(200, 4))
    assert type(loaded) is type(engine)
    if engine.arrays():
        assert not any(a.flags.writeable for a in mapped(tmp_path / engines.FILE).values())
    found = [row for one in loaded.search(queries(3, 4), 6) for row in one.rows.tolist()]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _READ, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert [int(row) for row in out.split()] == found == expected


def test_what_is_quantised_answers_as_what_is_measured() -> None:
    """The evaluation scores exactly in float32; a service that reads 8 bits ranks the same."""
    rows, asked = gallery(3000, 8), queries(50, 8)
    hubness = hubness_of(3000, 8)
    scores = Gallery(*rows, *hubness).score(asked.text, asked.aggregated, 0.3).fused
    for query, found in enumerate(Quantised.of(*rows).search(asked, 20, None, hubness)):
        best = top(scores[query], 20)
        np.testing.assert_allclose(found.fused, scores[query][best], rtol=0, atol=ROUNDING)
        close = np.abs(np.diff(scores[query][best])).min() <= ROUNDING
        assert close or found.rows.tolist() == best.tolist()


def test_few_rows_are_read_again() -> None:
    """The bounds are tight enough to be worth something."""
    from components.index.scan import Scan

    clip, vision = gallery(20_000, 9)
    index, asked = Quantised.of(clip, vision), queries(8, 9)
    scan = Scan(index.codes, None, asked, 20, None, None, 0)
    scan.read(slice(0, 20_000))
    assert max(len(lists.fused.rows()) for lists in scan.lists) < 400


def test_the_approximate_engine_reads_what_the_recall_takes() -> None:
    clip, vision = gallery(4000, 11)
    exact, asked = Quantised.of(clip, vision), queries(60, 11)
    part = Approximate.grouped(exact, 0.8, asked, seed=0)
    whole = Approximate.grouped(exact, 1.0, asked, seed=0)
    assert 0.8 <= part.recall <= whole.recall == 1.0
    assert part.reads <= whole.reads
    assert part.described() == {
        "engine": "approximate",
        "groups": 63,
        "reads": part.reads,
        "recall": round(part.recall, 4),
    }


@pytest.mark.parametrize(
    ("pictures", "engine"),
    [(9, "exact"), (10, "quantised"), (99, "quantised"), (100, "approximate")],
)
def test_the_size_chooses_the_engine(pictures: int, engine: str) -> None:
    params = config.Index(hubness_temperature=0.25, quantise_from=10, approximate_from=100)
    assert params.engine_for(pictures) == engine
    built = engines.build(Gallery(*gallery(pictures, 0)), params, queries(3, 0), "toy")
    assert built.described()["engine"] == engine
    named = params.model_copy(update={"engine": "exact"})
    assert named.engine_for(pictures) == "exact"


def test_a_narrow_filter_is_filled_from_further_groups() -> None:
    """The approximate engine reads more groups where the nearest have too few that pass."""
    clip, vision = gallery(4000, 12)
    index = Approximate.grouped(Quantised.of(clip, vision), 0.5, queries(60, 12), seed=0)
    index.reads = 1
    among = np.sort(np.random.default_rng(0).choice(4000, 30, replace=False))
    for found in index.search(queries(20, 13), 20, among, streams=5):
        assert len(found.rows) == 20 and set(found.rows) <= set(among)
        assert found.streams is not None and len(found.streams.text.rows) == 5
    assert {len(found.rows) for found in index.search(queries(5, 13), 3000)} == {3000}
