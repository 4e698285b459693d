"""The key of a request: the same on every machine, and another as soon as anything is asked differently."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from llm_strategy import Message, Request, llm_strategy
from llm_strategy.canonical import FrozenJSON, canonical, digest
from llm_strategy.values import TextPart, ToolCallPart, ToolCallResponsePart
from tests.llm_strategy.programs import other_interpreters, output

ONE = Request("openai:gpt-5-mini", (Message("user", "One?"),))

PROGRAM = '''
import collections, datetime, decimal, enum, json, os, pathlib, sys, tempfile, typing, uuid
from dataclasses import dataclass, field
from pydantic import BaseModel, Field
from typing_extensions import TypedDict
from llm_strategy import Message, Request, llm_strategy

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Size(enum.IntEnum):
    S = 1

class Right(enum.Flag):
    READ = 1
    WRITE = 2

class Mood(enum.StrEnum):
    GOOD = "good"

class Point(typing.NamedTuple):
    x: int
    y: str = "q"

class Options(TypedDict, total=False):
    """How to search.
    \t
    In a second paragraph."""
    limit: int

@dataclass
class Base:
    """The base\tclass.
    \x20
    More about it."""
    name: str
    tags: set[str] = field(default_factory=set)

@dataclass(frozen=True)
class Part:
    when: datetime.date
    color: Color
    point: Point
    price: decimal.Decimal

class Item(BaseModel):
    """An item.

    Sold."""
    a: int = Field(1, description="the a")
    bases: list[Base] = []
    part: typing.Optional[Part] = None
    words: set[str] = {"some", "words", "in", "a", "set"}

@llm_strategy("openai:gpt-5-mini", temperature=0.1, seed=3)
def search(
    base: Base, part: Part, options: Options, item: Item, limit: int | None, kind: typing.Literal["a", 1], right: Right,
    size: Size, mood: Mood, queue: collections.deque, sets: typing.Mapping[str, frozenset[str]], path: pathlib.Path,
    *numbers: float, key: uuid.UUID, **rest: bool,
) -> dict[str, list[Item | Base]]:
    """Search\tit, in %s.

        indented\tmore
    \ttab start
    """
    raise NotImplementedError

request = search.request(
    Base("n", {"a", "bb", "ccc"}), Part(datetime.date(2020, 1, 2), Color.BLUE, Point(1), decimal.Decimal("1.10")),
    {"limit": 1}, Item(), None, "a", Right.READ | Right.WRITE, Size.S, Mood.GOOD,
    collections.deque([{"x", "yy", "zzz"}, 1]), {"k": frozenset("abcdefgh")}, pathlib.Path.home() / "notes",
    3, 1e300, 0.1, key=uuid.UUID(int=1), flag=True,
)
texts = [
    f"my home is {pathlib.Path.home()}, my file is {pathlib.Path.home()}/x.txt", str(pathlib.Path.home()),
    f"{tempfile.gettempdir()}", f"see {tempfile.gettempdir()}/a/b, please",
    "a constant /tmp, and /tmp/x, and (/root), and /home/alice; or /home/alice.",
    tempfile.mkdtemp() + "/x",
]
plain = Request("openai:x", tuple(Message("user", text) for text in texts))
print(request.key, plain.key)
'''


SOMEONE = {"HOME": "/home/someone"}


@pytest.fixture(scope="module")
def key() -> str:
    return output(PROGRAM, **SOMEONE)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4242"},
        {"TZ": "Asia/Tokyo"},
        {"TZ": "America/New_York"},
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "de_DE.UTF-8"},
        {"PYTHONUTF8": "0", "LC_ALL": "POSIX"},
        {"HOME": "/home/alice", "USER": "alice", "LOGNAME": "alice"},
        {"HOME": "/Users/bob", "USER": "bob", "LOGNAME": "bob"},
        {"HOME": "/srv/people/carol", "USER": "carol", "LOGNAME": "carol"},
        {"OPENAI_API_KEY": "sk-0123456789012345678901234567890123456789", "OPENAI_BASE_URL": "http://localhost:1/v1"},
        {"LLM_STRATEGY_RECORD": "new", "LLM_STRATEGY_MODEL": "openai:another"},
        {"PYTHONOPTIMIZE": "1"},
    ],
    ids=lambda environment: " ".join(f"{name}={value}" for name, value in environment.items()),
)
def test_a_key_does_not_depend_on_the_machine(key: str, environment: dict[str, str]) -> None:
    """Hash seed, time zone, locale, user, home folder and credentials differ: the recording still replays."""
    assert output(PROGRAM, **{**SOMEONE, **environment}) == key


@pytest.mark.parametrize("name", ["HOME", "TMPDIR"])
def test_a_key_does_not_depend_on_where_folders_lie(key: str, name: str, tmp_path: Path) -> None:
    """Home and temporary files may lie anywhere, the one within the other too."""
    assert output(PROGRAM, **{**SOMEONE, name: str(tmp_path)}) == key


def test_home_and_temporary_folder_may_lie_in_each_other(key: str, tmp_path: Path) -> None:
    """As under a sandbox, whose home is temporary, or with temporary files below home."""
    (tmp_path / "temporary").mkdir()

    assert output(PROGRAM, HOME=str(tmp_path), TMPDIR=str(tmp_path / "temporary")) == key
    assert output(PROGRAM, HOME=str(tmp_path / "temporary"), TMPDIR=str(tmp_path)) == key


def test_a_key_does_not_depend_on_the_working_directory(key: str, tmp_path: Path) -> None:
    """The same from every folder."""
    assert output(PROGRAM, cwd=tmp_path, **SOMEONE) == key


def test_a_key_is_the_same_on_every_python(key: str) -> None:
    """3.11, 3.12 and 3.13 write the same prompts: docstrings, types, numbers, schemas."""
    keys = {version: output(PROGRAM, python=path, **SOMEONE) for version, path in other_interpreters()}

    assert keys == dict.fromkeys(keys, key)


def test_a_key_never_changes_by_accident() -> None:
    """A new version of this library that gave other keys would make every cassette worthless."""

    @llm_strategy("openai:gpt-5-mini", temperature=0)
    def translate(text: str, language: str) -> str:
        """Translate the text."""
        raise NotImplementedError

    assert ONE.key == "a348fa650d96d84a4c88170548dfd63efc691857eba349ec07cc10fc95fa3fdf"
    assert (
        translate.request("Hello", "German").key == "6e3ca3323b28b79cea1fd766825e9d0e164eee2f1f979863c0d770afa8589e22"
    )


MODULE = """
from dataclasses import dataclass
from llm_strategy import llm_strategy

