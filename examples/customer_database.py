"""A customer database that is searched in plain words. What has no body here is implemented by a model.

    python examples/customer_database.py "born in 1990"

Without a key it replays cassettes/examples/customer_database.yaml, which holds QUERIES. With OPENAI_API_KEY,
OPENAI_BASE_URL or LLM_STRATEGY_MODEL in the environment it asks that model, whatever the query.

    python examples/customer_database.py --record

asks for what the cassette does not hold yet, and keeps the answers.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from llm_strategy import Cassette, CassetteMiss, ModelError, llm_strategy, use_cassette

MODEL = os.environ.get("LLM_STRATEGY_MODEL") or "openai:gpt-5-mini"
CASSETTE = Path(__file__).parents[1] / "cassettes" / "examples" / "customer_database.yaml"
QUERIES = ["born in 1990", "the oldest customer in Asia", "Europeans older than 50", "lives in Africa"]


@llm_strategy(MODEL)
@dataclass
class Customer:
    """A customer, anywhere in the world."""

    key: str
    first_name: str
    last_name: str
    birthdate: Annotated[str, Field(description="year-month-day")]
    address: str

    @property
    def age(self) -> int:
        """The customer's age in full years on 2026-01-01, worked out from the birthdate."""
        raise NotImplementedError


@dataclass
class CustomerDatabase:
    """Customers, and a search for them."""

    customers: list[Customer]

    def find_customer_key(self, query: str) -> list[str]:
        """Find the keys of the customers that fit a query, the best match first.

        A query says in plain words what somebody remembers: "born in 1990", "the oldest customer in Asia".
        A customer has to fit all of it; where nobody does, the list is empty. Ages are those on 2026-01-01.
        """
        raise NotImplementedError

    def load(self) -> None:
        """Fetch the customers from where they are kept."""
        raise NotImplementedError

    def store(self) -> None:
        """Put the customers where they are kept."""
        raise NotImplementedError


@llm_strategy(MODEL)
@dataclass
class MockCustomerDatabase(CustomerDatabase):
    """Made-up customers."""

    def load(self) -> None:
        self.customers = self.create_mock_customers(10)

    def store(self) -> None:
        pass  # they live as long as the program

    @staticmethod
    def create_mock_customers(num_customers: int = 1) -> list[Customer]:
        """Create customers who live all over the world, with believable data. Their keys are c01, c02 and so on."""
        raise NotImplementedError


def describe(database: CustomerDatabase, query: str) -> str:
    """A query and the customers that fit it, one to a line."""
    by_key = {customer.key: customer for customer in database.customers}
    found = [by_key[key] for key in database.find_customer_key(query)]
    rows = [f"  {c.key}  {c.first_name + ' ' + c.last_name:<18} {c.birthdate}  {c.age:>3}  {c.address}" for c in found]
    return "\n".join([f"{query}:", *(rows or ["  nobody"])])


def choose_mode(record: bool) -> str:
    """How to use the cassette; says so to the user."""
    given = [name for name in ("LLM_STRATEGY_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY") if os.environ.get(name)]
    mode = os.environ.get("LLM_STRATEGY_RECORD") or ("new" if record else "live" if given else "replay")
    if mode != "replay":
        print(f"Asking {MODEL}{f' ({given[0]} is set)' if given else ''}.\n")
    elif CASSETTE.exists():
        print(
            f"Replaying {CASSETTE.name}, answered by {Cassette(CASSETTE).header['answered_by']}: no model is asked.\n"
        )
    return mode


def advise(query: str) -> str:
    """What to do about a query that is not recorded."""
    return f"""\
Nobody has recorded an answer to {query!r} yet; recorded are: {"; ".join(QUERIES)}.

Set OPENAI_API_KEY, or OPENAI_BASE_URL for another provider, and a model is asked. Without either, start the stand-in

    python examples/stand_in.py

and set the variables that it prints."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Search customers in plain words.")
    parser.add_argument("queries", nargs="*", default=QUERIES, metavar="QUERY", help='such as "born in 1990"')
    parser.add_argument(
        "--record", action="store_true", help=f"ask for what {CASSETTE.name} lacks, and keep the answers"
    )
    options = parser.parse_args()
    query = ""
    try:
        with use_cassette(CASSETTE, mode=choose_mode(options.record)):
            database = MockCustomerDatabase([])
            database.load()
            for query in options.queries:
                print(describe(database, query))
    except CassetteMiss as miss:
        print(advise(query) if query else miss, file=sys.stderr)
        return 1
    except ModelError as error:
        print(f"{MODEL} could not be asked: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
