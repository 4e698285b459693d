"""What a miss says of the difference between a recording and the request that is made now."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_strategy.canonical import FrozenJSON
from llm_strategy.difference import NOTHING, Difference, compare
from llm_strategy.prompt import Prompt, Rendered
from llm_strategy.signature import Signature
from llm_strategy.transcript import sections, transcript
from llm_strategy.values import BlobPart, Message, Request, TextPart, ToolCallPart

SHOP = '''
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from pydantic import BaseModel, Field


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    city: str
    street: str = "Main Street"


@dataclass
class Customer:
    """A customer of the shop."""

    key: str
    birthdate: Annotated[str, Field(description="year-month-day")]
    home: Address | None = None


class Hit(BaseModel):
    key: str
    why: str = Field(description="the reason")
    score: float = 0.5


@dataclass
class Shop:
    customers: list[Customer]

    def find(
        self, query: str, *, limit: Annotated[int, Field(description="how many")] = 3, color: Color = Color.RED
    ) -> list[Hit]:
        """Find the customers that match a query.

        The best ones come first.
        """
        raise NotImplementedError


def call():
    customers = [Customer(key=f"c{n}", birthdate="1990-05-17", home=Address(city="Bonn")) for n in range(4)]
    return Shop.find, Shop(customers), ["born in 1990"], {}
'''

Ask = Callable[..., Rendered]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The request of the shop's function, with some of its source replaced."""
    numbers = itertools.count()

    def imported(source: str) -> ModuleType:
        name = f"shop_{next(numbers)}_of_this_test"
        path = tmp_path / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    def rendered(*changes: tuple[str, str], model: str = "openai:m", settings: Any = None) -> Rendered:
        source = SHOP
        for old, new in changes:
            assert old in source
            source = source.replace(old, new)
        function, owner, args, kwargs = imported(source).call()
        signature = Signature(function, binding=None if owner is None else "instance")
        arguments = signature.bind(tuple(args), kwargs)
        merged = FrozenJSON({"temperature": 0.0} if settings is None else settings)
        return Prompt(signature).render(arguments, owner, model, merged)

    return rendered


def difference(recorded: Rendered, now: Rendered) -> Difference:
    """What is said where the recording has been read back from JSON."""
    stored = json.loads(json.dumps(recorded.request.to_json()))
    return compare(Request.from_json(stored), now.request)


def request(*messages: tuple[str, str], **fields: Any) -> Request:
    """A request made by hand, of pairs of role and text."""
    return Request(fields.pop("model", "openai:m"), tuple(Message(*message) for message in messages), **fields)


