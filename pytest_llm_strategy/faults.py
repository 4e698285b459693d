"""The marker `llm_faults`: a test is run again for each fault in each of its calls.

Loaded for tests that have the marker only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest

from llm_strategy import Cassette, CassetteError, Fault, Request, Session
from pytest_llm_strategy.twins import has_greater_twin

MARKER = "llm_faults"


class Variant(NamedTuple):
    """A test with a fault; `plain` is the id of the test without, whose cassette it replays."""

    fault: Fault
    plain: str

    def reason_to_skip(self, session: Session) -> str | None:
        """Why there is nothing to see: the recording that the fault would stand in is not there."""
        if session.mode == "live":
            return f"a fault stands in a recording, and --llm-record={session.mode} uses none"
        if any(owner == self.plain for owner, _ in session.misses):
            return f"{self.plain} misses a recording; without it, a fault shows nothing"
        return None


VARIANT = pytest.StashKey[Variant]()


def with_variants(items: Iterable[Any], session: Session) -> Iterator[Any]:
    """The items, and after each that has the marker its variants."""
    for item in items:
        yield item
        if isinstance(item, pytest.Function) and item.get_closest_marker(MARKER) and problem(item) is None:
            yield from _variants(item, session)


def problem(item: pytest.Item) -> str | None:
    """What is wrong with the marker's arguments, or its place."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return None
    cassette = item.get_closest_marker("llm_cassette")
    try:
        _asked(marker)
        if cassette is not None and cassette.kwargs.get("http"):
            raise ValueError("a fault cannot be put into an HTTP call (llm_cassette(http=True))")
        if not isinstance(item, pytest.Function) or hasattr(item.cls, "setUpClass"):
            raise ValueError("it is for test functions and the methods of plain test classes")
        if hasattr(item.obj, "hypothesis"):
            raise ValueError("under @given there is no first call to put a fault into")
    except (TypeError, ValueError) as error:
        return f"{item.nodeid}: the marker {MARKER} cannot be used: {error}"
    return None


def _asked(marker: pytest.Mark) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The kinds and the calls that a marker names; all calls where it names none."""
    unknown = [name for name in marker.kwargs if name != "calls"]
    if unknown:
        raise ValueError(f"it takes kinds of faults and calls=, not {', '.join(unknown)}")
    kinds = tuple(marker.args or Fault.KINDS)
    given = marker.kwargs.get("calls")
    calls = None if given is None else tuple(given) if isinstance(given, list | tuple | range) else (given,)
    for kind in kinds:
        for call in calls or (1,):
            # Which refuses what is no fault.
            Fault(kind, call)
    return tuple(dict.fromkeys(kinds)), calls


def _variants(item: pytest.Function, session: Session) -> Iterator[pytest.Function]:
    marker = item.get_closest_marker(MARKER)
    assert marker is not None
    kinds, chosen = _asked(marker)
    recorded = _recorded(item, session)
    for call in chosen or range(1, max(len(recorded), 1) + 1):
        for kind in kinds:
            fault = Fault(kind, call)
            if call > len(recorded) or fault.fits(recorded[call - 1]):
                yield _variant(item, fault)


def _recorded(item: pytest.Function, session: Session) -> list[Request]:
    """The requests of a test's cassette; none of one that cannot be read, whose test will say so."""
    cassette = item.get_closest_marker("llm_cassette")
    names = [*cassette.args, cassette.kwargs.get("name")] if cassette is not None else []
    try:
        own = session.test_path(item.nodeid, twin=has_greater_twin(item))
        path = session.named_path(names[0]) if names and names[0] else own
        return [call.request for call in Cassette(path)]
    except (OSError, TypeError, ValueError, CassetteError):
        return []


def _variant(item: pytest.Function, fault: Fault) -> pytest.Function:
    name = f"{fault.kind}-call{fault.call}"
    head, bracket, parameters = item.name.partition("[")
    variant: pytest.Function = type(item).from_parent(
        item.parent,
        name=f"{head}[{parameters[:-1]}-{name}]" if bracket else f"{head}[{name}]",
        callobj=item.obj,
        fixtureinfo=item._fixtureinfo,  # there is no public name for it; pytest-asyncio makes its items likewise
    )
    # Not given above, because pytest 9 would make the variant's id of them.
    variant.originalname = item.originalname
    if hasattr(variant, "_id"):
        # It keeps ids in parts, and has taken the brackets for a part of the name, so that --lf would not find it.
        variant._id = type(variant._id).parse(variant.nodeid)
    if hasattr(item, "callspec"):
        variant.callspec = item.callspec
    variant.own_markers = list(item.own_markers)
    variant.keywords.update({mark.name: mark for mark in item.own_markers})
    variant.stash[VARIANT] = Variant(fault, item.nodeid)
    return variant
