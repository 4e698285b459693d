"""Runs of many tests with ten calls each, as a test runner makes them: replayed, missed, recorded again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from measuring import Sample, timed
from workload import CUSTOMERS, LIMIT, MODEL, Ours, Product, Shop, answer, query

from llm_strategy import CassetteMiss, Report, Request, ScriptedModel, Session, llm_strategy

EACH = 10
"""Calls of a test."""
_DOCUMENT = "---\nkey: "


@dataclass
class Reworded(Shop):
    """The shop, one line of whose docstring has changed."""

    def find(self, query: str, limit: int) -> list[Product]:
        raise NotImplementedError

    find.__doc__ = (Shop.find.__doc__ or "").replace("lower case\n        and sorted", "sorted, in\n        lower case")
    find.__qualname__ = Shop.find.__qualname__


class _Reworded(Ours):
    """Its calls; one price of each answer is another one, too."""

    def __init__(self) -> None:
        self.shop = llm_strategy(MODEL)(Reworded)(CUSTOMERS)
        self.recorder = llm_strategy(ScriptedModel(_dearer, name=MODEL, recorded=True))(Reworded)(CUSTOMERS)


def _dearer(request: Request) -> str:
    return answer(request).replace("9.5", "9.75")


class Suite:
    """Tests with cassettes of their own; each call of all differs."""

    def __init__(self, folder: Path, calls: int) -> None:
        self.folder = folder
        self.calls = calls
        self.ours = Ours()
        self.reworded = _Reworded()

    @cached_property
    def recorded(self) -> Path:
        """The folder of the cassettes."""
        return _split(self.ours, self.folder / "recorded", self.calls)

    def run(self, session: Session, shop: Ours, calls: int, report: Report | None = None) -> list[Sample]:
        """Run all tests; returns what telling a report of each took."""
        took: list[Sample] = []
        for test in range(calls // EACH):
            name = f"test_shop.py::test_search[{test}]"
            opened = session.open(session.folder / f"{test}.yaml", owner=name, command=f"pytest --llm-record {name}")
            session.enter(opened)
            for number in range(test * EACH, (test + 1) * EACH):
                _ask(shop, number, session.mode)
            session.leave(opened)
            if report is not None:
                with timed() as watch:
                    # As it goes from a worker to the controller.
                    crossing = json.dumps(Report.of(opened))
                    report.add(name, seconds=0.1, calls=json.loads(crossing))
                took.append(watch.sample)
            session.close(opened, passed=session.mode == "new")
        return took

    def _done(self, folder: Path, shop: Ours, mode: str = "replay") -> Session:
        """A session that has ended."""
        session = Session(folder, mode=mode)
        self.run(session, shop, self.calls)
        session.finish()
        return session

    def replayed(self) -> Session:
        return self._done(self.recorded, self.ours)

    def missed(self) -> Session:
        return self._done(self.recorded, self.reworded)

    def recorded_again(self) -> Session:
        again = self.folder / "again"
        shutil.copytree(self.recorded, again)
        return self._done(again, self.reworded, "new")

    def reported(self, what: str, calls: int, page: Path) -> Sample:
        """What a report costs: making it at the end of each test, putting it together, writing it."""
        session = Session(self.recorded)
        report = Report(session)
        took = self.run(session, self.ours if what == "replayed" else self.reworded, calls, report)
        session.finish()
        with timed() as watch:
            report.write(page)
        took.append(watch.sample)
        return Sample(sum(sample.cost for sample in took), sum(sample.wall for sample in took))

    def changed(self) -> tuple[Path, Path]:
        """The folder of the cassettes, and that of new ones of which everything is pending."""
        new = _split(self.reworded, self.folder / "new", self.calls)
        shutil.copytree(self.recorded, new / ".replaced")
        return self.recorded, new


def _ask(shop: Ours, number: int, mode: str) -> None:
    with suppress(CassetteMiss):
        (shop.shop if mode == "replay" else shop.recorder).find(query(number), LIMIT)


def _split(of: Ours, folder: Path, calls: int) -> Path:
    """The calls in cassettes of ten each."""
    folder.mkdir(parents=True)
    whole = of.record(folder / "whole.yaml", calls)
    header, *documents = whole.read_text("utf-8").split(_DOCUMENT)
    whole.unlink()
    for test in range(calls // EACH):
        chosen: Sequence[str] = documents[test * EACH : (test + 1) * EACH]
        text = "".join([header, *(_DOCUMENT + document for document in chosen)])
        (folder / f"{test}.yaml").write_text(text, "utf-8", newline="\n")
    return folder