CHANGES = [
    ([("best ones come", "best come")], "the docstring of Shop.find"),
    ([("Find the customers", "Find customers")], "the docstring of Shop.find"),
    ([("\n\n        The best ones come first.", "")], "the docstring of Shop.find"),
    ([("def find", "def search"), ("Shop.find", "Shop.search")], "the function Shop.find is now Shop.search"),
    ([("def find", "async def find")], "Shop.find is now asynchronous"),
    ([("query: str", "question: str")], "the parameter 'query' of Shop.find is now 'question'"),
    ([("self, query", "shop, query")], "the parameter 'self' of Shop.find is now 'shop'"),
    ([(", color: Color = Color.RED", "")], "the parameter 'color' of Shop.find was removed"),
    ([("query: str,", "query: str, exact: bool = True,")], "the parameter 'exact' of Shop.find was added"),
    ([("query: str", "query: str | None")], "the type of the parameter 'query' of Shop.find: str -> str | None"),
    (
        [("*, limit: Annotated[int, ", "*, limit: Annotated[float, ")],
        "the type of the parameter 'limit' of Shop.find: int -> float",
    ),
    ([("query: str, *,", "query: str, page: int = 1, *,")], "the parameter 'page' of Shop.find was added"),
    ([("how many", "how many at most")], "the description of the parameter 'limit' of Shop.find"),
    (
        [('Annotated[int, Field(description="how many")]', "int")],
        "the description of the parameter 'limit' of Shop.find",
    ),
    ([("list[Hit]:", "list[str]:")], "the return type of Shop.find: list[Hit] -> list[str]"),
    ([("list[Hit]:", "Hit:")], "the return type of Shop.find: list[Hit] -> Hit"),
    ([("Hit", "Match")], "the return type of Shop.find: list[Hit] -> list[Match]"),
    ([("year-month-day", "an ISO date")], "the description of the field Customer.birthdate"),
    ([("A customer of the", "Who bought at the")], "the description of the type Customer"),
    ([("city: str", "city: str | None")], "the type of the field Address.city: str -> str | None"),
    ([("= None\n", "= None\n    vip: bool = False\n")], "the field Customer.vip was added"),
    ([('\n    street: str = "Main Street"', "")], "the field Address.street was removed"),
    ([("birthdate", "born_on")], "the field Customer.birthdate is now Customer.born_on"),
    ([("Customer", "Client")], "the type Customer is now Client"),
    ([("Address", "Place")], "the type Address is now Place"),
    ([("Shop", "Store")], "the type Shop is now Store"),
    ([('BLUE = "blue"', 'BLUE = "azure"')], "the values of the type Color"),
    ([("the reason", "the reason for it")], "the description of the field Hit.why (in the result)"),
    ([("score: float", "score: int")], "the type of the field Hit.score (in the result)"),
    ([("= 0.5", "= 0.0")], "the default of the field Hit.score (in the result)"),
    ([("score", "rank")], "the field Hit.score is now Hit.rank (in the result)"),
    ([("    score: float = 0.5\n", "")], "the field Hit.score was removed (in the result)"),
    ([("Hit(BaseModel):", 'Hit(BaseModel):\n    "One."')], "the description of the type Hit (in the result)"),
    (
        [("-> list[Hit]", "-> Annotated[list[Hit], Field(description='hits')]")],
        "the description of the result of Shop.find",
    ),
    ([("-> list[Hit]", "-> Annotated[list[Hit], Field(max_length=3)]")], "the schema of the result of Shop.find"),
    ([("born in 1990", "born in 1991")], "the argument 'query' of Shop.find"),
    ([("] = 3", "] = 5")], "the argument 'limit' of Shop.find"),
    ([("Color = Color.RED", "Color = Color.BLUE")], "the argument 'color' of Shop.find"),
    ([('city="Bonn"', 'city="Bonn" if n != 2 else "Berlin"')], "the fields of self (Shop.customers[2].home.city)"),
    ([("range(4)", "range(5)")], "the fields of self (Shop.customers)"),
]


@pytest.mark.parametrize(("changes", "cause"), CHANGES)
def test_one_change_in_the_code_has_one_cause(ask: Ask, changes: list[tuple[str, str]], cause: str) -> None:
    """Each change is named for what it is, and what follows from it elsewhere in the prompt is not."""
    said = difference(ask(), ask(*changes))
    assert said.causes == (cause,)
    assert said.diff.startswith("--- recorded\n+++ now\n@@ ")


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"model": "openai:b"}, "the model: openai:m -> openai:b"),
        ({"settings": {"temperature": 0.5}}, "the setting temperature: 0.0 -> 0.5"),
        ({"settings": {"temperature": 0}}, "the setting temperature: 0.0 -> 0"),
        ({"settings": {"temperature": 0.0, "seed": 3}}, "the setting seed was added"),
        ({"settings": {}}, "the setting temperature was removed"),
    ],
)
def test_model_and_settings_are_named_with_both_values(ask: Ask, fields: Any, cause: str) -> None:
    """A change of how to ask is told from a change of what is asked."""
    said = difference(ask(), ask(**fields))
    assert said.causes == (cause,)


def test_the_order_of_fields_explains_the_order_in_values(ask: Ask) -> None:
    """Fields that change places change the values of their type, too; only the type is named."""
    first = '    birthdate: Annotated[str, Field(description="year-month-day")]\n'
    said = difference(ask(), ask((f"    key: str\n{first}", f"{first}    key: str\n")))
    assert said.causes == ("the order of the fields of Customer",)


def test_several_changes_are_all_named(ask: Ask) -> None:
    """What one change does not explain is a cause of its own."""
    changes = [("query: str", "question: str"), ("born in 1990", "born in 1991"), ("best ones come", "best come")]
    said = difference(ask(), ask(*changes, model="openai:b"))
    assert said.causes == (
        "the model: openai:m -> openai:b",
        "the parameter 'query' of Shop.find is now 'question'",
        "the docstring of Shop.find",
        "the argument 'question' of Shop.find",
    )


