"""The text of a cassette: what it looks like, and that every YAML reader gets the same values from it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_strategy.canonical import canonical
from llm_strategy.cassette.emitter import Limits, emit
from llm_strategy.cassette.reader import is_own_format, load
from llm_strategy.errors import CassetteError


def with_libyaml(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)


def with_pure_pyyaml(text: str) -> Any:
    return yaml.load(text, yaml.SafeLoader)


def with_ruamel(text: str) -> Any:
    ruamel = pytest.importorskip("ruamel.yaml", reason="ruamel.yaml, a second implementation, is not installed")
    return ruamel.YAML(typ="safe", pure=True).load(text)


OTHER_READERS = [with_libyaml, with_pure_pyyaml, with_ruamel]
other_readers = pytest.mark.parametrize("read", OTHER_READERS, ids=lambda read: read.__name__)


def decoded(value: Any) -> Any:
    """Undoes the encodings of docs/reference/cassette-format.md, for readers that do not know them."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    encoding = value.get("encoding")
    if set(value) == {"encoding", "data"} and isinstance(encoding, str):
        if encoding == "json-string":
            return json.loads(value["data"])
        if encoding == "key-value-pairs":
            return {decoded(key): decoded(item) for key, item in value["data"]}
        if encoding.rstrip("!") in ("json-string", "key-value-pairs"):
            return {"encoding": encoding[:-1], "data": decoded(value["data"])}
    return {key: decoded(item) for key, item in value.items()}


# What some YAML reader or writer is known to get wrong, or could.
AWKWARD = [
    "",
    " ",
    "\t",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    " leading space",
    "\tleading tab",
    "\n\tblank line, then a tab",
    "\n\n  blank lines, then spaces",
    "trailing space ",
    "trailing tab\t",
    "every line \nends in \nspaces  ",
    "one line end\n",
    "two line ends\n\n",
    "last line of spaces\n   ",
    "last line of spaces\n   \n",
    "deep\n        indentation\n    in between",
    "inner\ttab\nand\ttab",
    "emoji \U0001f600",
    "emoji \U0001f600\nand combined \U0001f468\u200d\U0001f469\u200d\U0001f467\nlines",
    "umlaut \u00e4\u00f6\u00fc\n\u4e2d\u6587\n\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "carriage\rreturn",
    "carriage\r\nreturn, line feed",
    "next\x85line",
    "line\u2028separator",
    "paragraph\u2029separator",
    "NUL\x00",
    "escape\x1b[31m",
    "delete\x7f",
    "C1 \x9f\nin lines",
    "\ufeffbyte order mark",
    "non-characters \ufffe \uffff \ufdd0 \U0001fffe",
    "lone \ud83d surrogate",
    "lone surrogates \udc80\udcff\nin lines",
    "private \ue000 use\n\U0010fffd",
    "no-break\u00a0space and soft\u00adhyphen\nand zero\u200bwidth",
    "---",
    "---\nkey: value\n...\n",
    "# no comment\n# at all",
    "- not\n- a list",
    "key: value",
    "&anchor *alias !tag !!python/object:os.system",
    "%YAML 1.1",
    "'single' and \"double\" quotes \\ \\n",
    "<<: merge",
    "<<<<<<< HEAD\n=======\n>>>>>>> branch",
    "null",
    "~",
    "yes",
    "No",
    "true",
    "0",
    "-1",
    "0o17",
    "0x1F",
    "1_000",
    "12:30:45",
    "2024-02-29",
    "1e-07",
    ".inf",
    ".nan",
    "=",
    "|\n>\n@`",
    "x" * 5000,
    "two long lines\n" + "x" * 1500 + "\n" + "y" * 1500,
]