@dataclass
class Customer:
    key: str

@llm_strategy("openai:any")
def find(customer: Customer, query: str) -> list[str]:
    \"\"\"Find it.\"\"\"
    raise NotImplementedError

@llm_strategy("openai:any")
@dataclass
class Shop:
    customer: Customer
    def best(self, query: str) -> str:
        \"\"\"Find the best.\"\"\"
        raise NotImplementedError

keys = [find.request(Customer("a"), "b").key, Shop(Customer("a")).best.request("b").key]
"""


def test_moving_code_changes_no_key(tmp_path: Path) -> None:
    """To another module, another package, or into a function."""
    (tmp_path / "package").mkdir()
    (tmp_path / "first.py").write_text(MODULE)
    (tmp_path / "package" / "second.py").write_text("# moved\n\n" + MODULE)
    local = "def make():\n" + textwrap.indent(MODULE, "    ") + "\n    return keys\nkeys = make()\n"
    (tmp_path / "third.py").write_text(local)
    program = "import first, package.second, third; print(first.keys == package.second.keys == third.keys, *first.keys)"

    printed = output(program, cwd=tmp_path).split()

    assert printed[0] == "True"
    assert len(set(printed[1:])) == 2


@dataclass
class Place:
    name: Annotated[str, Field(description="as on the map")]


def first(place: Place, limit: int = 3) -> list[str]:
    """Find it."""
    raise NotImplementedError


def other_docstring(place: Place, limit: int = 3) -> list[str]:
    """Find them."""
    raise NotImplementedError


def other_parameter(place: Place, maximum: int = 3) -> list[str]:
    """Find it."""
    raise NotImplementedError


def other_type(place: Place, limit: float = 3) -> list[str]:
    """Find it."""
    raise NotImplementedError


def other_return(place: Place, limit: int = 3) -> set[str]:
    """Find it."""
    raise NotImplementedError


def other_default(place: Place, limit: int = 5) -> list[str]:
    """Find it."""
    raise NotImplementedError


async def asynchronous(place: Place, limit: int = 3) -> list[str]:
    """Find it."""
    raise NotImplementedError


def described(place: Place, limit: Annotated[int, Field(description="how many")] = 3) -> list[str]:
    """Find it."""
    raise NotImplementedError


def key_of(function: Callable[..., Any], *args: Any, model: str = "openai:any", **settings: Any) -> str:
    function.__qualname__ = "first"
    key: str = llm_strategy(model, **settings)(function).request(*args or (Place("a"),)).key
    return key


CHANGES: dict[str, Callable[[], str]] = {
    "docstring": lambda: key_of(other_docstring),
    "parameter": lambda: key_of(other_parameter),
    "type": lambda: key_of(other_type),
    "return type": lambda: key_of(other_return),
    "default": lambda: key_of(other_default),
    "async": lambda: key_of(asynchronous),
    "description": lambda: key_of(described),
    "argument": lambda: key_of(first, Place("b")),
    "another argument": lambda: key_of(first, Place("a"), 4),
    "model": lambda: key_of(first, model="openai:other"),
    "provider": lambda: key_of(first, model="anthropic:any"),
    "temperature": lambda: key_of(first, temperature=0),
    "seed": lambda: key_of(first, seed=1),
}


def test_everything_that_is_asked_is_part_of_the_key() -> None:
    """Any change of it gives another key, and all these changes different ones."""
    keys = {name: change() for name, change in CHANGES.items()} | {"as it was": key_of(first)}

    assert len(set(keys.values())) == len(keys)


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "whole temperature": ({"temperature": 0}, {"temperature": 0.0}),
    "order": ({"temperature": 0, "seed": 1}, {"seed": 1, "temperature": 0}),
    "none": ({"seed": None}, {}),
    "other name": ({"max_completion_tokens": 5}, {"max_tokens": 5}),
    "one stop": ({"stop": "a"}, {"stop": ["a"]}),
}


@pytest.mark.parametrize(("one", "another"), SAME.values(), ids=SAME)
def test_a_setting_has_one_form(one: dict[str, Any], another: dict[str, Any]) -> None:
    """However it is written."""
    assert key_of(first, **one) == key_of(first, **another)


def test_arguments_by_position_by_name_and_by_default_are_the_same() -> None:
    """What counts is what arrives."""
    function = llm_strategy("openai:any")(first)

    assert len(
        {
            function.request(Place("a")).key,
            function.request(Place("a"), 3).key,
            function.request(limit=3, place=Place("a")).key,
        }
    ) == 1  # fmt: skip


def test_ids_of_tool_calls_count_by_first_appearance() -> None:
    """Clients make them at random; which answer belongs to which call still counts."""

    def conversation(one: str, two: str, answered: str) -> Request:
        return Request(
            "openai:any",
            (
                Message("assistant", [ToolCallPart(one, "look", {"x": 1}), ToolCallPart(two, "look", {"x": 2})]),
                Message("tool", [ToolCallResponsePart(answered, "found")]),
            ),
        )

    assert conversation("a1", "b2", "a1").key == conversation("x9", "y8", "x9").key
    assert conversation("a1", "b2", "a1").key != conversation("a1", "b2", "b2").key
    assert conversation("a1", "b2", "a1").messages[0].parts[0].id == "a1"


def test_looking_at_a_key_does_not_change_the_request() -> None:
    """The model gets paths and ids as they are."""
    request = Request("openai:any", (Message("user", "see /tmp/x and /home/alice/y"),))
    before = request.to_json()

    assert request.key
    assert request.to_json() == before
    assert request.sent().messages[0].content == "see /tmp/x and /home/alice/y"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, 1.0, 1e300, -0.0]}, '{"a":[true,null,1.0,1e+300,-0.0],"b":1}'),
        ("ü\ud800\N{SNOWMAN}", '"\\u00fc\\ud800\\u2603"'),
        ({"b": FrozenJSON({"d": 1, "c": 2}), "a": 0}, '{"a":0,"b":{"c":2,"d":1}}'),
        (FrozenJSON({"b": [FrozenJSON({"z": 1, "y": 2})], "a": 1}), '{"a":1,"b":[{"y":2,"z":1}]}'),
    ],
    ids=["plain", "text", "frozen within", "frozen"],
)
def test_canonical_json_is_one_text_for_one_value(value: Any, text: str) -> None:
    """Keys sorted, no white space, ASCII only, shortest floats; the same with remembered parts and without."""
    assert canonical(value) == text
    assert json.loads(canonical(value)) == value
    assert digest(value) == digest(json.loads(text))


def test_a_request_cannot_be_changed() -> None:
    """Its key would no longer be its own; `dict(...)` makes a copy that can be."""
    request = Request("openai:any", (Message("user", "a"),), {"type": "object"}, settings={"seed": 1})

    for change in (
        lambda: request.settings.update(seed=2),
        lambda: request.settings.__setitem__("seed", 2),
        lambda: request.output_schema.clear() if request.output_schema else None,
        lambda: setattr(request, "model", "openai:b"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            change()
    assert dict(request.settings) == {"seed": 1}


def test_requests_and_messages_are_values() -> None:
    """Equal where their contents are; usable as dictionary keys; readable from what they write."""
    one = Request("openai:any", (Message("user", "a"),), settings={"seed": 1})
    same = Request("openai:any", (Message("user", [TextPart("a")]),), settings={"seed": 1})

    assert one == same
    assert hash(one) == hash(same)
    assert Request.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert one != Request("openai:any", (Message("user", "a"),))