def test_a_changed_field_does_not_hide_a_changed_value(ask: Ask) -> None:
    """A new field explains its own appearance in the arguments and nothing else."""
    said = difference(ask(), ask(("= None\n", "= None\n    vip: bool = False\n"), ('"Bonn"', '"Berlin"')))
    assert said.causes == ("the field Customer.vip was added", "the fields of self (Shop.customers)")


def test_another_function_is_called_that(ask: Ask) -> None:
    """Where name, parameters and docstring differ, a list of differences would tell nothing."""
    changes = [("def find", "def count"), ("Shop.find", "Shop.count"), ("query", "what"), ("Find the", "Count the")]
    assert difference(ask(), ask(*changes)).causes == ("another function: the nearest recording is of Shop.find",)


def test_a_docstring_may_look_like_the_rest_of_a_prompt(ask: Ask) -> None:
    """Sections of a docstring that are named as those of a prompt stay parts of the docstring."""
    docstring = "The best ones come first."
    sections = (
        "Types:\n\n        Hit:\n          what was found\n\n        Arguments:\n\n        query: what to look for"
    )
    recorded = ask((docstring, sections))
    assert difference(recorded, ask((docstring, sections.replace("look", "search")))).causes == (
        "the docstring of Shop.find",
    )
    assert difference(recorded, ask((docstring, sections), ("born in 1990", "vip"))).causes == (
        "the argument 'query' of Shop.find",
    )


@pytest.mark.parametrize("changes", [[("query: str", "question: str")], [("born in 1990", "vip")]])
def test_functions_without_an_instance_are_read_as_well(ask: Ask, changes: list[tuple[str, str]]) -> None:
    """A plain function's prompt lacks some sections; its causes are as exact."""
    plain = [
        ("    def find(\n        self, ", "    @staticmethod\n    def find(\n        "),
        ("Shop(customers)", "None"),
    ]
    said = difference(ask(*plain), ask(*plain, *changes))
    assert said.causes in {
        ("the parameter 'query' of Shop.find is now 'question'",),
        ("the argument 'query' of Shop.find",),
    }


@pytest.mark.parametrize(
    ("recorded", "now", "causes"),
    [
        (
            request(("system", "be brief"), ("user", "a")),
            request(("system", "be long"), ("user", "a")),
            ["the instructions (system message): 'brief' -> 'long'"],
        ),
        (
            request(("system", "be brief"), ("user", "a")),
            request(("system", "be long"), ("user", "b")),
            ["the instructions (system message): 'brief' -> 'long'", "a message (user): 'a' -> 'b'"],
        ),
        (
            request(("user", "a"), ("assistant", "x"), ("user", "b")),
            request(("user", "a"), ("assistant", "y"), ("user", "c")),
            ["a message (assistant): 'x' -> 'y'"],
        ),
        (
            request(("user", "a")),
            request(("user", "a"), ("assistant", "x"), ("user", "b")),
            ["the conversation is longer than the recorded one"],
        ),
        (
            request(("user", "a"), ("assistant", "x"), ("user", "b")),
            request(("user", "a")),
            ["the recorded conversation is longer"],
        ),
        (request(("user", "a")), request(("system", "s"), ("user", "a")), ["a message was added (system)"]),
        (request(("system", "s"), ("user", "a")), request(("user", "a")), ["a message was removed (system)"]),
        (request(("user", "a")), request(("system", "a")), ["the role of a message: user -> system"]),
        (
            Request(None, (Message("assistant", [ToolCallPart("1", "search", {"q": 1})]),)),
            Request(None, (Message("assistant", [ToolCallPart("2", "search", {"q": 1.0})]),)),
            ["a call of the tool search"],
        ),
        (
            Request(None, (Message("user", [TextPart("look"), BlobPart("image", "image/png", "QUJD")]),)),
            Request(None, (Message("user", [TextPart("look"), BlobPart("image", "image/png", "QUJE")]),)),
            ["the image in a message (user)"],
        ),
        (request(("user", "a")), request(("user", "a"), tools=({"name": "search"},)), ["the tool search was added"]),
        (request(("user", "a"), tools=({"name": "search"},)), request(("user", "a")), ["the tool search was removed"]),
        (
            request(("user", "a"), tools=({"type": "function", "function": {"name": "f", "description": "x"}},)),
            request(("user", "a"), tools=({"type": "function", "function": {"name": "f", "description": "y"}},)),
            ["the tool f (.function.description)"],
        ),
        (
            request(("user", "a"), tools=({"name": "f"}, {"name": "g"})),
            request(("user", "a"), tools=({"name": "g"}, {"name": "f"})),
            ["the order of the tools"],
        ),
        (request(("user", "a")), request(("user", "a"), output_schema={}), ["the schema of the result was added"]),
        (
            request(("user", "a"), output_schema={"$defs": {"C": True}, "properties": 3}),
            request(("user", "a"), output_schema={"$defs": {"C": False}, "properties": {"return_value": None}}),
            ["the schema of the result (C)", "the schema of the result"],
        ),
    ],
)
def test_requests_of_other_makers(recorded: Request, now: Request, causes: list[str]) -> None:
    """Conversations, tools and schemas are compared part by part; in a conversation only up to its first divergence."""
    assert list(compare(recorded, now).causes) == causes


