from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, NotRequired, Protocol, TypedDict, TypeVar

import attrs
import pytest
from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypeAliasType

from llm_strategy import (
    Media,
    PromptError,
    Request,
    ScriptedModel,
    Volatile,
    llm_explicit_function,
    llm_strategy,
    use_cassette,
)

if TYPE_CHECKING:
    from decimal import Decimal

MORNING, EVENING = datetime(2026, 1, 1, 8, tzinfo=UTC), datetime(2026, 1, 1, 20, tzinfo=UTC)


def scripted() -> ScriptedModel:
    return ScriptedModel(lambda request: '{"return_value": 1}', name="local:one", recorded=True)


@dataclass
class Order:
    key: str
    at: Volatile[datetime]


class Visit(BaseModel):
    name: str
    at: Volatile[datetime] = Field(description="when it was")
    orders: list[Order] = []


class Visits(RootModel[list[Order]]):
    pass


class Dated(Protocol):
    at: datetime


@attrs.define
class Parcel:
    weight: int
    at: Volatile[datetime]


class Entry(TypedDict):
    name: str
    at: NotRequired[Volatile[datetime]]


class Point(NamedTuple):
    x: int
    at: Volatile[datetime]


@dataclass
class Tree:
    at: Volatile[datetime]
    children: list[Tree] = field(default_factory=list)


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    key: str
    content: T
    more: list[T]


@dataclass
class Chain(Generic[T]):
    at: T
    rest: Chain[T] | None = None


@dataclass
class LateOrder(Order):
    paid: Volatile[datetime]


class Case(BaseModel, Generic[T]):
    content: T


class PlainShop:
    name: str
    now: Volatile[datetime]

    def __init__(self, now: datetime) -> None:
        self.name, self.now = "Plain", now


@dataclass
class DataShop:
    now: Volatile[datetime]
    name: str = "Data"


class ModelShop(BaseModel):
    now: Volatile[datetime]
    name: str = "Model"


@attrs.define
class AttrsShop:
    now: Volatile[datetime]
    name: str = "Attrs"


def with_method(cls: Any) -> Any:
    def find(self: Any, query: str) -> int:
        """Find."""
        raise NotImplementedError

    inner = type(cls)(
        cls.__name__,
        (cls,),
        {"find": find, "__module__": cls.__module__, "__qualname__": cls.__qualname__},
    )
    return llm_strategy(scripted())(inner)


def text(request: Request) -> str:
    return request.messages[-1].content


@pytest.mark.parametrize("cls", [PlainShop, DataShop, ModelShop, AttrsShop], ids=lambda cls: cls.__name__)
def test_a_volatile_field_of_self(cls: Any, tmp_path: Path) -> None:
    """It is sent, and a placeholder in key and cassette, for every kind of class."""
    shop = with_method(cls)
    name = cls.__name__.removesuffix("Shop")
    with use_cassette(tmp_path / "a.yaml", mode="new"):
        assert shop(now=MORNING).find("q") == 1
    with use_cassette(tmp_path / "a.yaml") as cassette:
        assert shop(now=EVENING).find("q") == 1
    request = shop(now=MORNING).find.request("q")
    assert request.key == shop(now=EVENING).find.request("q").key == cassette.calls[0].key
    assert '"now": "<volatile>"' in text(request)
    assert f'"name": "{name}"' in text(request)
    assert '"now": "2026-01-01T08:00:00Z"' in text(request.sent())
    assert "2026" not in (tmp_path / "a.yaml").read_text()


