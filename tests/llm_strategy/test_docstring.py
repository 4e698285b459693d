"""Descriptions of parameters and fields in docstrings: read in three styles, shown once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import pytest
from pydantic import BaseModel, Field

from llm_strategy import llm_explicit_function, llm_function, llm_strategy
from llm_strategy.docstring import documented
from tests.llm_strategy.programs import output

READ: dict[str, tuple[str, str, dict[str, str]]] = {
    "Google": (
        """Find the keys.

        More words.

        Args:
            query: What to look for: plain words (any),
                on two lines.
            limit (int, optional): How many. Defaults to 3.
            *rest: The others.
            **options: More.

        Returns:
            The keys.
        """,
        "Find the keys.\n\nMore words.\n\nReturns:\n    The keys.",
        {
            "query": "What to look for: plain words (any),\non two lines.",
            "limit": "How many. Defaults to 3.",
            "rest": "The others.",
            "options": "More.",
        },
    ),
    "Google without blank lines": (
        """Find.
        Arguments:
            query: What.
        Returns: keys
        """,
        "Find.\nReturns: keys",
        {"query": "What."},
    ),
    "Google at the end": (
        "Find.\n\nParams:\n    query: What.\n\n    limit:\n        How many.",
        "Find.",
        {"query": "What.", "limit": "How many."},
    ),
    "Google with lists": (
        """Find.

        Args:
            query: one of
                - a: first
                - b: second
        """,
        "Find.",
        {"query": "one of\n- a: first\n- b: second"},
    ),
    "NumPy": (
        """Find the keys.

        Parameters
        ----------
        query : str
            What to look for.

            In plain words.
        limit, rest : {1, 2}, optional
            How many.
        *args, **options
            More.

        Returns
        -------
        list
            The keys.
        """,
        "Find the keys.\n\nReturns\n-------\nlist\n    The keys.",
        {
            "query": "What to look for.\n\nIn plain words.",
            "limit": "How many.",
            "rest": "How many.",
            "args": "More.",
            "options": "More.",
        },
    ),
    "NumPy, then prose": (
        """Find.

        Parameters
        ----------
        query
            What.

        The result is a list.
        """,
        "Find.\n\nThe result is a list.",
        {"query": "What."},
    ),
    "Sphinx": (
        """Find the keys.

        :param query: What to look for,
            in plain words.
        :type query: str
        :param int limit: How many.
        :keyword rest: The others.
        :returns: The keys.
        """,
        "Find the keys.\n\n:returns: The keys.",
        {"query": "What to look for,\nin plain words.", "limit": "How many.", "rest": "The others."},
    ),
    "Sphinx, then prose": (
        "Find.\n\n:param query: What.\n\n:param limit: How many.\n\nOrder matters.",
        "Find.\n\nOrder matters.",
        {"query": "What.", "limit": "How many."},
    ),
    "some of them unknown": (
        "Find.\n\nArgs:\n    query: What.\n    stale: Gone.\n\nReturns:\n    Keys.",
        "Find.\n\nArgs:\n    stale: Gone.\n\nReturns:\n    Keys.",
        {"query": "What."},
    ),
    "some without a description": (
        "Find.\n\nParameters\n----------\nquery : str\nlimit : int\n    How many.",
        "Find.\n\nParameters\n----------\nquery : str",
        {"limit": "How many."},
    ),
}


@pytest.mark.parametrize(("written", "text", "descriptions"), READ.values(), ids=READ)
def test_descriptions_are_read_and_the_rest_stays_word_for_word(
    written: str, text: str, descriptions: dict[str, str]
) -> None:
    """What is read is cut, with its title once nothing stands under it; everything else is left as it was."""
    read = documented(inspect.cleandoc(written), ["query", "limit", "rest", "args", "options"])

    assert read.text == text
    assert dict(read.descriptions) == descriptions


ALIKE = {
    "other names": "Debate.\n\nArguments:\n    for: one line\n    against: one line",
    "prose": "Find. Args: the query.\n\nParameters: query is what to look for.",
    "fenced": "Write like this:\n\n```\nArgs:\n    query: what\n```\n\nOr not.",
    "example": "Write like this:\n\n    Args:\n        query: what\n\nOr not.",
    "list": "Find.\n\nArgs:\n- query: what\n- limit: how",
    "flat": "Find.\n\nArgs:\nquery: what\nlimit: how",
    "dashes": "Find.\n\nParameters:\n    query - what\n    limit -- how",
    "no colon": "Find.\n\nArgs:\n    query\n    limit",
    "empty section": "Find.\n\nArgs:\n\nReturns:\n    query: a list",
    "underline only": "Find.\n\nParameters\n----------\n",
    "a role": "Find as :param: does, :param.",
    "many words": "Find.\n\n:param a b c d: what",
    "brackets": "Find.\n\nArgs:\n    query (str: what",
}


@pytest.mark.parametrize("written", ALIKE.values(), ids=ALIKE)
def test_what_only_looks_like_descriptions_is_left_alone(written: str) -> None:
    """An entry names a parameter, stands where the style has it, and says something."""
    assert documented(written, ["query", "limit"]) == (written, {})


def google(query: str, limit: int = 3) -> list[str]:
    """Find the keys.

    Args:
        query: What to look for,
            in plain words.
        limit (int): How many.

    Returns:
        The keys.
    """
    raise NotImplementedError


def explicit(
    query: Annotated[str, Field(description="the explicit one")], limit: int = Field(3, description="also explicit")
) -> list[str]:
    """Find the keys.

    Args:
        query: The other one.
        limit: The other one.
    """
    raise NotImplementedError


def prompt_of(function: Callable[..., Any], *args: Any) -> str:
    text: str = llm_strategy("openai:any")(function).request(*args).messages[-1].content
    return text


def test_described_parameters_stand_in_their_own_block() -> None:
    """As those of `Field(description=...)` do; the docstring does not say them again."""
    assert prompt_of(google, "a").startswith(
        "def google(query: str, limit: int) -> list[str]\n\n"
        "Find the keys.\n\nReturns:\n    The keys.\n\n"
        "Parameters:\n\nquery: What to look for, in plain words.\nlimit: How many.\n\nArguments:\n"
    )


def test_an_explicit_description_wins() -> None:
    """Of two descriptions that may contradict each other, the one in the annotation is shown."""
    prompt = prompt_of(explicit, "a")

    assert "Parameters:\n\nquery: the explicit one\nlimit: also explicit\n\n" in prompt
    assert "The other one" not in prompt


def test_the_model_of_a_function_stays_out_of_its_prompt() -> None:
    """A parameter that the prompt does not show is not described in it either."""

    @llm_function
    def add(model: Any, x: int) -> int:
        """Add.

        Args:
            model: Who is asked.
            x: A number.
        """
        raise NotImplementedError

    prompt = add.request("openai:any", 1).messages[-1].content

    assert prompt.startswith("def add(x: int) -> int\n\nAdd.\n\nParameters:\n\nx: A number.\n\nArguments:")


@dataclass
class Google:
    """A customer.

    Attributes:
        name: What it is called.
        age: In years.
    """

    name: str
    age: int = field(default=1, metadata={"description": "explicit"})


@attrs.define
class Numpy:
    """A customer.

    Attributes
    ----------
    name : str
        What it is called.
    """

    name: str


class Sphinx(BaseModel):
    """A customer.

    :param name: What it is called.
    :type name: str
    """

    name: str
    age: int = Field(description="explicit")


class Args(NamedTuple):
    """A customer.

    Args:
        name: What it is called.
    """

    name: str


class Typed(TypedDict):
    """A customer.

    Attributes:
        name: What it is called.
    """

    name: str


@dataclass
class Derived(Google):
    """A better customer."""

    more: int = 0


@pytest.mark.parametrize("kind", [Google, Numpy, Sphinx, Args, Typed, Derived], ids=lambda kind: kind.__name__)
def test_class_docstrings_describe_fields(kind: type) -> None:
    """In the styles and under the titles that parameters are described in; those of bases count too."""

    def describe(thing):
        """Describe it."""
        raise NotImplementedError

    describe.__annotations__ = {"thing": kind, "return": str}
    made = {Sphinx: lambda: Sphinx(name="a", age=1), Typed: lambda: {"name": "a"}}.get(kind, lambda: kind("a"))()
    types = prompt_of(describe, made).partition("Types:\n\n")[2].partition("\n\nArguments:")[0]

    assert types.startswith(f"{kind.__name__}:  # A ")
    assert "customer.\n" in types
    assert "  name: str  # What it is called." in types
    assert ("  # explicit" in types) is (kind in (Google, Sphinx, Derived))


def test_the_fields_of_self_are_described_by_its_class() -> None:
    """And the input of an explicit function by its."""

    @llm_strategy("openai:any")
    @dataclass
    class Shop:
        """A shop.

        Args:
            name: What stands above the door.
        """

        name: str

        def slogan(self) -> str:
            """Invent a slogan."""
            raise NotImplementedError

    @llm_explicit_function
    def describe(model: Any, thing: Google) -> str:
        """Describe it."""
        raise NotImplementedError

    assert (
        "Shop:  # A shop.\n  name: str  # What stands above the door.\n"
        in Shop("a").slogan.request().messages[-1].content
    )
    assert "  name: str  # What it is called." in describe.request("openai:any", Google("a")).messages[-1].content


def test_the_parser_is_loaded_by_the_first_docstring_that_needs_it() -> None:
    """Docstrings without such a section cost nothing."""
    program = '''
        import sys
        from pydantic import BaseModel
        from llm_strategy import llm_strategy
        class Plain(BaseModel):
            """A model."""
            name: str
        @llm_strategy("openai:any")
        def plain(thing: Plain) -> str:
            """Describe it.

            Returns:
                A text.
            """
            raise NotImplementedError
        plain.request(Plain(name="a"))
        print("docstring_parser" in sys.modules)
    '''

    assert output(program) == "False"
