"""The versions of libraries that a cassette speaks of, and the misses that name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest

from llm_strategy import Cassette, CassetteMiss, ScriptedModel, __version__, llm_strategy, use_cassette
from llm_strategy.cassette.versions import Change, changes, rendered_by
from llm_strategy.difference.schemas import is_of_types

NOW = f"pydantic {pydantic.VERSION}"
OLD = "pydantic 2.10.0"


class Order(pydantic.BaseModel):
    key: str


class Longer(pydantic.BaseModel):
    key: str
    price: int = 0


Longer.__name__ = Longer.__qualname__ = "Order"


def find(query: str) -> list[Order]:
    """Find the orders."""
    raise NotImplementedError


def find_longer(query: str) -> list[Longer]:
    """Find the orders."""
    raise NotImplementedError


def find_other(query: str) -> list[Order]:
    """Find those orders."""
    raise NotImplementedError


find_longer.__qualname__ = find_other.__qualname__ = "find"


def ask(path: Path, mode: str, *queries: str, function: Any = find) -> None:
    model = ScriptedModel(lambda request: '{"return_value": []}', name="test:model", recorded=True)
    with use_cassette(path, mode):
        for query in queries:
            llm_strategy(model)(function)(query)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    ask(tmp_path / "x.yaml", "new", "a")
    return tmp_path / "x.yaml"


def by_another(path: Path, old: str = NOW, new: str = OLD) -> Path:
    text = path.read_text("utf-8")
    assert f'"{old}"' in text
    path.write_text(text.replace(f'"{old}"', f'"{new}"'), "utf-8")
    return path


def test_the_header_says_what_rendered(recorded: Path) -> None:
    """Once, and replaying or recording by the same version leaves it."""
    before = recorded.read_bytes()
    assert Cassette(recorded).header["rendered_by"] == NOW
    ask(recorded, "replay", "a")
    assert recorded.read_bytes() == before
    ask(recorded, "new", "a", "b")
    assert recorded.read_bytes().startswith(before)


def test_another_version_is_listed_beside_the_first(recorded: Path) -> None:
    """When the scope closes that has recorded with it, and not where it only replays."""
    by_another(recorded)
    ask(recorded, "new", "a")
    assert rendered_by(Cassette(recorded).header) == (OLD,)
    ask(recorded, "new", "a", "b")
    assert rendered_by(Cassette(recorded).header) == (OLD, NOW)
    ask(recorded, "all", "a", "b")
    assert rendered_by(Cassette(recorded).header) == (NOW,)


def test_a_file_that_says_nothing_is_read(recorded: Path) -> None:
    """As older cassettes do; nobody is suspected then."""
    lines = recorded.read_text("utf-8").splitlines(keepends=True)
    recorded.write_text("".join(line for line in lines if not line.startswith("rendered_by")), "utf-8")
    with pytest.raises(CassetteMiss) as caught:
        ask(recorded, "replay", "a", function=find_longer)
    assert "pydantic" not in str(caught.value)
    ask(recorded, "replay", "a")


def test_a_changed_schema_is_blamed_on_the_other_version(recorded: Path) -> None:
    """With both versions, and the command that shows whether it is so."""
    by_another(recorded)
    with pytest.raises(CassetteMiss) as caught:
        ask(recorded, "replay", "a", function=find_longer)
    assert f"changed: {NOW} now, 2.10.0 when it was recorded: if the types are as they were, this is" in str(
        caught.value
    )
    assert "pip install pydantic==2.10.0" in str(caught.value)
    assert f"{NOW} now, 2.10.0 when it was recorded" in caught.value.causes


@pytest.mark.parametrize(("query", "function"), [("b", find), ("a", find_other)])
def test_other_changes_are_not(recorded: Path, query: str, function: Any) -> None:
    """An argument and a docstring do not come from pydantic."""
    by_another(recorded)
    with pytest.raises(CassetteMiss) as caught:
        ask(recorded, "replay", query, function=function)
    assert "pydantic" not in str(caught.value)


def test_the_same_version_is_not(recorded: Path) -> None:
    """A type that was changed is the only cause then."""
    with pytest.raises(CassetteMiss) as caught:
        ask(recorded, "replay", "a", function=find_longer)
    assert "when it was recorded" not in str(caught.value)


def test_another_version_of_this_library_is_named(recorded: Path) -> None:
    """It may have changed the words of prompts, and the schemas too."""
    by_another(recorded, f"llm-strategy {__version__}", "llm-strategy 3.0.0a0")
    with pytest.raises(CassetteMiss) as caught:
        ask(recorded, "replay", "a", function=find_longer)
    assert f"llm-strategy {__version__} now, 3.0.0a0 when it was recorded" in str(caught.value)


ODD: list[tuple[Any, list[Change]]] = [
    ({}, []),
    ({"rendered_by": None, "written_by": None}, []),
    ({"rendered_by": {"pydantic": "2"}, "written_by": ["x"]}, []),
    ({"rendered_by": [1, "", "pydantic", "attrs 3"], "written_by": "somebody"}, []),
    ({"rendered_by": [OLD, NOW]}, [Change("pydantic", pydantic.VERSION, ("2.10.0",))]),
]


@pytest.mark.parametrize(("header", "expected"), ODD)
def test_odd_headers(header: Any, expected: list[Change]) -> None:
    """What another program has written there is taken as far as it says anything."""
    assert list(changes(header)) == expected


CAUSES = [
    ("the schema of the result", True),
    ("the schema of the result (Order)", True),
    ("the default of the field Order.key (in the result)", True),
    ("the description of the field Order.key", True),
    ("the type of the field Order.key: int -> str", True),
    ("the type Order was removed", True),
    ("the field Order.key is now Order.id", True),
    ("the values of the type Color", True),
    ("the order of the fields of Order", True),
    ("the description of the result", True),
    ("the type of the parameter 'a': int -> str", False),
    ("the docstring of find", False),
    ("the description of the parameter 'a'", False),
    ("the order of the parameters", False),
    ("the argument 'query'", False),
    ("the model: a -> b", False),
    ("the fields of self (.a)", False),
]


@pytest.mark.parametrize(("cause", "expected"), CAUSES)
def test_which_causes_are_of_types(cause: str, expected: bool) -> None:
    """Those that a library which renders schemas can bring about."""
    assert is_of_types(cause) is expected