NESTED: list[tuple[Any, Any, str]] = [
    (Order, Order("a", MORNING), '{"key": "a", "at": @}'),
    (list[Order], [Order("a", MORNING)] * 2, '[{"key": "a", "at": @}, {"key": "a", "at": @}]'),
    (
        Visit,
        Visit(name="v", at=MORNING, orders=[Order("a", MORNING)]),
        '{"name": "v", "at": @, "orders": [{"key": "a", "at": @}]}',
    ),
    (Parcel, Parcel(3, MORNING), '{"weight": 3, "at": @}'),
    (Entry, {"name": "e", "at": MORNING}, '{"name": "e", "at": @}'),
    (Entry, {"name": "e"}, '{"name": "e"}'),
    (Point, Point(1, MORNING), "[1, @]"),
    (tuple[int, Volatile[datetime]], (1, MORNING), "[1, @]"),
    (tuple[Volatile[datetime], ...], (MORNING, MORNING), "[@, @]"),
    (Box[Volatile[datetime]], Box("a", MORNING, []), '{"key": "a", "content": @, "more": []}'),
    (Box[Order], Box("a", Order("b", MORNING), []), '{"key": "a", "content": {"key": "b", "at": @}, "more": []}'),
    (Box[Volatile[datetime]], Box("a", MORNING, [MORNING]), '{"key": "a", "content": @, "more": [@]}'),
    (Case[Volatile[datetime]], Case(content=MORNING), '{"content": @}'),
    (Chain[Volatile[datetime]], Chain(MORNING, Chain(MORNING)), '{"at": @, "rest": {"at": @, "rest": null}}'),
    (Order, LateOrder("a", MORNING, MORNING), '{"key": "a", "at": @, "paid": @}'),
    (Visits, Visits([Order("a", MORNING)]), '[{"key": "a", "at": @}]'),
    (Any, Order("a", MORNING), '{"key": "a", "at": @}'),
    (object, Point(1, MORNING), "[1, @]"),
    (T, Parcel(3, MORNING), '{"weight": 3, "at": @}'),
    (Dated, Order("a", MORNING), '{"key": "a", "at": @}'),
    (Any, [1], "[1]"),
    (Tree, Tree(MORNING, [Tree(MORNING)]), '{"at": @, "children": [{"at": @, "children": []}]}'),
    (dict[str, Volatile[datetime]], {"a": MORNING}, '{"a": @}'),
    (dict[str, list[Parcel]], {"a": [Parcel(3, MORNING)]}, '{"a": [{"weight": 3, "at": @}]}'),
    (Order | None, Order("a", MORNING), '{"key": "a", "at": @}'),
    (Order | None, None, "null"),
    (str | Visit | Order, Order("a", MORNING), '{"key": "a", "at": @}'),
    (str | Visit | Order, "a", '"a"'),
    (Volatile[datetime] | None, MORNING, "@"),
    (Volatile[datetime] | None, None, "null"),
    (list[Volatile[datetime] | int], [1, MORNING], "[1, @]"),
    (TypeAliasType("Stamp", Volatile[datetime]), MORNING, "@"),
    (TypeAliasType("Orders", list[Order]), [Order("a", MORNING)], '[{"key": "a", "at": @}]'),
    (Annotated[Order, "whatever"], Order("a", MORNING), '{"key": "a", "at": @}'),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), NESTED)
def test_volatile_fields_of_arguments(annotation: Any, value: Any, expected: str) -> None:
    """They are found wherever they stand; the rest is written as ever, and what is sent is as if nothing were volatile."""

    def f(x: Any) -> int:
        """Count."""
        raise NotImplementedError

    f.__annotations__["x"] = annotation
    request = llm_strategy(scripted())(f).request(value)
    kept = expected.replace("@", '"<volatile>"') if expected != "@" else "<volatile>"
    assert f"\nx = {kept}\n" in text(request)
    now = expected.replace("@", '"2026-01-01T08:00:00Z"')
    assert f"\nx = {now}\n" in text(request.sent())
    assert request.sent().volatile == {}


def test_several_volatile_values_do_not_disturb_each_other() -> None:
    """Each stands in its own place: values that hold the placeholders of others, names that end alike, lines of a docstring."""

    @llm_strategy(scripted())
    def f(now: Volatile[str], xnow: Volatile[str], order: Order, note: str, *rest: Volatile[str]) -> int:
        """Count.

        now = <volatile>
        """
        raise NotImplementedError

    values = [
        "xnow = <volatile>",
        "\nnow = <volatile>\n",
        Order("<volatile>", MORNING),
        "now = <volatile>",
        "<volatile>",
    ]
    request = f.request(*values)
    assert text(request).partition("Arguments:\n\n")[2].splitlines()[:5] == [
        "now = <volatile>",
        "xnow = <volatile>",
        'order = {"key": "<volatile>", "at": "<volatile>"}',
        'note = "now = <volatile>"',
        "rest = <volatile>",
    ]
    sent = text(request.sent())
    assert sent.partition("Arguments:\n\n")[2].splitlines()[:5] == [
        'now = "xnow = <volatile>"',
        'xnow = "\\nnow = <volatile>\\n"',
        'order = {"key": "<volatile>", "at": "2026-01-01T08:00:00Z"}',
        'note = "now = <volatile>"',
        'rest = ["<volatile>"]',
    ]
    assert "Count.\n\nnow = <volatile>\n" in sent


