"""The application example in the README of llm-strategy 2.2.0, with nothing changed but where the model comes from."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.stand_in import running
from llm_strategy import use_cassette
from tests.llm_strategy.answers import reply
from tests.llm_strategy.loopback import Loopback, Reply, Seen, failure

README = Path(__file__).with_name("README-of-2.2.0.md")
IMPORT, MODEL = "from langchain.llms import OpenAI", r"OpenAI\((max_tokens=\d+)\)"
PEOPLE = [
    {"key": "1", "first_name": "Ada", "last_name": "Bell", "birthdate": "1990-05-17", "address": "1 Row, Leeds"},
    {"key": "2", "first_name": "Ben", "last_name": "Cole", "birthdate": "1985-01-02", "address": "2 Rua, Recife"},
]
FORMS: dict[str, Callable[[str], str]] = {
    "langchain": lambda text: text.replace(IMPORT, "from langchain_openai import OpenAI"),
    "string": lambda text: re.sub(MODEL, r'"openai:gpt-5-mini", \1', text.replace(IMPORT, "")),
}

Load = Callable[[str], Any]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """How the listing names its model."""
    return str(request.param)


@pytest.fixture
def load(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """The names of the listing, once a provider has its address in the environment."""
    name = "application_of_the_original"

    def loaded(address: str) -> Any:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        (listing,) = re.findall(r"## Application Example\n\n```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
        assert IMPORT in listing
        assert len(re.findall(MODEL, listing)) == 2
        file = tmp_path / f"{name}.py"
        file.write_text(FORMS[form](listing), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield loaded
    sys.modules.pop(name, None)


def asked(seen: Seen) -> str:
    """The prompt, of a completion or of a chat."""
    prompt = seen.body["messages"][-1]["content"] if "messages" in seen.body else seen.body["prompt"]
    return str(prompt if isinstance(prompt, str) else prompt[0])


def answer(seen: Seen) -> str | Reply:
    """What a model would say to the three functions of the listing."""
    prompt = asked(seen)
    if "create_mock_customers(num_customers: int" in prompt:
        return reply(PEOPLE)
    if "Customer.age" in prompt:
        born = re.search(r'"birthdate": "(\d{4})', prompt)
        return reply(2022 - int(born[1])) if born else failure(400, "the prompt has no birthdate")
    return reply([person["key"] for person in PEOPLE if "born in 1990" in prompt and "1990" in person["birthdate"]])


def use(listing: Any) -> None:
    """What somebody does with the example."""
    database = listing.MockCustomerDatabase([])
    database.load()
    database.store()
    assert database.customers == [listing.Customer(**person) for person in PEOPLE]
    assert [customer.age for customer in database.customers] == [32, 37]
    assert database.find_customer_key("the customer that was born in 1990") == ["1"]


def test_it_runs_against_a_server(load: Load, form: str, tmp_path: Path) -> None:
    """Customers come as the listing's own class, with ages and a search; each call has the tokens that it was given."""
    with Loopback(*[answer] * 4) as server, use_cassette(tmp_path / "calls.yaml", mode="new"):
        listing = load(server.url)
        use(listing)
    assert server.unexpected == 0
    path = "/v1/completions" if form == "langchain" else "/v1/chat/completions"
    assert {seen.path for seen in server.requests} == {path}
    limits = [body.get("max_tokens") or body.get("max_completion_tokens") for body in server.bodies]
    assert limits == [1024, 256, 256, 1024]
    # The server is gone.
    with use_cassette(tmp_path / "calls.yaml", mode="replay"):
        use(listing)


def test_the_stand_in_answers_it(load: Load, tmp_path: Path) -> None:
    """Without a key: ten people of the world, the age that each reaches in 2022, and who was born in a year."""
    with running() as address, use_cassette(tmp_path / "unused.yaml", mode="live"):
        database = load(address).MockCustomerDatabase([])
        database.load()
        assert len({customer.key for customer in database.customers}) == 10
        for customer in database.customers[:3]:
            born = int(customer.birthdate[:4])
            assert customer.age == 2022 - born
            found = database.find_customer_key(f"the customer that was born in {born}")
            assert found == [other.key for other in database.customers if other.birthdate.startswith(str(born))]
