"""How a user tests the customer database: recorded once with `pytest --llm-record examples`, replayed ever after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from examples.customer_database import Customer, CustomerDatabase, MockCustomerDatabase
from llm_strategy import Call

CUSTOMERS = [
    Customer("ana", "Ana", "Souza", "1990-05-17", "3 Rua da Aurora, Recife, Brazil"),
    Customer("lena", "Lena", "Krüger", "1985-01-02", "14 Karl-Heine-Straße, Leipzig, Germany"),
    Customer("yui", "Yui", "Mori", "1990-11-30", "8 Odori Nishi, Sapporo, Japan"),
    Customer("tunde", "Tunde", "Bello", "1958-07-09", "21 Ring Road, Ibadan, Nigeria"),
]
SEARCHES: dict[str, set[str]] = {
    "born in 1990": {"ana", "yui"},
    "born in the 80s": {"lena"},
    "the oldest customer": {"tunde"},
    "Kruger": {"lena"},
    "a Brazilian woman": {"ana"},
    "somebody in Iceland": set(),
}


@pytest.fixture(scope="module")
def database() -> CustomerDatabase:
    """Made by the model once for all tests below; the call belongs to this fixture's cassette."""
    database = MockCustomerDatabase([])
    database.load()
    return database


def test_mock_customers(database: CustomerDatabase) -> None:
    """As many customers as asked for, each with a key and a birthdate of its own."""
    assert len({customer.key for customer in database.customers}) == 10
    assert all(len(customer.birthdate.split("-")) == 3 for customer in database.customers)


@pytest.mark.parametrize("query", SEARCHES)
def test_search(query: str) -> None:
    """A search gives exactly the customers that fit."""
    assert set(MockCustomerDatabase(CUSTOMERS).find_customer_key(query)) == SEARCHES[query]


def test_search_finds_its_own(database: CustomerDatabase) -> None:
    """Every customer whose birth year is asked for comes back, and nobody else."""
    born = {customer.key for customer in database.customers if customer.birthdate.startswith("1990")}
    assert set(database.find_customer_key("born in 1990")) == born


def test_age(llm_calls: Sequence[Call]) -> None:
    """An age is one call: a whole number of years, on the day that the docstring names."""
    assert [customer.age for customer in CUSTOMERS] == [35, 40, 35, 67]
    assert [call.function for call in llm_calls] == ["Customer.age"] * 4


def test_prompt(llm_calls: Sequence[Call], prompt_snapshot: Any) -> None:
    """A pull request that changes the prompt shows it as a diff of the snapshot."""
    assert MockCustomerDatabase(CUSTOMERS[:2]).find_customer_key("born in 1990") == ["ana"]
    assert llm_calls == prompt_snapshot
