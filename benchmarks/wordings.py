"""Texts that people type about the embedded world, and the categories that each is about.

The right pictures follow from the emblems' own attributes, so nothing is labelled by hand. A text
that the confidence was fitted to is left out. Where a text is about one category, or excludes one,
that category is unseen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from components import names
from components.datasets.emblem_words import SYNONYMS
from components.datasets.emblems import COLOURS, PATTERNS, SHAPES, Emblem

Fits = Callable[[Emblem], bool]
Candidate = tuple[str, str | None, Fits]
"""A text, the text that the search excludes, and which emblems are right."""


MISSPELT = "misspellings"


@dataclass(frozen=True)
class Wording:
    """A ``text`` of a ``kind``, and the names of the categories that are ``right`` for it. The
    search excludes the text ``exclude``."""

    kind: str
    text: str
    right: frozenset[str]
    exclude: str | None = None


def wordings(
    categories: Sequence[str],
    unseen: Sequence[str],
    fitted: Collection[str],
    count: int,
    seed: int,
) -> list[Wording]:
    """At most ``count`` texts of each of :data:`KINDS`, in its order.

    ``categories`` are the names of all categories in the gallery; those that are no emblems are
    right for no text. ``unseen`` are those that nothing was trained or chosen by. The texts
    ``fitted`` are left out, and so are texts without right pictures.
    """
    known, held = _emblems(categories), _emblems(unseen)
    left_out = {names.fold(text) for text in fitted}
    found: list[Wording] = []
    for kind, candidates in KINDS.items():
        rng = random.Random(f"{seed} {kind}")
        drawn = list(candidates(held, rng))
        rng.shuffle(drawn)
        some: dict[tuple[str, str | None], Wording] = {}
        for text, exclude, fits in drawn:
            if len(some) == count:
                break
            right = frozenset(one.name for one in known if fits(one))
            if right and names.fold(text) not in left_out:
                some.setdefault((text, exclude), Wording(kind, text, right, exclude))
        found += some.values()
    return found


def _emblems(listed: Sequence[str]) -> list[Emblem]:
    found = []
    for name in listed:
        try:
            found.append(Emblem.parse(name))
        except ValueError:
            continue  # an ingested category
    return found


def _fits(
    colour: str | None = None,
    pattern: str | None = None,
    shape: str | None = None,
    without: str | None = None,
) -> Fits:
    """The emblems with these attributes, and without the pattern ``without``."""

    def fits(one: Emblem) -> bool:
        asked = (colour, pattern, shape)
        has = (one.colour, one.pattern, one.shape)
        same = all(a in (None, b) for a, b in zip(asked, has, strict=True))
        return same and one.pattern != without

    return fits


def _own(one: Emblem) -> Fits:
    return _fits(one.colour, one.pattern, one.shape)


def _names(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    """The control: the names themselves, which the service knows."""
    for one in unseen:
        yield one.name, None, _own(one)


def _several_patterns(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    for colour, shape in product(COLOURS, SHAPES):
        yield f"{colour} {shape}", None, _fits(colour, None, shape)


def _several_colours(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    for pattern, shape in product(PATTERNS, SHAPES):
        yield f"{pattern} {shape}", None, _fits(None, pattern, shape)


def _several_objects(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    things = list(product(COLOURS, SHAPES))
    for (colour, shape), (other_colour, other_shape) in product(things, things):
        if colour != other_colour and shape != other_shape:
            text = f"{colour} {shape} and {other_colour} {other_shape}"
            yield text, None, _either(_fits(colour, None, shape), other_colour, other_shape)


def _either(one: Fits, colour: str, shape: str) -> Fits:
    other = _fits(colour, None, shape)
    return lambda emblem: one(emblem) or other(emblem)


def _negation(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    for colour, pattern, shape in product((None, *COLOURS), PATTERNS, SHAPES):
        thing = f"{colour} {shape}" if colour else shape
        fits = _fits(colour, None, shape, without=pattern)
        yield f"{thing} that is not {pattern}", None, fits
        if pattern in MARKINGS:
            yield f"{thing} without {MARKINGS[pattern]}", None, fits


def _excluded(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    """The same with the service's own field; the category that is left out is unseen."""
    for one in unseen:
        fits = _fits(one.colour, None, one.shape, without=one.pattern)
        yield f"{one.colour} {one.shape}", one.pattern, fits


