"""Hyperparameters of functions that a model implements: their parameters `_x`, and every part of their prompts."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from llm_strategy import (
    CassetteMiss,
    Hyperparameters,
    ReplyError,
    Request,
    ScriptedModel,
    call_log,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
    track_hyperparameters,
    use_cassette,
)
from tests.llm_strategy.loopback import Loopback

T = TypeVar("T")


class City(BaseModel):
    """A city."""

    name: str = Field(description="its name")
    size: int


@dataclass
class Country:
    """A country.

    Args:
        code: two letters
    """

    code: str


class Box(BaseModel, Generic[T]):
    """A box."""

    content: T = Field(description="what is in it")


EMPTY = '{"return_value": []}'


def always(_request: Request) -> str:
    return EMPTY


@llm_strategy(ScriptedModel(always), retries=1)
def find(country: Country, _style: str = "plain", limit: int = 3) -> list[City]:
    """Find cities.

    Args:
        limit: at most
    """
    raise NotImplementedError


@llm_strategy(ScriptedModel(always))
@dataclass
class Atlas:
    """Maps."""

    countries: list[Country]

    def find(self, _order: str = "by size") -> list[City]:
        """Find cities."""
        raise NotImplementedError

    @property
    def largest(self) -> list[City]:
        """The largest cities."""
        raise NotImplementedError

    @staticmethod
    def imagine(_count: int = 1) -> list[City]:
        """Imagine cities."""
        raise NotImplementedError

    @classmethod
    def all(cls) -> list[City]:
        """All cities."""
        raise NotImplementedError


FRANCE = Country("fr")


def text_of(request: Request) -> str:
    return "\n".join(message.content for message in request.messages)


def test_a_function_has_its_own_parameters_and_the_parts_of_its_prompt() -> None:
    """What holds without any change is what the prompt says already."""
    plain = find.request(FRANCE)
    with Hyperparameters() as h:
        assert find.request(FRANCE).key == plain.key
    held = h[find].model_dump()
    assert (held["style"], held["retries"], held["docstring"]) == ("plain", 1, "Find cities.")
    assert held["instructions"] == plain.messages[0].content
    assert held["descriptions"] == {
        "country": "", "_style": "", "limit": "at most", "Country": "A country.", "Country.code": "two letters",
        "City": "A city.", "City.name": "its name", "City.size": "", "return_value": "",
    }  # fmt: skip
    prompt = text_of(plain)
    words = [text for name, text in held.items() if name.endswith("_heading") and not name.startswith("retry")]
    assert len(words) == 4
    assert all(text in prompt for text in words)
    with h:
        assert find.request(FRANCE).key == plain.key


PARTS = {
    "docstring": "Search for cities.",
    "instructions": "You are Python.",
    "parameters_heading": "The parameters are",
    "types_heading": "The types are",
    "arguments_heading": "The arguments are",
    "result_heading": "Answer in JSON:",
    "style": "vivid",
}


@pytest.mark.parametrize("name", PARTS)
def test_each_part_changes_the_request(name: str) -> None:
    """And nothing else does."""
    plain = find.request(FRANCE)
    with Hyperparameters() as h:
        before = str(getattr(h[find], name))
        setattr(h[find], name, PARTS[name])
        changed = find.request(FRANCE)
    assert changed.key != plain.key
    assert PARTS[name] in text_of(changed)
    assert text_of(changed) == text_of(plain).replace(before, PARTS[name])


@pytest.mark.parametrize("name", [name for name in PARTS if name != "style"])
def test_a_part_can_be_left_out(name: str) -> None:
    """An empty text leaves no blank paragraph."""
    with Hyperparameters({"find": {name: ""}}):
        request = find.request(FRANCE)
    assert "\n\n\n" not in text_of(request)
    assert len(request.messages) == (1 if name == "instructions" else 2)


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        ("country", ["country: New."]),
        ("limit", ["limit: New."]),
        ("Country", ["Country:  # New."]),
        ("Country.code", ["  code: str  # New."]),
        ("City", ['"description": "New."']),
        ("City.size", ['"description": "New."']),
        ("return_value", ['"description": "New."']),
    ],
)
def test_each_description_changes_the_request(place: str, lines: list[str]) -> None:
    """Those of parameters and types in the text, those of the result in its schema too."""
    with Hyperparameters() as h:
        h[find].descriptions[place] = "New."
        request = find.request(FRANCE)
    assert [line for line in lines if line not in text_of(request)] == []
    schema = find.request(FRANCE).output_schema
    in_schema = place.startswith(("City", "return_value"))
    assert (request.output_schema != schema) == in_schema
    assert json.dumps(request.output_schema).count("New.") == in_schema


def test_descriptions_are_given_one_by_one() -> None:
    """Those that are not given stay; an empty one is none; one that the prompt has no place for is refused."""
    with Hyperparameters({"find": {"descriptions": {"City.name": "", "limit": ""}}}):
        request = find.request(FRANCE)
    assert "its name" not in text_of(request)
    assert "Parameters:" not in text_of(request)
    assert "A city." in text_of(request)
    with Hyperparameters({"find": {"descriptions": {"Town": "x"}}}), pytest.raises(TypeError) as error:
        find(FRANCE)
    assert "describe 'Town', of which its prompt does not speak; there are country, _style, " in str(error.value)


def test_the_request_that_a_server_gets_changes(tmp_path: Path) -> None:
    """A tuned description is in the text and in the schema of what is sent over HTTP; a tuned retry is, too."""
    wrong = '{"return_value": "none"}'
    with Loopback(EMPTY, EMPTY, wrong, EMPTY) as server, use_cassette(tmp_path / "c.yaml", mode="live"):
        client = OpenAI(base_url=server.url, api_key="any", max_retries=0)
        remote = find.with_options(model=client, name="loopback-1")
        remote(FRANCE)
        tuned = {"descriptions": {"City.name": "in English"}, "instructions": "Be brief."}
        with Hyperparameters({"find": tuned}):
            remote(FRANCE)
        with Hyperparameters({"find": {"retry_heading": "No:", "retry_request": "Again."}}):
            remote(FRANCE)
    plain, changed, _, again = [seen.body for seen in server.requests]
    assert "in English" not in json.dumps(plain)
    assert "in English" in json.dumps(changed["response_format"])
    assert "in English" in changed["messages"][1]["content"]
    assert changed["messages"][0]["content"] == "Be brief."
    complaint = again["messages"][-1]["content"]
    assert complaint.startswith("No:\n- return_value: ")
    assert complaint.endswith("\nAgain.")


def test_the_number_of_retries_is_tuned() -> None:
    """An `override` and `with_options`, which are meant for single calls, win over it."""
    replies = ['{"return_value": 1}', EMPTY]
    with Hyperparameters({"find": {"retries": 0}}), pytest.raises(Exception, match="the reply does not fit"):
        find.with_options(model=ScriptedModel(replies))(FRANCE)
    with Hyperparameters({"find": {"retries": 0}}):
        assert find.with_options(model=ScriptedModel(replies), retries=1)(FRANCE) == []
        with override(model=ScriptedModel(replies), retries=1):
            assert find(FRANCE) == []


def test_members_are_tuned() -> None:
    """Methods, properties, static and class methods; by the class, by an object, by name."""
    atlas = Atlas([FRANCE])
    with Hyperparameters() as h:
        assert (atlas.find(), atlas.largest, Atlas.imagine(), Atlas.all()) == ([], [], [], [])
    assert [name.partition(":")[2] for name in h.model_dump()] == [
        f"Atlas.{name}" for name in "find largest imagine all".split()
    ]
    assert h[Atlas.find].descriptions["Atlas"] == "Maps."
    h[atlas.find].order = "by name"
    h[Atlas.find].descriptions["Atlas.countries"] = "of the world"
    h[Atlas.largest].docstring = "Big cities."
    h[Atlas.imagine].count = 4
    h["Atlas.all"].docstring = "Every city."
    with h, call_log() as calls:
        atlas.find(), atlas.largest, Atlas.imagine(), atlas.all()
        atlas.find("by code")
    texts = [text_of(call.request) for call in calls]
    assert '_order = "by name"' in texts[0]
    assert "countries: list[Country]  # of the world" in texts[0]
    assert "Big cities." in texts[1]
    assert "_count = 4" in texts[2]
    assert "Every city." in texts[3]
    assert '_order = "by code"' in texts[4]
    assert Atlas.find.hyperparameters is atlas.find.hyperparameters


def test_functions_that_are_given_their_model_are_tuned() -> None:
    """`llm_function` and `llm_explicit_function`; their generic types too."""

    @llm_function
    def shout(model: Any, text: str, _mark: str = "!") -> str:
        """Shout."""
        raise NotImplementedError

    @llm_explicit_function
    def open_box(model: Any, box: Box[T]) -> Box[list[T]]:
        """Open it."""
        raise NotImplementedError

    model = ScriptedModel(lambda _: '{"return_value": "A"}')
    with Hyperparameters({"shout": {"mark": "?"}}), call_log() as calls:
        shout(model, "a")
        shout(model, "a", "!!")
    assert ['_mark = "?"' in text_of(call.request) for call in calls] == [True, False]
    opened = ScriptedModel(lambda _: '{"return_value": {"content": [1]}}')
    with Hyperparameters() as h, call_log() as calls:
        open_box(opened, Box[int](content=1))
        h[open_box].descriptions["Box.content"] = "inside"
        open_box(opened, Box[int](content=1))
    before, after = [(text_of(call.request), json.dumps(call.request.output_schema)) for call in calls]
    assert ["what is in it" in text for text in (*before, *after)] == [True, True, False, False]
    assert ["inside" in text for text in (*before, *after)] == [False, False, True, True]
    with Hyperparameters() as h:
        open_box.request(opened, Box[City](content=City(name="a", size=1)))
    assert "City.name" in h[open_box].descriptions
    with h:
        # Another type has other places, and those of the first are none of its.
        open_box.request(opened, Box[int](content=1))


def test_streams_are_tuned() -> None:
    """Of texts and of items; those of texts have instructions of their own."""

    @llm_strategy(ScriptedModel([["a", "b"]]))
    def tell(topic: str, _style: str = "plain") -> Iterator[str]:
        """Tell."""
        raise NotImplementedError

    @llm_strategy(ScriptedModel([['{"return_value": ["x"]}'], ['{"return_value": [1]}']]))
    def count(topic: str) -> Iterator[int]:
        """Count."""
        raise NotImplementedError

    with Hyperparameters({"tell": {"style": "vivid"}, "count": {"retry_heading": "No:"}}) as h, call_log() as calls:
        assert "".join(tell("a")) == "ab"
        assert list(count("a")) == [1]
    assert h[tell].result_heading == "Reply with the text itself, as plain text."
    assert "which is a text" in h[tell].instructions
    assert set(h[tell].descriptions) == {"topic", "_style"}
    assert '_style = "vivid"' in text_of(calls[0].request)
    assert calls[-1].request.messages[-1].content.startswith("No:\n")


def test_a_parameter_without_default_is_an_ordinary_one() -> None:
    """One that has the name of a part of the prompt stands in its place."""

    @llm_function
    def f(model: Any, _x: int, _docstring: str = "d") -> int:
        """Doc."""
        raise NotImplementedError

    model = ScriptedModel(lambda _: '{"return_value": 1}')
    with Hyperparameters({"f": {"docstring": "other"}}) as h, call_log() as calls:
        f(model, 1)
    assert "x" not in type(h[f]).model_fields
    assert '_docstring = "other"' in text_of(calls[0].request)
    assert "Doc." in text_of(calls[0].request)


def test_tracking_what_a_model_implements_changes_nothing() -> None:
    """In either order: it is tracked already."""
    assert track_hyperparameters(find) is find

    @llm_strategy(ScriptedModel(['{"return_value": 1}']))
    @track_hyperparameters
    def f(_x: int = 2) -> int:
        """Doc."""
        raise NotImplementedError

    with Hyperparameters() as h:
        assert f() == 1
    assert (h[f].x, h[f].docstring) == (2, "Doc.")


def test_a_tuned_call_is_recorded_under_a_key_of_its_own(tmp_path: Path) -> None:
    """In replay the same values find it; other values are a miss whose diff shows what was tuned."""
    model = ScriptedModel(always, recorded=True)
    path = tmp_path / "cassette.yaml"
    vivid = Hyperparameters({"find": {"style": "vivid", "docstring": "Search."}})
    with override(model=model), use_cassette(path, mode="new"), vivid:
        find(FRANCE)
    assert "Search." in path.read_text(encoding="utf-8")
    with override(model=model), use_cassette(path), vivid:
        assert find(FRANCE) == []
    vivid[find].docstring = "Look."
    with override(model=model), use_cassette(path), vivid, pytest.raises(CassetteMiss) as miss:
        find(FRANCE)
    assert miss.value.causes == ("the docstring of find",)
    assert "-Search." in miss.value.diff
    assert "+Look." in miss.value.diff


@pytest.mark.parametrize(
    ("values", "causes"),
    [
        ({"style": "vivid"}, ("the argument '_style' of find",)),
        ({"docstring": "Search."}, ("the docstring of find",)),
        ({"arguments_heading": "Given:"}, ("a message (user): 'Arguments' -> 'Given'",)),
        ({"descriptions": {"limit": "or less"}}, ("the description of the parameter 'limit' of find",)),
        ({"descriptions": {"Country.code": ""}}, ("the description of the field Country.code",)),
        ({"descriptions": {"City.name": "new"}}, ("the description of the field City.name (in the result)",)),
    ],
)
def test_a_miss_names_what_was_tuned(values: Any, causes: Any, tmp_path: Path) -> None:
    """In the words of any change."""
    path = tmp_path / "cassette.yaml"
    with override(model=ScriptedModel(always, recorded=True)):
        with use_cassette(path, mode="new"):
            find(FRANCE)
        with use_cassette(path), Hyperparameters({"find": values}), pytest.raises(CassetteMiss) as miss:
            find(FRANCE)
    assert miss.value.causes == causes


def test_concurrent_calls_are_tuned_each_by_its_own_block() -> None:
    """Tasks and threads."""

    @llm_strategy(ScriptedModel(lambda request: json.dumps({"return_value": request.messages[0].content})))
    async def say() -> str:
        """Say it."""
        raise NotImplementedError

    async def one(text: str) -> str:
        with Hyperparameters({"say": {"instructions": text}}):
            await asyncio.sleep(0)
            return await say()

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(one, "abc"))

    assert asyncio.run(all_of_them()) == ["a", "b", "c"]
    found: list[bool] = []

    def work(style: str) -> None:
        with Hyperparameters({"find": {"style": style}}):
            found.extend(style in text_of(find.request(FRANCE)) for _ in range(20))

    threads = [threading.Thread(target=work, args=(f"style {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80


def test_a_model_can_suggest_hyperparameters() -> None:
    """The model of a function is the type of a result, and what comes back holds in a block."""

    @llm_strategy(ScriptedModel(['{"return_value": {"style": "vivid", "retries": 0}}']))
    def suggest(present: find.hyperparameters) -> find.hyperparameters:  # type: ignore[name-defined]  # a value
        """Suggest better ones."""
        raise NotImplementedError

    with Hyperparameters() as h:
        h[find]
    with call_log() as calls:
        suggested = suggest(h[find])
    assert "FindHyperparameters" in text_of(calls[0].request)
    with Hyperparameters(suggested):
        assert '_style = "vivid"' in text_of(find.request(FRANCE))


def test_a_parameter_named_like_a_part_of_the_prompt_hides_that() -> None:
    """A function with an own `_retries` keeps the retries of its decorator in a block, and sends its argument."""
    model = ScriptedModel(["nonsense", "never"])

    @llm_strategy(model, retries=0)
    def call_back(number: str, _retries: int = 5) -> bool:
        """Whether to call back."""
        raise NotImplementedError

    with Hyperparameters({"call_back": {"retries": 7}}):
        assert "_retries = 7" in text_of(call_back.request("1"))
        with pytest.raises(ReplyError):
            call_back("1")
    assert len(model.requests) == 1
