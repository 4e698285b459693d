"""The stand-in server of the examples: asked by the real `openai` client, it computes its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from examples.stand_in import running
from llm_strategy import llm_strategy

ROOT = Path(__file__).parents[2]


@dataclass
class Customer:
    key: str
    first_name: str
    last_name: str
    birthdate: str
    address: str


@llm_strategy("openai:gpt-5-mini")
@dataclass
class Customers:
    customers: list[Customer]

    def find_customer_key(self, query: str) -> list[str]:
        """Find the keys of the customers that match a query best. Ages are those on 2026-01-01."""
        raise NotImplementedError

    def find_customers(self, query: str) -> list[Customer]:
        """Find the customers that match a query best. Ages are those on 2026-01-01."""
        raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def create_mock_customers(num_customers: int) -> list[Customer]:
    """Make up customers."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def age(birthdate: str, today: str) -> int:
    """The age in full years on a day."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def sentiment(review: str) -> Literal["positive", "neutral", "negative"]:
    """Whether a review praises or complains."""
    raise NotImplementedError


@dataclass
class Contact:
    name: str
    email: str
    age: int | None


@llm_strategy("openai:gpt-5-mini")
def extract_contact(text: str) -> Contact:
    """Who wrote a text."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def paint(motif: str) -> str:
    """Paint a picture."""
    raise NotImplementedError


PEOPLE = [
    Customer("c1", "Ana", "Souza", "1990-05-17", "3 Rua da Aurora, Recife, Brazil"),
    Customer("c2", "Lena", "Krüger", "1985-01-02", "14 Karl-Heine-Straße, Leipzig, Germany"),
    Customer("c3", "Yui", "Mori", "1990-11-30", "8 Odori Nishi, Sapporo, Japan"),
    Customer("c4", "Tunde", "Bello", "1958-07-09", "21 Ring Road, Ibadan, Nigeria"),
    Customer("c5", "Hugo", "Moreau", "2003-02-28", "5 Rue de la République, Lyon, France"),
]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="unused") as client:
        yield client


def messages(request: Any) -> list[Any]:
    return [{"role": message.role, "content": message.content} for message in request.messages]


def search(query: str, people: list[Customer] = PEOPLE) -> Any:
    """The request of one search."""
    database: Any = Customers(people)
    return database.find_customer_key.request(query)


def ask(client: openai.OpenAI, request: Any) -> Any:
    """What the function returns, as JSON."""
    completion = client.chat.completions.create(model="any", messages=messages(request))
    return json.loads(completion.choices[0].message.content or "")["return_value"]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("the customer that was born in 1990", ["c1", "c3"]),
        ("born in the 80s", ["c2"]),
        ("Who was born in the 2000s?", ["c5"]),
        ("born before 1986", ["c2", "c4"]),
        ("born after 1985 and before 2000", ["c1", "c3"]),
        ("born between 1950 and 1985", ["c2", "c4"]),
        ("born on 1958-07-09", ["c4"]),
        ("born in November", ["c3"]),
        ("born in 1985 or 1958", ["c2", "c4"]),
        ("not born in 1990", ["c2", "c4", "c5"]),
        ("older than 40", ["c4"]),
        ("at least 40", ["c2", "c4"]),
        ("under 30", ["c5"]),
        ("35 years old", ["c1", "c3"]),
        ("in their 60s", ["c4"]),
        ("the oldest", ["c4"]),
        ("the two youngest customers", ["c5", "c3"]),
        ("the youngest customer outside Europe", ["c3"]),
        ("Kruger", ["c2"]),
        ("Krüger's address", ["c2"]),
        ("Ana or Hugo", ["c1", "c5"]),
        ("lives in Lyon", ["c5"]),
        ("European customers", ["c2", "c5"]),
        ("Asian and born in 1990", ["c3"]),
        ("nice people from Nigeria, please", ["c4"]),
        ("everyone", ["c1", "c2", "c3", "c4", "c5"]),
        ("customers in Narnia", []),
        ("born in 1971", []),
    ],
)
def test_search(client: openai.OpenAI, query: str, keys: list[str]) -> None:
    """A search gives the keys of the customers that fit each part of the query."""
    assert ask(client, search(query)) == keys


def test_search_depends_on_the_data(client: openai.OpenAI) -> None:
    """The same query over other customers gives other keys: the answer comes from the prompt's data."""
    assert ask(client, search("born in 1990", PEOPLE[:2])) == ["c1"]
    assert ask(client, search("born in 1990", PEOPLE[2:])) == ["c3"]