def test_a_schema_that_ends_a_question_is_named_by_its_field() -> None:
    """A question that is followed by a schema of its answer differs in the schema only."""

    def question(kind: str) -> Request:
        schema = {"$defs": {"Hit": {"properties": {"age": {"type": kind}}}}, "$ref": "#/$defs/Hit"}
        return request(("user", f"Who?\n\nReply with JSON:\n\n{json.dumps(schema)}"), output_schema=schema)

    assert compare(question("integer"), question("string")).causes == ("the type of the field Hit.age (in the result)",)


def test_what_follows_a_divergence_is_counted() -> None:
    """The diff shows the first different message, and how many stand after it."""
    later = [("assistant", "x"), ("user", "c"), ("assistant", "y"), ("user", "d")]
    said = compare(request(("user", "a"), *later), request(("user", "b"), *later[:2]))
    assert said.diff.splitlines()[-3:] == ["-a", "+b", "(2 more messages of the conversation not compared)"]


def test_requests_that_show_no_difference_say_so() -> None:
    """Where the rules that make keys have changed, nothing else has."""
    assert compare(request(("user", "a")), request(("user", "a"))) == Difference((NOTHING,), "")


def test_the_diff_reads_as_git_writes_it(ask: Ask) -> None:
    """Three lines of context, the sides named, the section behind the line numbers."""
    assert difference(ask(), ask(("best ones come", "best come"))).diff.splitlines() == [
        "--- recorded",
        "+++ now",
        "@@ -11,7 +11,7 @@ user",
        " ",
        " Find the customers that match a query.",
        " ",
        "-The best ones come first.",
        "+The best come first.",
        " ",
        " Parameters:",
        " ",
    ]


def test_distant_changes_stand_in_hunks_of_their_own() -> None:
    """Lines that are equal are left out beyond three of context."""
    lines = [str(number) for number in range(30)]
    changed = ["x" if line in ("3", "8", "25") else line for line in lines]
    shown = compare(request(("user", "\n".join(lines))), request(("user", "\n".join(changed)))).diff.splitlines()
    assert [line for line in shown if line.startswith("@@")] == ["@@ -5,12 +5,12 @@ user", "@@ -27,7 +27,7 @@ user"]
    assert len(shown) == 2 + (1 + 12 + 2) + (1 + 7 + 1)


LONG = "All customers that live in the same town as the one who wrote, with name and address. " * 20


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (LONG + "born in 1990" + LONG, LONG + "born in 1991" + LONG, "? '1990All' -> '1991All'"),
        (LONG + LONG, LONG + "not " + LONG, "? added 'not'"),
        ("one \ntwo", "one\ntwo", "? 'one ' -> 'one'"),
        ("\tone", "    one", "? '\\t' -> '    '"),
        ("a\u00a0b", "a b", "? 'a\\xa0' -> 'a '"),
        ("caf\u00e9", "cafe\u0301", "? 'caf\\xe9' -> 'cafe\\u0301'"),
        ("on\u200be", "one", "? 'on\\u200be' -> 'one'"),
        ("one\r\ntwo", "one\ntwo", "? 'one\\r' -> 'one'"),
        ("QUJD" * 900 + "QUJD" * 900, "QUJD" * 900 + "QUJE" + "QUJD" * 899, "QUJEQUJD"),
    ],
)
def test_a_change_that_is_hard_to_see_is_told(old: str, new: str, hint: str) -> None:
    """Long lines are shortened around what changed, and a hint quotes the words, hidden characters as escapes."""
    shown = compare(request(("user", old)), request(("user", new))).diff.splitlines()
    assert any(hint in line for line in shown if line.startswith("?"))
    assert max(map(len, shown)) < 250