awkward_characters = st.sampled_from(sorted({character for text in AWKWARD for character in text}))
texts = st.text(awkward_characters | st.characters(exclude_categories=()))
encodings = st.sampled_from(["encoding", "data", "json-string", "key-value-pairs", "json-string!", "content"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | encodings
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts | encodings, inner), max_leaves=30)
documents = st.dictionaries(texts | encodings, values)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: NaN is NaN, and 1, 1.0 and true are three values."""
    return canonical(one) == canonical(other)


def test_a_call_reads_like_a_letter() -> None:
    """Texts are blocks, sequences stand under their key without indentation, all other strings are quoted."""
    document = {
        "key": "ab12",
        "request": {
            "model": "openai:gpt-5-mini",
            "messages": [
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
                {"role": "user", "parts": [{"type": "text", "content": "One \U0001f600\n\n\ttwo \nthree\n"}]},
            ],
            "output_schema": {"type": "object", "properties": {}, "required": [], "$defs": {"on": {"enum": [1, "a"]}}},
            "settings": {"temperature": 0.0, "stop": None, "stream": False},
        },
    }
    assert emit(document) == (
        "---\n"
        'key: "ab12"\n'
        "request:\n"
        '  model: "openai:gpt-5-mini"\n'
        "  messages:\n"
        '  - role: "system"\n'
        "    parts:\n"
        '    - type: "text"\n'
        "      content: |-\n"
        "        Be brief.\n"
        '  - role: "user"\n'
        "    parts:\n"
        '    - type: "text"\n'
        "      content: |\n"
        "        One \U0001f600\n"
        "\n"
        "        \ttwo \n"
        "        three\n"
        "  output_schema:\n"
        '    type: "object"\n'
        "    properties: {}\n"
        "    required: []\n"
        "    $defs:\n"
        '      "on":\n'
        "        enum:\n"
        "        - 1\n"
        '        - "a"\n'
        "  settings:\n"
        "    temperature: 0.0\n"
        "    stop: null\n"
        "    stream: false\n"
    )


def test_nested_sequences_stand_behind_their_dashes() -> None:
    """A sequence or mapping in a sequence begins on the line of the dash."""
    assert emit({"a": [[1, [2, []]], [{"b": 3, "c": ["x\ny"]}, {}]]}) == (
        "---\na:\n- - 1\n  - - 2\n    - []\n- - b: 3\n    c:\n    - |-\n      x\n      y\n  - {}\n"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a", "|-\n  a\n"),
        ("a\n", "|\n  a\n"),
        ("a\n\n", "|+\n  a\n\n"),
        ("a\n\nb", "|-\n  a\n\n  b\n"),
        (" a", "|2-\n   a\n"),
        ("\ta", "|2-\n  \ta\n"),
        ("\n", "|2+\n\n"),
        ("\n a\n", "|2\n\n   a\n"),
        ("a \n\tb\U0001f600", "|-\n  a \n  \tb\U0001f600\n"),
        ("", '""\n'),
        ("a\r\nb", '"a\\r\\nb"\n'),
        ("\x00\x1b\x7f\x85\u2028\ufeff\ufffe\U0001fffe", '"\\0\\x1b\\x7f\\x85\\u2028\\ufeff\\ufffe\\U0001fffe"\n'),
        ('\t\n\x85"\\', '"\\t\\n\\x85\\"\\\\"\n'),
        ("a\ud800", '\n  encoding: "json-string"\n  data: "\\"a\\\\ud800\\""\n'),
    ],
)
def test_prompts_and_replies_are_blocks_where_yaml_carries_them(text: str, written: str) -> None:
    """A field `content` is a block with the chomping that it needs, else one quoted line, else encoded."""
    separator = "" if written.startswith("\n") else " "
    assert emit({"content": text}) == f"---\ncontent:{separator}{written}"


def test_other_strings_are_blocks_only_over_several_lines() -> None:
    """A field that is not called `content` stays on its line as long as it has but one."""
    assert emit({"a": "x", "b": "x\ty", "c": ["x\ny"]}) == '---\na: "x"\nb: "x\\ty"\nc:\n- |-\n  x\n  y\n'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (10**60 + 1, "1" + "0" * 59 + "1"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e-07, "1.0e-07"),
        (1.5e300, "1.5e+300"),
        (1e16, "1.0e+16"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        ([], "[]"),
        ({}, "{}"),
        ((), "[]"),
    ],
)
def test_numbers_have_a_form_that_all_readers_take_for_a_number(value: Any, written: str) -> None:
    """A float has a dot, and a sign before its exponent: YAML 1.1 takes `1e-07` for a string."""
    text = emit({"a": value})
    assert text == f"---\na: {written}\n"
    assert same(with_libyaml(text), {"a": value})
    assert same(load(text.encode()), {"a": value})


@pytest.mark.parametrize("key", ["a", "_a", "$ref", "x-y", "additionalProperties", "A1", "null_", "e1"])
def test_a_key_like_a_name_is_plain(key: str) -> None:
    """A name needs no quotes."""
    assert emit({key: 1}) == f"---\n{key}: 1\n"


@pytest.mark.parametrize("key", [*"y N yes No on OFF true False NULL ~ 1 1.5 _1 -a a.b a: <<".split(), "", " ", "a b"])
def test_a_key_that_some_reader_takes_for_something_else_is_quoted(key: str) -> None:
    """Words and numbers that YAML 1.1 or 1.2 resolves, and everything with punctuation."""
    assert emit({key: 1}) == f'---\n"{key}": 1\n'


def test_a_key_too_long_for_yaml_is_kept_in_pairs() -> None:
    """Readers look for a key's colon in 1,024 characters only."""
    document = {"a": {"k" * 1001: 1, "b": [{}]}}
    text = emit(document)
    assert text.startswith('---\na:\n  encoding: "key-value-pairs"\n  data:\n  - - "kkk')
    assert load(text.encode()) == document


