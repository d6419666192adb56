"""Moves the alias `champion`: by the gate, by a person, back after a failure.

MLflow cannot set an alias on a condition. So each move reads the alias, compares it with what was
expected, and sets it, under a lock of this checkout. Another machine could still move it in the
milliseconds between.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence

from components.errors import EidolonError
from components.lifecycle import history, pruned, registry
from components.lifecycle.history import Move
from components.lifecycle.registry import (
    BEST,
    CHAMPION,
    LEADS,
    PREVIOUS,
    ROLLED_BACK,
    VERDICT,
)


class SupersededError(EidolonError):
    """The champion is no longer the one that a version was judged against."""


def promote(version: str, expected: str | None, *, by: str, reason: str) -> None:
    """Make ``version`` the champion, in place of ``expected`` (``None``: there is no champion).

    A version that is the champion already stays it, so the call can be repeated. Raises
    :class:`SupersededError` when another version has become the champion meanwhile.
    """
    with registry.alone():
        now = _champion()
        if now == version:
            if not _is_last(version):  # a process was killed before it recorded the move
                history.record(Move("promoted", version, expected or "", by, reason))
            return
        if now != expected:
            raise SupersededError(
                f"version {version} is not promoted: it was judged against {_named(expected)}, and"
                f" {_named(now)} is the champion now; a new run judges it again"
            )
        _move(Move("promoted", version, now or "", by, reason))


def promote_by_hand(version: str, reason: str = "") -> Move:
    """Make ``version`` the champion at a person's request.

    A version that did not pass the gate and never was the champion needs a ``reason``, which is
    kept. A newer champion that it replaces is marked as rolled back, so that the next retraining
    does not promote it again. Promoting a marked version removes its mark.

    Raises :class:`EidolonError` for a version that does not exist or was pruned, and for a missing
    reason.
    """
    found = registry.registered(version)
    pruned.check(found.version, found.tags)
    verdict = found.tags.get(VERDICT)
    with registry.alone():
        now = _champion()
        known = verdict == "passed" or now == found.version or _was_champion(found.version)
        if not known and not reason.strip():
            why = found.tags.get(f"{VERDICT}_reason", "no gate has judged it")
            raise EidolonError(
                f"version {found.version} did not pass the gate ({why}): give --reason TEXT to"
                " promote it all the same; the text is kept"
            )
        how: history.How = "rolled back" if _is_older(found.version, now) else "promoted"
        move = Move(how, found.version, now or "", person(), reason.strip() or "asked for by hand")
        if now != found.version:
            _move(move)
        _mark(found.version, now, move.reason)
    return move


def roll_back(to: str | None = None, reason: str = "") -> Move:
    """Make the version ``to`` the champion, or without it the one before the present champion.

    Raises :class:`EidolonError` when there is none to go back to.
    """
    now = _champion()
    target = to or registry.version_of(PREVIOUS)
    if target is None or target == now:
        raise EidolonError(
            "no version was the champion before this one: `eidolon data log` lists the versions;"
            " name one with --to"
        )
    if to is None and ROLLED_BACK in registry.registered(target).tags:
        raise EidolonError(
            f"version {target}, the champion before, was itself rolled back: name an older version"
            f" with --to, or `eidolon promote {target}`"
        )
    return promote_by_hand(target, reason or "rolled back")


def put_back(failed: str, to: str | None, *, by: str, reason: str) -> bool:
    """Make ``to``, which is deployed, the champion again, because ``failed`` could not be deployed;
    without ``to`` there is no champion then. The aliases `previous` and `best` no longer name what
    ``failed`` has made of them. ``failed`` is marked like one that was rolled back, so that the
    next retraining does not promote it again. Returns false when ``failed`` is not the champion any
    more."""
    with registry.alone():
        if _champion() != failed:
            return False
        registry.tag(failed, ROLLED_BACK, f"it could not be deployed: {reason}")
        earlier = [move for move in history.moves() if move.how != "put back"]
        came = next((move.before for move in earlier if to and move.version == to), "")
        _point(PREVIOUS, came)
        if registry.version_of(BEST) == failed:
            _point(BEST, _best_among(earlier))
        _move(Move("put back", to or "", failed, by, reason))
        return True


def note_found(version: str, before: str | None) -> None:
    """Record that somebody made ``version`` the champion in MLflow itself, unless the history knows
    it, and mark the versions as :func:`promote_by_hand` does. ``before`` is the version that was
    deployed."""
    with registry.alone():
        if _champion() != version or _is_last(version):
            return
        reason = "the alias was moved in MLflow"
        if before not in (None, version) and registry.exists(str(before)):
            registry.set_alias(PREVIOUS, str(before))
            _mark(version, before, reason)
        history.record(Move("found", version, before or "", "unknown", reason))


def person() -> str:
    """The name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def _champion() -> str | None:
    return registry.version_of(CHAMPION)


def _is_last(version: str) -> bool:
    latest = history.moves(1)
    return bool(latest) and latest[0].version == version


def _was_champion(version: str) -> bool:
    return any(move.version == version for move in history.moves())


def _is_older(version: str, champion: str | None) -> bool:
    return champion is not None and int(version) < int(champion)


def _mark(version: str, before: str | None, reason: str) -> None:
    """Mark the champion ``before`` as rolled back if the older ``version`` replaced it, and take
    such a mark from ``version``."""
    if before is not None and _is_older(version, before):
        registry.tag(before, ROLLED_BACK, f"for {version}: {reason}")
    if ROLLED_BACK in registry.registered(version).tags:
        registry.untag(version, ROLLED_BACK)


def _move(move: Move) -> None:
    """Set the aliases, then record it. The champion comes last: a process that is killed before
    leaves a champion that can be gone back from, and the next attempt completes the move."""
    if move.before and move.how != "put back" and registry.exists(move.before):
        registry.set_alias(PREVIOUS, move.before)
    if move.how == "promoted" and _becomes_best(registry.registered(move.version).tags):
        registry.set_alias(BEST, move.version)
    if move.version:
        registry.set_alias(CHAMPION, move.version)
    else:
        registry.remove_alias(CHAMPION)
    history.record(move)


def _point(alias: str, version: str) -> None:
    """Let ``alias`` name ``version``, or nothing if that is empty or was deleted."""
    if version and registry.exists(version):
        registry.set_alias(alias, version)
    else:
        registry.remove_alias(alias)


def _best_among(moves: Sequence[Move]) -> str:
    """The version that was promoted last of those that became the best and were not rolled back."""
    for version in (move.version for move in moves if move.how == "promoted"):
        if registry.exists(version):
            tags = registry.registered(version).tags
            if ROLLED_BACK not in tags and _becomes_best(tags):
                return version
    return ""


def _becomes_best(tags: Mapping[str, str]) -> bool:
    """Whether a promoted version with these ``tags`` is what later ones must not fall behind: the
    best one by the gate, or one that a person has put above the gate's verdict."""
    return tags.get(LEADS) == "true" or tags.get(VERDICT) != "passed"


def _named(version: str | None) -> str:
    return "no champion" if version is None else f"version {version}"