def test_search_of_records(client: openai.OpenAI) -> None:
    """Where the result's type is a list of customers, whole records come back."""
    database: Any = Customers(PEOPLE)
    found = ask(client, database.find_customers.request("Leipzig"))
    assert [Customer(**record) for record in found] == [PEOPLE[1]]


def test_mock_customers(client: openai.OpenAI) -> None:
    """Mock customers are as many as asked for, differ from each other, and are the same each time."""
    request = create_mock_customers.request(12)
    made = ask(client, request)
    assert [list(record) for record in made] == [["key", "first_name", "last_name", "birthdate", "address"]] * 12
    assert len({json.dumps(record) for record in made}) == len({record["key"] for record in made}) == 12
    assert ask(client, request) == made
    assert ask(client, create_mock_customers.request(3)) != made[:3]


@pytest.mark.parametrize(
    ("request_", "value"),
    [
        (age.request("1990-05-17", "2026-05-16"), 35),
        (age.request("1990-05-17", "2026-05-17"), 36),
        (add.request(17, 25), 42),
        (sentiment.request("Great shop, fast delivery!"), "positive"),
        (sentiment.request("Not good: the lamp came broken."), "negative"),
        (sentiment.request("The lamp is on the table."), "neutral"),
        (
            extract_contact.request("I am Ada Okafor, 36 years old; write to ada@example.org."),
            {"name": "Ada Okafor", "email": "ada@example.org", "age": 36},
        ),
        (
            extract_contact.request("Questions go to Yui Mori (yui.mori@example.org)."),
            {"name": "Yui Mori", "email": "yui.mori@example.org", "age": None},
        ),
    ],
)
def test_functions(client: openai.OpenAI, request_: Any, value: Any) -> None:
    """Ages, sums, sentiments and fields are worked out from the arguments."""
    assert ask(client, request_) == value


def test_answering_model(client: openai.OpenAI) -> None:
    """Every response says that the local stand-in answered, whatever model was asked for."""
    completion = client.chat.completions.create(model="gpt-5-mini", messages=messages(add.request(1, 2)))
    assert completion.model == "local stand-in"
    assert completion.choices[0].finish_reason == "stop"
    assert [model.id for model in client.models.list()] == ["local stand-in"]


def test_usage(client: openai.OpenAI) -> None:
    """Usage counts words and punctuation marks."""
    completion = client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Good day, all!"}])
    assert completion.choices[0].message.content == "You wrote 3 words."
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (5, 5)


def test_plain_conversation(client: openai.OpenAI) -> None:
    """A text that describes no call gets a computed reply, as text or as JSON."""
    question: Any = [{"role": "user", "content": "What is 2+3?"}]
    assert client.chat.completions.create(model="any", messages=question).choices[0].message.content == "5"
    reply = client.chat.completions.create(model="any", messages=question, response_format={"type": "json_object"})
    assert json.loads(reply.choices[0].message.content or "") == {"answer": "5"}


def test_repaired_conversation(client: openai.OpenAI) -> None:
    """A conversation that goes on after a reply is answered for the call it began with."""
    repair: list[Any] = [
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "That is no JSON object."},
    ]
    completion = client.chat.completions.create(model="any", messages=[*messages(add.request(1, 2)), *repair])
    assert completion.choices[0].message.content == '{"return_value": 3}'


def test_parse(client: openai.OpenAI) -> None:
    """`parse` with a pydantic model gets JSON that fits the schema, for a call and for a plain text."""

    class Sum(BaseModel):
        return_value: int

    class Order(BaseModel):
        date: str
        mail: str

    completion = client.chat.completions.parse(model="any", messages=messages(add.request(4, 5)), response_format=Sum)
    assert completion.choices[0].message.parsed == Sum(return_value=9)
    text: Any = [{"role": "user", "content": "Ordered on 2026-03-04 by lena@example.org"}]
    order = client.chat.completions.parse(model="any", messages=text, response_format=Order)
    assert order.choices[0].message.parsed == Order(date="2026-03-04", mail="lena@example.org")


