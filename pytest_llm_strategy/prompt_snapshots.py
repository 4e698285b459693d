"""`--llm-prompt-snapshots`: the prompts of every test that makes calls are compared, as the fixture does it.

Loaded where the option is given only.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from llm_strategy import CassetteMiss
from pytest_llm_strategy.scopes import is_given
from pytest_llm_strategy.snapshots import ASSERTED, PromptSnapshot, colors

if TYPE_CHECKING:
    from pytest_llm_strategy.scopes import TestScope


BEFORE = pytest.StashKey[int]()
"""How many calls earlier tries of a test have made."""


class PromptSnapshots:
    """Compares the calls of a test when its body has ended; `scopes` is where the scope of a test is stashed."""

    def __init__(self, scopes: pytest.StashKey[TestScope]) -> None:
        self._scopes = scopes

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """What a first try of a test has asked and compared says nothing of the next."""
        scope = item.stash[self._scopes]
        item.stash[ASSERTED] = None
        item.stash[BEFORE] = len(scope.scope.calls) if scope.opened.made else 0
        yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Within the call phase, so that the calls of fixtures that were set up for the test are in."""
        try:
            yield
        except (Exception, pytest.fail.Exception, CassetteMiss):
            self._compare(item, cut_short=True)
            raise
        # What unittest has caught is raised later; a failed subtest is reported by itself.
        cut_short = bool(getattr(item, "_excinfo", None)) or item.stash[self._scopes].has_failed_subtests
        self._compare(item, cut_short=cut_short)

    def _compare(self, item: pytest.Item, *, cut_short: bool) -> None:
        scope = item.stash[self._scopes]
        asserted = item.stash[ASSERTED]
        if not _is_watched(item, scope) or (asserted is not None and asserted.num_executions):
            return
        snapshot = PromptSnapshot.of(item, scope)
        calls = scope.scope.calls[item.stash[BEFORE] :]
        if cut_short or (scope.missed and not scope.expect_miss):
            if snapshot.exists:
                snapshot.compare_part(calls)
        elif calls and snapshot != calls:
            _fail(snapshot)


def _is_watched(item: pytest.Item, scope: TestScope) -> bool:
    """Whether a test has made calls of its own: those after a fault are not, and random ones are never the same."""
    return isinstance(item, pytest.Function) and scope.opened.made and scope.fault is None and not is_given(item)


def _fail(snapshot: PromptSnapshot) -> None:
    """Fail the test with all that is to be said; an assertion's explanation would be cut off after a few lines."""
    last, config = snapshot.last, snapshot.test_location.item.config
    if last.exception is not None:
        raise last.exception
    # Not of the folder that the test is in by now.
    file = os.path.relpath(last.snapshot_location, config.invocation_params.dir)
    head = f"the prompts of this test are not those in {file}" if last.recalled_data is not None else ""
    with colors(config):
        lines = snapshot.explanation()
    raise pytest.fail.Exception("\n".join([*([head] if head else []), *lines]), pytrace=False)