def test_a_line_that_is_short_needs_no_hint() -> None:
    """What can be seen is not said twice."""
    assert "?" not in compare(request(("user", "born in 1990")), request(("user", "born in 1991"))).diff


def test_long_diffs_are_cut() -> None:
    """A diff has sixty lines at most and says how many it lacks."""
    old, new = ("\n".join(f"{word} {number}" for number in range(3000)) for word in ("old", "new"))
    shown = compare(request(("user", old)), request(("user", new))).diff.splitlines()
    assert len(shown) == 61
    assert shown[-1].startswith("... ")
    assert shown[-1].endswith(" more lines")


def test_scattered_changes_in_a_long_text_stay_small() -> None:
    """Texts of ten thousand lines are aligned, not shown as one replacement."""
    lines = [f"line {number}" for number in range(10_000)]
    changed = [f"{line}!" if number % 2000 == 5 else line for number, line in enumerate(lines)]
    shown = compare(request(("user", "\n".join(lines))), request(("user", "\n".join(changed)))).diff.splitlines()
    assert [line for line in shown if line.startswith("+line")] == [f"+line {n}!" for n in range(5, 10_000, 2000)]
    assert len(shown) == 2 + 5 * (1 + 7 + 1)


def test_no_control_character_reaches_the_terminal() -> None:
    """Escape sequences, direction marks and lone surrogates are shown as escapes in diff and causes."""
    now = request(("user", "a\x1b[31m\u202eb\ud800"), settings={"a\x1b[0m": 1})
    said = compare(request(("user", "a")), now)
    assert "+a\\x1b[31m\\u202eb\\ud800" in said.diff
    assert said.causes == (
        "the setting a\\x1b[0m was added",
        "a message (user): added '\\x1b[31m\\u202eb\\ud800'",
    )


def test_secrets_are_not_shown_even_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is replaced before lines are shortened, where a part of it would no longer be recognised."""
    monkeypatch.setenv("SHOP_API_KEY", "correct-horse-battery-staple")
    keys = ["sk-proj-" + letter * 60 for letter in "ab"]
    texts = [f"{LONG}{key} correct-horse-battery-staple {LONG}" for key in keys]
    settings = {"note": "correct-horse-battery-staple"}
    said = compare(request(("user", texts[0])), request(("user", texts[1] + "!"), settings=settings))
    shown = " ".join([said.diff, *said.causes])
    assert "sk-proj" not in shown
    assert "aaaa" not in shown
    assert "horse" not in shown
    assert "<SHOP_API_KEY>" in shown


def test_the_same_prompt_in_another_home_folder_shows_no_difference() -> None:
    """Paths are compared in the form that is stored."""
    said = compare(request(("user", "read <home>/notes\nnow")), request(("user", "read /home/jo/notes\nlater")))
    assert "notes" in said.diff
    assert "jo" not in said.diff
    assert [line for line in said.diff.splitlines() if line[0] in "+-"] == ["--- recorded", "+++ now", "-now", "+later"]


def test_a_transcript_shows_everything_that_makes_a_request(ask: Ask) -> None:
    """Model, settings, tools and schema come first; a schema that the text holds is not shown again."""
    schema = {"type": "object"}
    whole = request(("user", "Who?"), output_schema=schema, tools=({"name": "find"},), settings={"seed": 1, "a": "b"})
    assert transcript(whole) == (
        'model: openai:m\na: "b"\nseed: 1\n\n'
        'tool find:\n\n{\n  "name": "find"\n}\n\nschema:\n\n{\n  "type": "object"\n}\n\nuser:\n\nWho?'
    )
    rendered = ask().request
    assert [section.title for section in sections(rendered)] == ["", "system", "user"]
    unlike = replace(rendered, output_schema=FrozenJSON(schema))
    assert [section.title for section in sections(unlike)] == ["", "schema", "system", "user"]


def test_a_message_that_has_lost_all_its_text() -> None:
    """It is named like any other; there are no pieces of a prompt to name."""
    old, new = (Request("openai:m", (Message("user", text), Message("assistant", "b"))) for text in ("a", ""))
    assert compare(old, new).causes == ("a message (user): removed 'a'",)
