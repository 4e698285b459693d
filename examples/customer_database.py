"""A customer database that is searched in plain words. What has no body here is implemented by a model.

    python examples/customer_database.py "born in 1990"

Without a key it replays cassettes/examples/customer_database.yaml, which holds QUERIES. With OPENAI_API_KEY,
OPENAI_BASE_URL or LLM_STRATEGY_MODEL in the environment it asks that model, whatever the query.

    python examples/customer_database.py --record

asks for what the cassette does not hold yet, and keeps the answers.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from llm_strategy import Cassette, CassetteMiss, LLMStrategyError, llm_strategy, use_cassette

MODEL = os.environ.get("LLM_STRATEGY_MODEL") or "openai:gpt-5-mini"
CASSETTE = Path(__file__).parents[1] / "cassettes" / "examples" / "customer_database.yaml"
QUERIES = [
    "born in 1990",
    "the oldest customer in Asia",
    "Europeans older than 50",
    "lives in Africa",
    "lives in Antarctica",
    "everybody",
]
FAILURES = (CassetteMiss, LLMStrategyError, OSError)


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


def search(database: CustomerDatabase, query: str) -> list[Customer]:
    """The customers that fit a query, the best match first. A key that a model makes up finds nobody."""
    by_key = {customer.key: customer for customer in database.customers}
    return [by_key[key] for key in dict.fromkeys(database.find_customer_key(query)) if key in by_key]


def describe(database: CustomerDatabase, query: str) -> str:
    """A query and the customers that fit it, one to a line."""
    found = search(database, query)
    rows = [f"  {c.key}  {c.first_name + ' ' + c.last_name:<18} {c.birthdate}  {c.age:>3}  {c.address}" for c in found]
    return "\n".join([f"{query}:", *(rows or ["  nobody"])])


def given() -> str | None:
    """The variable that says which model is to be asked, if one is set."""
    return next(filter(os.environ.get, ("LLM_STRATEGY_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY")), None)


def choose_mode(record: bool) -> str:
    """How to use the cassette."""
    return os.environ.get("LLM_STRATEGY_RECORD") or ("new" if record else "live" if given() else "replay")


def introduce(mode: str) -> str:
    """Who answers."""
    if mode != "replay":
        return f"Asking {MODEL}" + (f" ({given()} is set)." if given() else ".")
    if not CASSETTE.exists():
        return f"Replaying {CASSETTE.name}, which is not there: record it with --record."
    return f"Replaying {CASSETTE.name}, answered by {Cassette(CASSETTE).header['answered_by']}: no model is asked."


def recorded_queries() -> list[str]:
    """The queries that the cassette answers, those of this program first."""
    calls = [call for call in (Cassette(CASSETTE) if CASSETTE.exists() else ()) if "find" in str(call.function)]
    prompts = "\n".join(call.request.messages[-1].content for call in calls)
    found = [json.loads(query) for query in dict.fromkeys(re.findall(r"^query = (.+)$", prompts, re.MULTILINE))]
    return sorted(found, key=[*QUERIES, *found].index)


def explain(failure: BaseException, query: str = "") -> str:
    """What to do about one of FAILURES."""
    if not isinstance(failure, CassetteMiss) or not query:
        return str(failure)
    return f"""\
Nobody has recorded an answer to {query!r} yet; recorded are: {"; ".join(recorded_queries())}.

Set OPENAI_API_KEY, or OPENAI_BASE_URL for another provider, and a model is asked; with --record its answers are kept.
Without either, set what this prints, in another terminal: python examples/stand_in.py"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Search customers in plain words.")
    parser.add_argument("queries", nargs="*", default=QUERIES, metavar="QUERY", help='such as "born in 1990"')
    parser.add_argument(
        "--record", action="store_true", help=f"ask for what {CASSETTE.name} lacks, and keep the answers"
    )
    options = parser.parse_args()
    mode = choose_mode(options.record)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a pipe on Windows may have no letter for Gdańsk
    query = ""
    try:
        print(introduce(mode), end="\n\n")
        database = MockCustomerDatabase([])
        with use_cassette(CASSETTE, mode=mode):
            database.load()
        for query in options.queries:
            with use_cassette(CASSETTE, mode=mode):  # a block of its own: the same age is recorded once for all queries
                print(describe(database, query))
    except FAILURES as failure:
        print(explain(failure, query), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