def test_stream(client: openai.OpenAI) -> None:
    """A streamed reply comes in pieces that add up to the whole; the last piece bears the usage."""
    asked = messages(search("born in 1990"))
    stream = client.chat.completions.create(
        model="any", messages=asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 5
    assert json.loads("".join(pieces)) == {"return_value": ["c1", "c3"]}
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(pieces) - 1
    assert {chunk.model for chunk in chunks} == {"local stand-in"}


def test_text(client: openai.OpenAI) -> None:
    """A call whose result is a text as it is gets no JSON object around it."""

    @llm_strategy("openai:any")
    def greet_all(name: str) -> Iterator[str]:
        """Greet."""
        raise NotImplementedError

    completion = client.chat.completions.create(model="any", messages=messages(greet_all.request("Ada")))
    assert completion.choices[0].message.content == "Hello, Ada!"


def test_completions(client: openai.OpenAI) -> None:
    """The older endpoint takes the prompt as one text, whole and streamed."""
    prompt = "\n\n".join(message.content for message in add.request(20, 22).messages)
    completion = client.completions.create(model="any", prompt=prompt, max_tokens=256)
    assert completion.choices[0].text == '{"return_value": 42}'
    pieces = [chunk.choices[0].text for chunk in client.completions.create(model="any", prompt=prompt, stream=True)]
    assert "".join(pieces) == '{"return_value": 42}'


def test_cut_off(client: openai.OpenAI) -> None:
    """A reply longer than the most tokens allowed is cut off and says so."""
    asked = messages(create_mock_customers.request(2))
    completion = client.chat.completions.create(model="any", messages=asked, max_completion_tokens=10)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 10


async def _ask_async(base_url: str) -> str | None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key="unused") as client:
        completion = await client.chat.completions.create(model="any", messages=messages(add.request(1, 1)))
        return completion.choices[0].message.content


@pytest.mark.asyncio
async def test_async_client(base_url: str) -> None:
    """The asynchronous client is answered like the other."""
    assert await _ask_async(base_url) == '{"return_value": 2}'


def test_unknown_function(client: openai.OpenAI) -> None:
    """A function that it cannot compute is an error that lists those it can."""
    with pytest.raises(openai.BadRequestError, match=r"does not know paint; it knows add\*, age, ") as caught:
        ask(client, paint.request("a sunrise"))
    assert caught.value.type == "invalid_request_error"


def test_age_without_a_day(client: openai.OpenAI) -> None:
    """An age that refers to no day is refused: the clock is never asked."""
    request = messages(search("older than 40"))
    request[1]["content"] = request[1]["content"].replace(" Ages are those on 2026-01-01.", "")
    with pytest.raises(openai.BadRequestError, match="names no day that ages refer to"):
        client.chat.completions.create(model="any", messages=request)


def test_age_in_a_year(client: openai.OpenAI) -> None:
    """Where the documentation names a year only, ages are those that people reach in it."""
    request = messages(search("aged 32"))
    request[1]["content"] = request[1]["content"].replace("those on 2026-01-01", "those in the current year (2022)")
    completion = client.chat.completions.create(model="any", messages=request)
    assert json.loads(str(completion.choices[0].message.content)) == {"return_value": ["c1", "c3"]}


@pytest.mark.parametrize("body", [b"", b"no JSON", b"{}", b"[]", b'{"messages": []}', b'{"messages": ["hello"]}'])
def test_unreadable_request(base_url: str, body: bytes) -> None:
    """What is no request is refused in OpenAI's format."""
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(f"{base_url}/chat/completions", body)
    with caught.value as response:
        assert list(json.load(response)["error"]) == ["message", "type", "param", "code"]


@pytest.mark.parametrize("body", [None, b"{}"])
def test_unknown_address(base_url: str, body: bytes | None) -> None:
    """An address that it does not serve is a 404 in OpenAI's format."""
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{base_url}/embeddings", body)
    with caught.value as response:
        assert "no such address" in json.load(response)["error"]["message"]


def test_command() -> None:
    """Started as a program it prints the variables to set, and serves."""
    command = [sys.executable, str(ROOT / "examples" / "stand_in.py"), "--port", "0", "--delay", "0.01"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            variables = dict(word.split("=", 1) for word in process.stdout.readline().split() if "=" in word)
            assert set(variables) == {"OPENAI_BASE_URL", "OPENAI_API_KEY"}
            with openai.OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key=variables["OPENAI_API_KEY"]) as client:
                assert ask(client, add.request(2, 2)) == 4
        finally:
            process.terminate()


def test_a_taken_port_is_told_in_a_line() -> None:
    """Forgotten in the background, the server has its port still: the next one says so, and what to do."""
    with running() as base_url:
        port = base_url.rpartition(":")[2].partition("/")[0]
        second = [sys.executable, "examples/stand_in.py", "--port", port]
        ended = subprocess.run(second, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 2
    assert f"port {port} cannot be had" in ended.stderr
    assert "--port 0 takes any" in ended.stderr
    assert "Traceback" not in ended.stderr
