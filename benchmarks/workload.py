"""The call that is replayed, its recordings in our format and in vcrpy's, and the floor beneath it.

The prompt has about 3.5 kB, the reply ten objects. Call number n differs from the others in one argument and in
its reply, so that a wrong answer is noticed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from llm_strategy import Cassette, Request, ScriptedModel, llm_strategy, use_cassette

MODEL = "openai:gpt-5-mini"
MARK = re.compile(r"request-\d{7}")
_ARGUMENT = re.compile(r"^[ab] = (\d+)$", re.MULTILINE)


@dataclass
class Product:
    """What a shop sells."""

    key: str
    name: str
    price: float
    stock: int
    tags: list[str]


@dataclass
class Customer:
    """Who buys there."""

    key: str
    first_name: str
    last_name: str
    birthdate: str
    address: str


@dataclass
class Shop:
    """Its method is what the benchmark calls."""

    customers: list[Customer]

    def find(self, query: str, limit: int) -> list[Product]:
        """Find the products that a customer who writes the query would like to see first.

        Read the query as a person would who has worked in this shop for years. Names may be misspelled, sizes may be
        given in any unit, and a query may speak of a friend or a child instead of the customer who writes it. What
        the customers have in common, such as the town they live in or the year they were born in, may be used to
        break ties, but never to leave a product out that the query asks for by name.

        Products in stock come before those that are not. Among equals the cheaper one comes first, then the one
        whose key comes first in the alphabet. A product appears once, however many of its tags fit. Give no more
        products than the limit says, and fewer where fewer fit: an empty list is an answer too.

        Prices are in euros with tax, stock is the number of pieces in the nearest store, and tags are lower case
        and sorted. Write names as the manufacturer does.
        """
        raise NotImplementedError


CUSTOMERS = [
    Customer(f"c{n}", f"First {n}", f"Last {n}", f"19{50 + n}-05-17", f"{n} Long Street, Some Town") for n in range(8)
]
LIMIT = 10


def mark(number: int) -> str:
    """What call number n has that no other call has; always as long."""
    return f"request-{number:07d}"


def query(number: int) -> str:
    return f"something warm for the garden, as in {mark(number)}"


def reply(marked: str) -> str:
    """The right answer to the call with this mark."""
    products = [Product(f"{marked}-{n}", f"Product {n}", 9.5 + n, n, ["garden", "warm"]) for n in range(LIMIT)]
    return json.dumps({"return_value": [vars(product) for product in products]})


def check(products: Iterable[Product], number: int) -> None:
    """Refuse a wrong answer: a fast one would be worth nothing."""
    marked = mark(number)
    keys = [product.key for product in products]
    if keys != [f"{marked}-{n}" for n in range(LIMIT)]:
        raise AssertionError(f"call {number} was answered by {keys}")


def answer(request: Request) -> str:
    found = MARK.search(request.messages[-1].content)
    assert found is not None
    return reply(found[0])


class Ours:
    """The decorated class, and cassettes with many of its calls."""

    def __init__(self) -> None:
        self.shop = llm_strategy(MODEL)(Shop)(CUSTOMERS)
        self.recorder = llm_strategy(ScriptedModel(answer, name=MODEL, recorded=True))(Shop)(CUSTOMERS)

    def call(self, number: int) -> None:
        check(self.shop.find(query(number), LIMIT), number)

    def cassette(self, path: Path, mode: str = "replay") -> AbstractContextManager[Any]:
        return use_cassette(path, mode)

    def request(self, number: int) -> Request:
        request: Request = self.shop.find.request(query(number), LIMIT)  # type: ignore[attr-defined]  # see StrategyMember
        return request

    def record(self, path: Path, count: int) -> Path:
        """A cassette with calls 0 to count - 1: one is recorded, the others are its copies with another mark.

        Recording them all would be right too, and take a minute: each is synced to the disk.
        """
        with use_cassette(path, "new"):
            self.recorder.find(query(0), LIMIT)
        text = path.read_text(encoding="utf-8")
        header, separator, document = text.partition("---\nkey: ")
        call = Cassette(path)[0]
        digest = _digest(call.key, call.response.to_json())
        assert document.count(digest) == 1, "the digest is not made as the format's page says"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(header)
            for number in range(count):
                key = self.request(number).key
                response = json.loads(json.dumps(call.response.to_json()).replace(mark(0), mark(number)))
                copy = document.replace(mark(0), mark(number)).replace(call.key, key)
                file.write(separator + copy.replace(digest, _digest(key, response)))
        return path


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _digest(key: str, response: Any) -> str:
    return sha256(_encode({"key": key, "response": response}).encode()).hexdigest()


class Floor:
    """What no replay can do without: canonical JSON, SHA-256, a look into a dict, and validating the reply."""

    def __init__(self, ours: Ours, numbers: Iterable[int]) -> None:
        from pydantic import TypeAdapter

        self._template = _encode(ours.request(0).to_json())
        self._documents = {n: json.loads(self._template.replace(mark(0), mark(n))) for n in numbers}
        self._replies = {self._key(document): reply(mark(n)) for n, document in self._documents.items()}
        self._adapter = TypeAdapter(answer_type())

    def _key(self, document: Any) -> str:
        return sha256(_encode(document).encode()).hexdigest()

    def call(self, number: int) -> None:
        text = self._replies[self._key(self._documents[number])]
        check(self._adapter.validate_json(text).return_value, number)


@dataclass
class Store:
    """The shop under other names, which no cassette has."""

    customers: list[Customer]

    def search(self, text: str, limit: int) -> list[Product]:
        raise NotImplementedError

    search.__doc__ = Shop.find.__doc__


class Renamed:
    """Calls that are not recorded, of a function that is not recorded either."""

    def __init__(self) -> None:
        self._store = llm_strategy(MODEL)(Store)(CUSTOMERS)

    def call(self, number: int) -> None:
        self._store.search(query(number), LIMIT)


def adder() -> Callable[[int, int], int]:
    """A function of two numbers that a model in this process answers."""

    @llm_strategy(ScriptedModel(_sum))
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        raise NotImplementedError

    return add


def _sum(request: Request) -> str:
    a, b = _ARGUMENT.findall(request.messages[-1].content)
    return f'{{"return_value": {int(a) + int(b)}}}'


def answer_type() -> Any:
    """The form of a reply, as users of the SDK write it."""
    from pydantic import BaseModel

    class Answer(BaseModel):
        return_value: list[Product]

    return Answer


class Vcrpy:
    """`openai`'s `chat.completions.parse` with the same prompt, replayed by vcrpy, which compares bodies too."""

    def __init__(self, ours: Ours) -> None:
        import httpx2
        import openai

        transport = httpx2.MockTransport(self._provide)
        self._client: Any = openai.OpenAI(
            api_key="unused",
            base_url="http://provider.invalid/v1",
            max_retries=0,
            http_client=httpx2.Client(transport=transport),
        )
        self._messages = [{"role": m.role, "content": m.content} for m in ours.request(0).messages]
        self._answer = answer_type()
        self._recording = False

    def _provide(self, request: Any) -> Any:
        import httpx2

        if not self._recording:
            raise AssertionError("vcrpy has let a request pass")
        found = MARK.search(request.content.decode())
        assert found is not None
        message = {"role": "assistant", "content": reply(found[0])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return httpx2.Response(200, json=completion)

    @cached_property
    def _vcr(self) -> Any:
        import vcr  # type: ignore[import-untyped]  # vcrpy has no types

        matched = ("method", "scheme", "host", "port", "path", "query", "body")
        return vcr.VCR(match_on=matched, filter_headers=["authorization"])

    def cassette(self, path: Path, mode: str = "none") -> AbstractContextManager[Any]:
        cassette: AbstractContextManager[Any] = self._vcr.use_cassette(str(path), record_mode=mode)
        return cassette

    def call(self, number: int) -> None:
        system, user = self._messages
        user = user | {"content": user["content"].replace(mark(0), mark(number))}
        completion = self._client.chat.completions.parse(
            model="gpt-5-mini", messages=[system, user], response_format=self._answer
        )
        check(completion.choices[0].message.parsed.return_value, number)

    def record(self, path: Path, count: int) -> Path:
        """A cassette with calls 0 to count - 1, as `Ours.record` makes it."""
        self._recording = True
        with self.cassette(path, "once"):
            self.call(0)
        self._recording = False
        text = path.read_text(encoding="utf-8")
        header, separator, rest = text.partition("interactions:\n")
        interaction, end, tail = rest.partition("version: 1\n")
        assert interaction.count(mark(0)) > LIMIT, "the mark does not stand in vcrpy's file as it is"
        copies = (interaction.replace(mark(0), mark(number)) for number in range(count))
        path.write_text(header + separator + "".join(copies) + end + tail, encoding="utf-8")
        return path


def spread(count: int, of: int) -> list[int]:
    """At most `count` numbers from 1 to `of - 1`, evenly spaced, the last among them."""
    step = -(-(of - 1) // count)
    return list(range(of - 1, 0, -step))[::-1]


def each(call: Callable[[int], None], numbers: Iterable[int]) -> None:
    for number in numbers:
        call(number)