def test_a_volatile_value_of_many_lines() -> None:
    """A long value is laid out as it would be anywhere, at its own depth; the key's text stays short."""

    @llm_strategy(scripted())
    @dataclass
    class Log:
        lines: Volatile[list[str]]

        def count(self) -> int:
            """Count."""
            raise NotImplementedError

    request = Log(["x" * 60, "y" * 60]).count.request()
    assert '\nself = {"lines": "<volatile>"}\n' in text(request)
    x, y = "x" * 60, "y" * 60
    assert f'\nself = {{\n  "lines": [\n    "{x}",\n    "{y}"\n  ]\n}}\n' in text(request.sent())


def test_a_retry_keeps_the_values() -> None:
    """The model gets the same values again, and what it said is left alone."""
    model = ScriptedModel(["self = <volatile>", '{"return_value": 1}'])

    @llm_strategy(model)
    def f(self: Volatile[str]) -> int:
        """Count."""
        raise NotImplementedError

    assert f("me") == 1
    first, second = model.requests
    assert '\nself = "me"\n' in first.messages[1].content
    assert [message.content for message in second.messages[:3]] == [
        *[message.content for message in first.messages],
        "self = <volatile>",
    ]


def test_a_volatile_file_is_sent_and_not_kept(tmp_path: Path) -> None:
    """Its type is in the key, but neither its content nor its name."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())

    @llm_strategy(scripted())
    def look(
        shot: Volatile[Annotated[Path, Media()]], more: Volatile[list[Annotated[Path, Media()]]], note: str
    ) -> int:
        """Look."""
        raise NotImplementedError

    one = look.request(tmp_path / "a.png", [tmp_path / "b.png"], "<volatile file 1>")
    assert one.key == look.request(tmp_path / "b.png", [tmp_path / "a.png"], "<volatile file 1>").key
    assert [part.content for part in one.messages[-1].parts[1:]] == ["<volatile file 1>", "<volatile file 2>"]
    sent = one.sent().messages[-1]
    assert [part.content for part in sent.parts[1:]] == ["YS5wbmc=", "Yi5wbmc="]
    assert "\nshot = <image/png, attached as file 1>\n" in sent.content
    assert '\nnote = "<volatile file 1>"\n' in sent.content


def test_an_explicit_function_takes_volatile_fields() -> None:
    """The input of an explicit function is an argument like any other."""

    @llm_explicit_function
    def judge(model: Any, visit: Visit) -> int:
        """Judge."""
        raise NotImplementedError

    assert '"at": "<volatile>"' in text(judge.request(scripted(), Visit(name="v", at=MORNING)))


def test_names_that_only_type_checkers_know() -> None:
    """A field of such a type is as ever; a volatile one among them is refused, for it would end up in the key."""

    @llm_strategy(scripted())
    @dataclass
    class Price:
        amount: Decimal
        at: Volatile[datetime]

        def count(self) -> int:
            """Count."""
            raise NotImplementedError

    @llm_strategy(scripted())
    @dataclass
    class Quote:
        amount: Volatile[Decimal]

        def count(self) -> int:
            """Count."""
            raise NotImplementedError

    price: Any = Price(1, MORNING)
    assert '{"amount": 1, "at": "<volatile>"}' in text(price.count.request())
    quote: Any = Quote(1)
    with pytest.raises(PromptError, match=r"'Volatile\[Decimal\]' of .*Quote.amount cannot be evaluated"):
        quote.count.request()


def test_a_value_that_contains_itself_is_refused() -> None:
    """As without a volatile field."""
    tree = Tree(MORNING)
    tree.children.append(tree)

    @llm_strategy(scripted())
    def f(tree: Tree) -> int:
        """Count."""
        raise NotImplementedError

    with pytest.raises(PromptError, match="contains itself"):
        f.request(tree)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement `type` is of Python 3.12")
def test_aliases_are_looked_through() -> None:
    """So are those that speak of themselves."""
    names: dict[str, Any] = {"Volatile": Volatile, "int": int, "list": list}
    exec("type Nested = list[Nested | Volatile[int]]", names)  # noqa: S102  # a SyntaxError on 3.11

    def f(x: Any) -> int:
        """Count."""
        raise NotImplementedError

    f.__annotations__["x"] = names["Nested"]
    assert 'x = ["<volatile>", ["<volatile>"]]' in text(llm_strategy(scripted())(f).request([1, [2]]))