def _synonyms(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    for one in unseen:
        words = one.name.split()
        places = [i for i, word in enumerate(words) if word in SYNONYMS]
        for i in rng.sample(places, rng.randint(1, len(places))):
            words[i] = rng.choice(SYNONYMS[words[i]])
        yield " ".join(words), None, _own(one)


def _misspelled(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    for one in unseen:
        words = one.name.split()
        i = rng.randrange(len(words))
        words[i] = misspelled(words[i], rng)
        yield " ".join(words), None, _own(one)


def misspelled(word: str, rng: random.Random) -> str:
    """``word``, of three letters or more, with one slip: two letters swapped, one doubled or left
    out, or one beside it on the keyboard. The result is no word that describes an emblem."""
    while True:
        i = rng.randrange(1, len(word))
        before, letter, after = word[:i], word[i], word[i + 1 :]
        slips = (
            before[:-1] + letter + before[-1] + after,
            before + 2 * letter + after,
            before + after,
            before + rng.choice(_beside(letter)) + after,
        )
        if (found := rng.choice(slips)) not in WORDS:
            return found


def _beside(letter: str) -> str:
    """The letters to the left and the right of ``letter`` on the keyboard."""
    row = next(row for row in KEYS if letter in row)
    at = row.index(letter)
    return row[max(at - 1, 0) : at] + row[at + 1 : at + 2]


def _unknown_words(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    """Right is what fits the words that there are pictures of."""
    for thing in THINGS:
        for colour in COLOURS:
            yield f"{colour} {thing}", None, _fits(colour)
        for pattern in PATTERNS:
            yield f"{pattern} {thing}", None, _fits(None, pattern)


def _scripts(unseen: Sequence[Emblem], rng: random.Random) -> Iterator[Candidate]:
    for colours, shapes, form in LANGUAGES:
        for (colour, hue), (shape, noun) in product(
            zip(COLOURS, colours.split(), strict=True), shapes.items()
        ):
            yield form.format(hue, noun), None, _fits(colour, None, shape)


KINDS: dict[str, Callable[[Sequence[Emblem], random.Random], Iterator[Candidate]]] = {
    "names of categories (control)": _names,
    "several categories: red star": _several_patterns,
    "several categories: dotted star": _several_colours,
    "several objects": _several_objects,
    "negation in words": _negation,
    "negation by `exclude`": _excluded,
    "synonyms": _synonyms,
    MISSPELT: _misspelled,
    "unknown words": _unknown_words,
    "other scripts": _scripts,
}
"""What makes the texts of each kind."""

MARKINGS = {"striped": "stripes", "dotted": "dots", "checked": "checks"}
WORDS = {*COLOURS, *PATTERNS, *SHAPES, *(other for word in SYNONYMS for other in SYNONYMS[word])}
THINGS = ("sprocket", "teapot", "giraffe", "umbrella", "gearbox", "cactus", "violin", "walrus")
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""The rows of letters on a keyboard."""

LANGUAGES: tuple[tuple[str, dict[str, str], str], ...] = (
    (
        "红色 橙色 黄色 绿色 青色 蓝色 紫色 粉色",
        {"star": "星星", "circle": "圆形", "heart": "心形", "arrow": "箭头"},
        "{}的{}",
    ),
    (
        "赤い オレンジ色の 黄色い 緑の 青緑の 青い 紫の ピンクの",
        {"star": "星", "circle": "円", "triangle": "三角形", "arrow": "矢印"},
        "{}{}",
    ),
    (
        "빨간 주황색 노란 초록색 청록색 파란 보라색 분홍색",
        {"star": "별", "circle": "원", "triangle": "삼각형", "square": "정사각형"},
        "{} {}",
    ),
    (
        "красная оранжевая жёлтая зелёная бирюзовая синяя фиолетовая розовая",
        {"star": "звезда", "arrow": "стрела", "bolt": "молния"},
        "{} {}",
    ),
    (
        "κόκκινο πορτοκαλί κίτρινο πράσινο τιρκουάζ μπλε μωβ ροζ",
        {"star": "αστέρι", "triangle": "τρίγωνο", "square": "τετράγωνο"},
        "{} {}",
    ),
    (
        "حمراء برتقالية صفراء خضراء فيروزية زرقاء بنفسجية وردية",
        {"star": "نجمة", "circle": "دائرة", "ring": "حلقة"},
        "{1} {0}",
    ),
)
"""The colours, in the order of :data:`COLOURS`, some shapes, and how the two are put together, in
Chinese, Japanese, Korean, Russian, Greek and Arabic. Each noun agrees with the colours' form."""
