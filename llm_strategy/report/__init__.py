"""The report of a session: every test with its calls, as data, and as one page that needs no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llm_strategy.redaction import conceal, each_text
from llm_strategy.values import JSON

if TYPE_CHECKING:
    from llm_strategy.cassette.account import Account
    from llm_strategy.opened import OpenScope
    from llm_strategy.session import Session

FORMAT = "llm-strategy report"


class Report:
    """What a session did, test by test.

    `Report.of(opened)` is what a scope did so far, as JSON of ASCII letters only: it is made in the process of the
    test, at its end, and handed to `add` of the one report that is written. `docs/reference/report-data.md` has
    what `data` consists of.
    """

    def __init__(self, session: Session) -> None:
        from llm_strategy.report.tables import Tables
        from llm_strategy.report.trees import gather

        gather()
        # Before the first test: the calls of `use_cassette` blocks are told apart only where it is known early.
        session.reported = True
        self._session = session
        self._tables = Tables()
        self._tests: dict[str, dict[str, JSON]] = {}
        self._others: Counter[str] = Counter()

    @staticmethod
    def of(opened: OpenScope) -> list[dict[str, JSON]]:
        """The calls and misses of a scope that is about to be closed, then the steps around them, without secrets."""
        if not opened.made:
            return []
        from llm_strategy.report.calls import of_scope

        return of_scope(opened.scope)

    def add(
        self,
        name: str,
        *,
        kind: str = "test",
        outcome: str = "passed",
        seconds: float | None = None,
        worker: str | None = None,
        error: str = "",
        calls: Iterable[Mapping[str, JSON]] = (),
    ) -> None:
        """Take in a test, or a fixture with calls of its own, that has come to its end.

        `calls` are what `of` has made of its scope. Of what passed and made no call, only the number is kept. What is
        added under one name once more, as a test that is run again, takes the place of the first.
        """
        from llm_strategy.report.trees import is_step, tree

        made = list(calls)
        found = [self._call(call) for call in made if not is_step(call)]
        steps = [step for step in made if is_step(step)]
        if not found and not error and outcome in ("passed", "skipped", "xfailed"):
            self._others[outcome] += 1
            return
        test = {"name": conceal(name), "kind": kind, "outcome": outcome, "seconds": seconds, "worker": worker}
        # A fixture may be set up many times, and each time is another one.
        place = f"{kind} {name}" if kind == "test" else f"{kind} {len(self._tests)}"
        self._tests[place] = {**test, "error": conceal(error), "calls": found}
        shown = tree(steps, found)
        if any("call" not in row for row in shown):
            self._tests[place] |= {"steps": steps, "tree": shown}

    def _call(self, call: Mapping[str, JSON]) -> dict[str, JSON]:
        """A call with its texts by number."""
        tables = self._tables
        data = {**call, "price": _price(call)}
        data["messages"] = list(map(tables.message, call.get("messages", ())))
        data["answer"] = list(map(tables.part, call.get("answer", ())))
        data["tools"] = list(map(tables.text, call.get("tools", ())))
        data |= {name: tables.text(call[name]) for name in ("schema", "settings") if call.get(name)}
        return {name: value for name, value in data.items() if value is not None and value != []}

    def _told(self, account: Account | None) -> list[dict[str, JSON]]:
        """The tests with what recording afresh has made of their old answers, which is known once scopes are closed."""
        changed: dict[str, list[JSON]] = {}
        for change in account.changed if account else ():
            told: dict[str, JSON] = each_text(change._asdict(), conceal)
            changed.setdefault(str(told.pop("test")), []).append(told)
        tests = [{**test, "changed": changed.pop(test["name"], [])} for test in self._tests.values()]
        # What has changed in a block or a fixture that made no calls here is no less changed.
        other = {"kind": "cassette", "outcome": "passed", "calls": []}
        return [*tests, *({**other, "name": name, "changed": changes} for name, changes in changed.items())]

    def data(self) -> dict[str, JSON]:
        """The report as JSON."""
        from llm_strategy import __version__
        from llm_strategy.report.places import with_lines

        account = None if self._session.idle else self._session.account
        return {
            "format": FORMAT,
            "version": 1,
            "library": __version__,
            "mode": self._session.mode,
            "tests": with_lines(self._told(account)),
            "others": dict(self._others),
            "groups": each_text([group._asdict() for group in account.groups] if account else [], conceal),
            "notes": each_text(account.notes if account else [], conceal),
            "texts": self._tables.texts,
            "messages": self._tables.messages,
        }

    def write(self, path: Path) -> None:
        """Write the page, or the data alone where the name ends in `.json`; the file is replaced as a whole.

        What is no file of its own, such as a device, a pipe or a link, stays what it is and is written through.
        Raises OSError.
        """
        import json

        from llm_strategy.cassette.disk import replace_file
        from llm_strategy.report.page import page

        path.parent.mkdir(parents=True, exist_ok=True)
        data = self.data()
        text = json.dumps(data).encode("ascii") if path.suffix == ".json" else page(data)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(text)
        else:
            replace_file(path, [text], durable=False)


def _price(call: Mapping[str, JSON]) -> str | None:
    """What a call cost, or would have, in US dollars; None where that is not known."""
    from llm_strategy.pricing import price
    from llm_strategy.values import Usage

    tokens = call.get("tokens")
    amount = price(call.get("model"), Usage(*tokens), call.get("answered_by")) if tokens else None
    return None if amount is None else str(amount)
