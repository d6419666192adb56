"""Texts whose answer is known, by which the confidence is fitted and measured.

They come from the names of the categories and from two lists, so there are some for any dataset.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from components import names

DESCRIPTIONS, NONSENSE = ("described", "single"), ("letters", "languages", "other")
"""The kinds of texts that are imagined for the calibration: those that the gallery has pictures of,
and those that it has not."""


@dataclass(frozen=True)
class Text:
    """A text of a kind, and the rows of all categories that it describes."""

    kind: str
    words: str
    covers: tuple[int, ...] = ()


def descriptions(categories: Sequence[str], rows: Sequence[int]) -> list[Text]:
    """Partial descriptions of the categories ``rows``.

    ``described`` is a name without one of its words, such as "red star" for "red striped star", but
    never without the last, which says what the thing is. ``single`` is one word of a name. A name
    of one word is only put into other words. A text covers each of ``categories`` whose name has
    all its words. A text that is itself a category is left out.
    """
    split = [names.fold(name).split() for name in categories]
    found = {" ".join(words): None for words in split}
    texts: list[Text] = []

    def add(kind: str, words: str, covers: list[int]) -> None:
        if words not in found:
            found[words] = None
            texts.append(Text(kind, words, tuple(covers)))

    for row in rows:
        words = split[row]
        if len(words) == 1:
            add("described", f"some kind of {words[0]}", [row])
            continue
        fewer = [words[:i] + words[i + 1 :] for i in range(len(words) - 1)]
        for kind, parts in [("described", f) for f in fewer] + [("single", [w]) for w in words]:
            covers = [i for i, other in enumerate(split) if set(parts) <= set(other)]
            add(kind, " ".join(parts), covers)
    return texts


def letters(categories: Sequence[str], count: int, rng: random.Random) -> list[Text]:
    """``count`` texts that no language has: names with their letters shuffled, random letters of
    ``categories``, and digits with signs and smileys."""
    alphabet = sorted({c for name in categories for c in names.fold(name) if c.isalpha()})
    found = []
    for i in range(count):
        lengths = [rng.randint(1, 9) for _ in range(rng.randint(1, 3))]
        pool = rng.choices(alphabet if i % 3 == 1 and alphabet else _SIGNS, k=sum(lengths))
        if i % 3 == 0:
            words = names.fold(rng.choice(categories)).split()
            lengths, pool = [len(word) for word in words], list("".join(words))
            rng.shuffle(pool)
        drawn = iter(pool)
        parts = ["".join(next(drawn) for _ in range(length)) for length in lengths]
        found.append(Text("letters", " ".join(parts)))
    return found


def foreign(categories: Sequence[str]) -> list[Text]:
    """Texts of other subjects in other languages and scripts (``languages``), and in English
    (``other``), without those that share a word with the name of a category."""
    used = {word for name in categories for word in names.fold(name).split()}
    lists = {"languages": _LANGUAGES, "other": _OTHER}
    return [
        Text(kind, words)
        for kind, listed in lists.items()
        for words in listed.split("|")
        if not used & set(words.split())
    ]


_SIGNS = "0123456789#%&*+=?!😀😂🤔💤"
_OTHER = (
    "tax return|quarterly earnings report|the smell of rain|democracy|tuesday morning|grammar|"
    "a legal contract|prime numbers|inflation rate|toothache|a telephone call|homework|nostalgia|"
    "the speed of light|surgery|parliament|jealousy|blood pressure|a weather forecast|silence|"
    "an insurance claim|the meaning of life|a password|software licence|monthly rent|philosophy|"
    "a job interview|gravity|a birthday party|the stock market|electricity bill|a rumour|"
    "a violin concerto|an electron microscope|tractor engine|chess opening|bicycle repair|"
    "rush hour traffic|a bowl of noodles|computer keyboard|a dentist at work|basketball game|"
    "submarine|x-ray of a hand|accordion|library card|kitchen sink|airport terminal|"
    "two people dancing|newspaper page|a nuclear reactor|washing machine|screwdriver|"
    "a courtroom|bunk bed|traffic jam at night|a pile of invoices|circuit board|toothbrush|"
    "a plate of spaghetti|bank statement|escalator|a dictionary|printer cartridge"
)
_LANGUAGES = (
    "税务申报表|通货膨胀|议会|语法课|天气预报|洗衣机|電話帳單|牙痛|確定申告|インフレ|"
    "国会中継|歯医者|地下鉄の時刻表|연말정산|물가 상승률|국회|치과 의사|세탁기|"
    "налоговая декларация|инфляция|парламент|зубная боль|прогноз погоды|стиральная машина|"
    "податкова декларація|φορολογική δήλωση|πληθωρισμός|πονόδοντος|πλυντήριο|إقرار ضريبي|"
    "التضخم|البرلمان|توقعات الطقس|غسالة|דוח מס|אינפלציה|כאב שיניים|اظهارنامه مالیاتی|"
    "आयकर विवरण|महंगाई|संसद|दांत का दर्द|করের হিসাব|সংসদ|வருமான வரி|பாராளுமன்றம்|ใบกำกับภาษี|"
    "รัฐสภา|ปวดฟัน|საგადასახადო დეკლარაცია|պառլամենտ|ግብር|steuererklärung|zahnschmerzen|"
    "waschmaschine|déclaration d'impôts|mal aux dents|declaración de la renta|"
    "dolor de muelas|dichiarazione dei redditi|belastingaangifte|zeznanie podatkowe|"
    "vergi beyannamesi|hammassärky"
)