@pytest.mark.parametrize("encoding", ["json-string", "key-value-pairs", "json-string!", "key-value-pairs!!"])
def test_a_mapping_that_looks_encoded_is_escaped(encoding: str) -> None:
    """The genuine mapping {encoding, data} survives, at any depth, by an exclamation mark."""
    document = {"encoding": encoding, "data": {"encoding": encoding, "data": "x"}}
    text = emit(document)
    assert f'\nencoding: "{encoding}!"\n' in text
    assert load(text.encode()) == document


@other_readers
def test_awkward_strings_come_back(read: Callable[[str], Any]) -> None:
    """As a text, a value, an item, a key and beside others, with every reader."""
    for text in AWKWARD:
        document = {"content": text, "value": text, "items": [text, [text, {text: text}]], "last": {text: [{}]}}
        assert decoded(read(emit(document))) == document, ascii(text)


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_strings_come_back_from_our_reader(text: str) -> None:
    """As a text, a value, an item, a key and beside others; and the file counts as our own."""
    document = {"content": text, "value": text, "items": [text, [text, {text: text}]], "last": {text: [{}]}}
    written = emit(document).encode()
    assert load(written) == document
    assert is_own_format(written)


def test_all_but_what_yaml_cannot_carry_is_a_block() -> None:
    """Of the awkward strings those without control characters and the like are blocks, tabs and emoji included."""
    never_in_blocks = set("\r\x85\u2028\u2029\x00\x1b\x7f\x9f\ufeff\ufffe\uffff\ufdd0\U0001fffe")
    for text in AWKWARD:
        carried = bool(text) and not never_in_blocks & set(text)
        carried = carried and not any("\ud800" <= character <= "\udfff" for character in text)
        assert emit({"content": text}).startswith("---\ncontent: |") == carried, ascii(text)


@given(documents)
@settings(deadline=None)
def test_every_json_value_comes_back(document: dict[str, Any]) -> None:
    """Our reader gives back what was written, from the one form that the value has."""
    text = emit(document)
    assert same(load(text.encode()), document)
    assert emit(load(text.encode())) == text
    assert is_own_format(text.encode())


@other_readers
@given(document=documents)
@settings(deadline=None, max_examples=50)
def test_every_json_value_comes_back_from_other_readers(read: Callable[[str], Any], document: dict[str, Any]) -> None:
    """PyYAML with and without libyaml, and ruamel.yaml, which reads YAML 1.2."""
    assert same(decoded(read(emit(document))), document)


def nested(levels: int) -> dict[str, Any]:
    value: Any = {}
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


def test_what_is_written_is_within_what_is_read() -> None:
    """The deepest value that is written is read; one level more is refused before it is written."""
    deepest = nested(99)
    assert load(emit(deepest).encode()) == deepest
    with pytest.raises(CassetteError, match="more than 100 levels"):
        emit(nested(100))


@pytest.mark.parametrize(
    ("document", "limits", "reason"),
    [
        ({"content": "x" * 100}, Limits(document=100), "a document of more than 100 bytes"),
        ({"content": "\u00e4" * 60}, Limits(line=100), "a line of more than 100 bytes"),
        ({"a": list(range(100))}, Limits(values=100), "more than 100 values"),
        ({"a": 10**5000}, Limits(), "a whole number that is too long"),
    ],
)
def test_what_no_reader_takes_is_not_written(document: dict[str, Any], limits: Limits, reason: str) -> None:
    """The message says what is too large."""
    with pytest.raises(CassetteError, match=reason):
        emit(document, limits)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), {1: "a"}])
def test_what_is_not_json_is_refused(value: Any) -> None:
    """The message names the type."""
    with pytest.raises(TypeError, match="recorded"):
        emit({"a": value})
