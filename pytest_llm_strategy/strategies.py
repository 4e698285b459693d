"""hypothesis strategies for what models return: values of a type, and the replies that carry them.

Each takes a type, or a function that a model implements, whose return type is meant:

    @given(replies(translate))
    def test_translate(pair): ...

    def test_round_trip():
        assert_round_trip(CustomerDatabase.find_customer_key)

Importing this module needs hypothesis.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

try:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Unsatisfiable
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'pytest_llm_strategy.strategies needs hypothesis: pip install "llm-strategy[test]"', name=error.name
    ) from None

from pytest_llm_strategy.noise import BLANKS, NOISE, Noise
from pytest_llm_strategy.subject import Lost, Subject

# Public


def values(x: Any) -> st.SearchStrategy[Any]:
    """Values that the type, or the function's return type, allows.

    Raises TypeError for a type that hypothesis has no strategy for, and says how to register one;
    PromptError for one that no reply can be turned into.
    """
    return Subject(x).values()


def replies(x: Any, *, noise: bool = True) -> st.SearchStrategy[tuple[str, Any]]:
    """Pairs of a reply's text and the value that it stands for.

    Some replies have text around the JSON object, or fences, which is accepted; `noise=False` leaves
    that out, for functions with `strict_replies=True`. Raises as `values` does.
    """
    subject = Subject(x)

    def written(value: Any, layout: Mapping[str, Any], sent: Noise) -> tuple[str, Any]:
        return sent(_laid_out(subject.reply(value), layout)), value

    return st.builds(written, subject.values(), st.sampled_from(_LAYOUTS), st.sampled_from(NOISE if noise else BLANKS))


def malformed_replies(x: Any) -> st.SearchStrategy[str]:
    """Texts that a model may send instead of a reply: cut off, garbled, of another type, no JSON at all.

    Parsing one gives a value or ReplyError, never another exception. Raises as `values` does.
    """
    texts = replies(x).map(lambda pair: pair[0])
    others: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
    return st.one_of(
        st.builds(_cut, texts, st.floats(0, 1)),
        st.builds(_garbled, texts, st.floats(0, 1), st.text(max_size=3), st.integers(0, 3)),
        others.map(lambda value: json.dumps({"return_value": value})),
        others.map(json.dumps),
        st.text(st.characters(), max_size=50),
        st.text(st.sampled_from('{}[]",:\\ue0-9tfn \n`'), max_size=50),
        st.builds(operator.mul, st.sampled_from(["[", '{"return_value":']), st.integers(0, 1500)),
        st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    )


def assert_round_trip(x: Any, max_examples: int = 100) -> None:
    """Assert that every value comes back from its reply equal and of the same class.

    Tries the same `max_examples` values at every run. The AssertionError shows the simplest value
    that is lost, its reply, and what came back. Raises TypeError and PromptError as `values` does.
    """
    __tracebackhide__ = True
    subject = Subject(x)
    _try(subject, subject.values(), subject.check, max_examples)


def assert_refused(x: Any, max_examples: int = 100) -> None:
    """Assert that a malformed reply gives a value or ReplyError, never another exception. As `assert_round_trip`."""
    __tracebackhide__ = True
    subject = Subject(x)
    _try(subject, malformed_replies(x), subject.check_refusal, max_examples)


def _try(subject: Subject, examples: st.SearchStrategy[Any], check: Callable[[Any], None], max_examples: int) -> None:
    __tracebackhide__ = True

    @settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples)
    def every_example_passes(example: Any) -> None:
        check(example)

    try:
        every_example_passes()
    except Lost as lost:
        raise AssertionError(str(lost)) from None
    except Unsatisfiable:
        subject.refuse(_HARDLY_ANY)
    # Its own check for this looks at the first few examples, and gives up on types that it could go on with.
    if subject.refused > _MOST_REFUSED * len(subject.accepted):
        subject.refuse(_HARDLY_ANY)


_HARDLY_ANY = "hypothesis finds hardly any value that pydantic accepts"
_MOST_REFUSED = 20
"""Values that pydantic may refuse for each that it accepts."""


# Replies

_LAYOUTS = ({"ensure_ascii": False}, {"ensure_ascii": True}, {"indent": 2}, {"separators": (",", ":")})


def _laid_out(text: str, layout: Mapping[str, Any]) -> str:
    """The JSON in another layout, unless that would round one of its numbers."""
    changed = json.dumps(json.loads(text), **layout)
    exact = [json.loads(each, parse_float=Decimal) for each in (text, changed)]
    return changed if exact[0] == exact[1] else text


def _cut(text: str, where: float) -> str:
    return text[: int(where * len(text))]


def _garbled(text: str, where: float, inserted: str, dropped: int) -> str:
    at = int(where * len(text))
    return text[:at] + inserted + text[at + dropped :]
