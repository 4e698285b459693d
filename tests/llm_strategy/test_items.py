"""The items of a list are found in whatever pieces a reply comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_strategy.cassette.document import call_document
from llm_strategy.cassette.reader import load
from llm_strategy.items import ItemReader
from llm_strategy.log import Call
from llm_strategy.values import Request, Response

SIGNS = [*'a"\\{}[],: \n😀\u2028', "\ud800", "return_value", "<think>"]
texts = st.lists(st.sampled_from(SIGNS), max_size=8).map("".join)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
layouts = st.fixed_dictionaries({"indent": st.sampled_from([None, 2]), "ensure_ascii": st.booleans()})
around = st.sampled_from(
    [("", ""), ("Sure, {so}: ", " Done."), ('<think>"return_value": [7, </think>\n```\n', "\n```")]
)


def read(text: str, sizes: list[int]) -> tuple[ItemReader, list[list[Any]]]:
    """The reader, and the items found in each piece; the sizes are those of the pieces, over and over."""
    reader, found, at = ItemReader(), [], 0
    while at < len(text):
        size = sizes[len(found) % len(sizes)]
        found.append([json.loads(item, strict=False) for item in reader.feed(text[at : at + size])])
        at += size
    return reader, found


@given(st.lists(values, max_size=5), layouts, around, st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_all_items_are_found_however_the_text_is_cut(
    items: list[Any], layout: dict[str, Any], noise: tuple[str, str], sizes: list[int]
) -> None:
    """Values of every JSON type, laid out in every way, with noise around the object and without."""
    text = json.dumps({"return_value": items}, **layout)
    reader, found = read(noise[0] + text + noise[1], sizes)
    assert repr([item for piece in found for item in piece]) == repr(items)
    assert reader.complete
    assert not reader.broken
    assert reader.is_plain == (noise == ("", ""))


@given(st.lists(values, max_size=5), layouts, st.data())
def test_what_is_cut_off_has_no_more_items_than_are_complete(
    items: list[Any], layout: dict[str, Any], data: st.DataObject
) -> None:
    """A text that ends anywhere gives a beginning of the items, and is not complete before its last bracket."""
    text = json.dumps({"return_value": items}, **layout)
    end = data.draw(st.integers(0, text.rindex("]")))
    reader, found = read(text[:end], [3])
    given_out = [item for piece in found for item in piece]
    assert repr(given_out) == repr(items[: len(given_out)])
    assert not reader.complete


@given(st.text(st.sampled_from('"\\{}[],:1 a\n')), st.lists(st.integers(1, 5), min_size=1))
def test_whatever_follows_is_read_without_an_error(text: str, sizes: list[int]) -> None:
    """What is no JSON is broken, and every item that was given out before is JSON."""
    read('{"return_value": [' + text, sizes)


COMPLETE_WITH = [
    ('{"return_value": [{"a": "}"}', 1),
    ('{"return_value": [{"a": "}"', 0),
    ('{"return_value": ["a\\"', 0),
    ('{"return_value": ["a\\""', 1),
    ('{"return_value": [12', 0),
    ('{"return_value": [12 ', 1),
    ('{"return_value": [12,', 1),
    ('{"return_value": [[1, [2]]', 1),
    ('{"more": {"a": [1]}, "return_value": [1, 2,', 2),
]


@pytest.mark.parametrize(("text", "count"), COMPLETE_WITH)
def test_an_item_is_found_with_its_last_character(text: str, count: int) -> None:
    """Texts, lists and objects end with their last sign; numbers with what follows them."""
    assert sum(map(len, read(text, [1])[1])) == count


def test_a_long_item_in_small_pieces() -> None:
    """One text of a million characters, three at a time: what has been read is not read again."""
    text = "a" * 1_000_000
    found = read(json.dumps({"return_value": [text]}), [3])[1]
    assert [item for piece in found for item in piece] == [text]


# The pieces of what is written with a placeholder in it

pieces = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6)


@given(pieces, pieces, st.text("ab", max_size=3))
def test_pieces_make_up_the_text_that_is_written(before: list[str], after: list[str], more: str) -> None:
    """Wherever pieces cut a credential, they are, joined, the text with its placeholder, and none is empty."""
    secret = f"sk-{'x0' * 15}"
    whole = [*before, "/", *(secret[at : at + 7] for at in range(0, len(secret), 7)), f"/{more}", *after]
    request = Request("test:model", ())
    written = load(call_document(Call(request.key, 1, None, request, Response("".join(whole), pieces=tuple(whole)))))
    response = Response.from_json(written["response"])
    assert response.content == "".join(before) + "/<openai-key>/" + more + "".join(after)
    assert "".join(response.pieces) == response.content
    assert all(response.pieces)
    assert list(response.pieces[: len(before)]) == before
    assert list(response.pieces[-len(after) :]) == after
