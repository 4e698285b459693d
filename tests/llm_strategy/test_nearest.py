"""Which recording is taken for the origin of a request that none answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from llm_strategy.canonical import FrozenJSON
from llm_strategy.cassette.emitter import emit
from llm_strategy.nearest import Candidate, find_nearest
from llm_strategy.prompt import Prompt
from llm_strategy.signature import Signature
from llm_strategy.values import Message, Request


@dataclass
class Shop:
    customers: list[str]

    def find(self, query: str, page: int = 1) -> list[str]:
        """Find the customers that match a query.

        The best ones come first.
        """
        raise NotImplementedError

    def rename(self, key: str) -> str:
        """A new name for a customer, not used by another."""
        raise NotImplementedError


PEOPLE = ["Ada Lovelace, Marylebone", "Grace Hopper, New York", "Emmy Noether, Erlangen", "Mary Anning, Lyme Regis"]


def ask(*args: Any, of: Any = Shop.find, people: list[str] = PEOPLE, changes: dict[str, str] | None = None) -> Request:
    """The request of a call, with parts of its prompt replaced."""
    signature = Signature(of, binding="instance")
    settings = FrozenJSON({"temperature": 0.0})
    request = Prompt(signature).render(signature.bind(args, {}), Shop(people), "openai:m", settings).request
    text = request.messages[-1].content
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    return changed(request, request.messages[0], Message("user", text))


def changed(request: Request, *messages: Message, **fields: Any) -> Request:
    parts = {"model": request.model, "settings": request.settings, **fields}
    return Request(parts["model"], messages or request.messages, request.output_schema, (), parts["settings"])


def retried(request: Request) -> Request:
    said = Message("assistant", '{"return_value": 1}'), Message("user", "That reply cannot be used:\n- no list")
    return changed(request, *request.messages, *said)


def recorded(request: Request, function: str | None = "Shop.find", *, used: bool = False) -> Candidate:
    """A document as cassettes hold it."""
    document = {
        "key": request.key,
        **({"function": function} if function else {}),
        "request": request.stored,
        "response": {"content": '{"return_value": []}', "finish_reason": "stop", "model": "openai:m"},
        "request_digest": "0" * 64,
        "digest": request.key,
    }
    return Candidate(function, emit(document).encode(), used)


DOCSTRING = {"The best ones come first.": "The nearest ones come first.\nTen at most."}
OTHER = recorded(ask("c1", of=Shop.rename), "Shop.rename")


def test_a_changed_docstring_leaves_the_arguments_to_tell() -> None:
    """Among calls of one function the one with the same arguments is the nearest."""
    candidates = [OTHER, *(recorded(ask(query)) for query in ("born in 1990", "living in Bonn", "older than 30"))]
    for at, query in enumerate(("born in 1990", "living in Bonn", "older than 30"), 1):
        assert find_nearest(ask(query, changes=DOCSTRING), "Shop.find", candidates) == at


def test_a_changed_argument_leaves_its_words_to_tell() -> None:
    """Where no line tells the recordings apart, the words of the changed lines do."""
    queries = ["living in Bonn", "born in 1990", "older than thirty"]
    candidates = [recorded(ask(query)) for query in queries]
    assert find_nearest(ask("somewhat older than forty"), "Shop.find", candidates) == 2
    assert find_nearest(ask("1990, or so"), "Shop.find", candidates) == 1


def test_among_equals_the_first_unused_recording_is_nearest() -> None:
    """Recordings stand in the order of the calls, so the next one that was not asked for is the likeliest."""
    candidates = [recorded(ask(query), used=query < "c") for query in "abcd"]
    assert find_nearest(ask("x"), "Shop.find", candidates) == 2
    assert find_nearest(ask("x"), "Shop.find", [candidate._replace(used=True) for candidate in candidates]) == 0


def test_a_used_recording_wins_where_it_is_clearly_nearer() -> None:
    """A further attempt at a call is compared with the first one, though that has been replayed."""
    candidates = [recorded(ask("a"), used=True), recorded(ask("b"))]
    assert find_nearest(retried(ask("a")), "Shop.find", candidates) == 0


def test_attempts_at_one_call_are_told_apart() -> None:
    """A conversation is compared with the recording that is as long."""
    first, second = ask("a"), retried(ask("a"))
    candidates = [recorded(first), recorded(second), recorded(ask("b"))]
    assert find_nearest(ask("a", changes=DOCSTRING), "Shop.find", candidates) == 0
    assert find_nearest(retried(ask("a", changes=DOCSTRING)), "Shop.find", candidates) == 1


def test_the_same_function_comes_before_a_similar_one() -> None:
    """A recording of the function itself is its origin, however much of it has changed."""
    twin = recorded(ask("a"), "Shop.search")
    people = ["Someone Else, Nowhere"]
    assert find_nearest(ask("a"), "Shop.find", [twin, recorded(ask("z", people=people))]) == 1


def test_a_renamed_function_is_found() -> None:
    """Where a function has no recording, one that nobody has asked for and that says the same is its origin."""
    candidates = [OTHER, *(recorded(ask(query)) for query in ("born in 1990", "living in Bonn"))]
    now = ask("living in Bonn", changes={"Shop.find": "Shop.search"})
    assert find_nearest(now, "Shop.search", candidates) == 2
    assert find_nearest(now, "Shop.search", [candidate._replace(used=True) for candidate in candidates]) is None


def test_what_is_unlike_all_recordings_has_no_origin() -> None:
    """A call that shares less than half of its lines with any recording is a new one."""
    assert find_nearest(ask("a"), "Shop.find", []) is None
    unlike = Request("openai:m", (Message("user", "one\ntwo\nthree"),))
    assert find_nearest(unlike, "count", [OTHER, recorded(ask("a"))]) is None


@pytest.mark.parametrize("function", [None, "ChatChain.query"])
def test_a_changed_model_or_setting_leaves_the_rest_to_tell(function: str | None) -> None:
    """Of recordings with the same messages the one with the same settings, or else the same model, is nearest."""
    request = ask("a")
    settings = [{"temperature": 0.5, "seed": 7}, {"temperature": 0.25, "seed": 8}]
    models = ["openai:m", "openai:n"]
    kinds = [(model, setting) for model in models for setting in settings]
    candidates = [recorded(changed(request, model=model, settings=setting), function) for model, setting in kinds]
    for at, (model, setting) in enumerate(kinds):
        other = {**setting, "top_p": 0.9}
        assert find_nearest(changed(request, model=model, settings=other), function, candidates) == at


FORMS: list[tuple[str, Callable[[bytes], bytes | memoryview]]] = [
    ("as views of a larger file", memoryview),
    ("with the line ends of Windows", lambda raw: raw.replace(b"\n", b"\r\n")),
    ("indented by another tool", lambda raw: raw.replace(b"\n", b"\n    ")),
]


@pytest.mark.parametrize("form", [form for _, form in FORMS], ids=[name for name, _ in FORMS])
def test_documents_may_have_been_reformatted(form: Callable[[bytes], bytes | memoryview]) -> None:
    """Indentation and line ends are found out from the documents."""
    candidates = [recorded(ask(query)) for query in ("born in 1990", "living in Bonn", "older than 30")]
    candidates = [candidate._replace(raw=form(bytes(candidate.raw))) for candidate in candidates]
    assert find_nearest(ask("living in Bonn", changes=DOCSTRING), "Shop.find", candidates) == 1


def test_lone_surrogates_and_odd_characters_do_no_harm() -> None:
    """A prompt that YAML cannot carry as a block is stored in another form; it is searched all the same."""
    odd = {"The best ones": "\ud800 \x07 \u2028 best"}
    candidates = [recorded(ask("a")), recorded(ask("b", changes=odd))]
    assert find_nearest(ask("b", changes=odd), "Shop.find", candidates) in (0, 1)


@pytest.fixture(scope="module")
def thousands() -> list[Candidate]:
    """Documents that differ in one argument and, by the hundred, in the data."""
    people = [*PEOPLE, *(f"Somebody {number}, a place by the sea" for number in range(40)), "Ann 0000"]
    template = bytes(recorded(ask("query 123456", people=people)).raw)
    names = ((b"query %06d" % (500_000 + number), b"Ann %04d" % (number % 30)) for number in range(3000))
    documents = (template.replace(b"query 123456", query).replace(b"Ann 0000", ann) for query, ann in names)
    return [Candidate("Shop.find", document, False) for document in documents]


@pytest.mark.parametrize(
    ("query", "ann", "changes", "expected"),
    [
        ("query 501234", "Ann 0004", DOCSTRING, 1234),
        ("query 501234", "Ann 9999", DOCSTRING, 1234),
        ("unheard of", "Ann 0007", {}, 7),
        ("501234 it is", "Ann 9999", {}, 1234),
        ("unheard of", "Ann 9999", DOCSTRING, 0),
        ("query 501234", "Ann 0004", {"Shop.find": "Shop.search"}, 1234),
    ],
)
def test_one_of_thousands_is_found(
    thousands: list[Candidate], query: str, ann: str, changes: dict[str, str], expected: int
) -> None:
    """A rare line, then a rare word, finds one recording among many; with neither it is the first.

    So it does where they are pieces of files, of which other pieces do not count.
    """
    people = [*PEOPLE, *(f"Somebody {number}, a place by the sea" for number in range(40)), ann]
    function = changes.get("Shop.find", "Shop.find")
    request = ask(query, people=people, changes=changes)
    assert find_nearest(request, function, thousands) == expected
    assert find_nearest(request, function, pieces(thousands, request)) == expected


def pieces(candidates: list[Candidate], request: Request) -> list[Candidate]:
    """The candidates as they stand in two files, behind others that are more like the request."""
    found: list[Candidate] = []
    for half in (candidates[:1000], candidates[1000:]):
        lead = bytes(recorded(request, "other").raw)
        whole = lead + b"".join(candidate.raw for candidate in half) + lead
        start = len(lead)
        for candidate in half:
            end = start + len(candidate.raw)
            found.append(candidate._replace(raw=memoryview(whole)[start:end], within=(whole, start)))
            start = end
    return found
