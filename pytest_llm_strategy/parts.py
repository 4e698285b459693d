"""The parts of the plugin that not every run has: each is loaded where it is used, and is a plugin of its own."""

from __future__ import annotations

import importlib.util
import os

import pytest

from llm_strategy import Session
from pytest_llm_strategy.scopes import FixtureScopes, TestScope


def register(
    config: pytest.Config, session: Session, fixtures: FixtureScopes, test: pytest.StashKey[TestScope]
) -> None:
    """Register those that this run asks for; `test` is where an item has its scope."""
    if config.getoption("llm_roundtrip") or config.getini("llm_roundtrip"):
        _register_round_trips(config)
    if config.getoption("llm_prompt_snapshots") or config.getini("llm_prompt_snapshots"):
        _register_prompt_snapshots(config, test)
    if config.getoption("llm_report") or config.getini("llm_report"):
        from pytest_llm_strategy import reporting

        reporting.register(config, session, fixtures)
    _register_listeners(config, session, test)


def _register_listeners(config: pytest.Config, session: Session, test: pytest.StashKey[TestScope]) -> None:
    """What tells others of the run, where they are there to hear it."""
    if config.getoption("xmlpath", None):
        from pytest_llm_strategy import junit

        config.pluginmanager.register(junit.Properties(config, session, test), junit.NAME)
    if session.mode in ("new", "all", "live") and config.getoption("verbose") >= 0:
        from pytest_llm_strategy import progress

        config.pluginmanager.register(progress.Progress(config, session), progress.NAME)
    if os.environ.get("GITHUB_ACTIONS") == "true" and not hasattr(config, "workerinput"):
        from pytest_llm_strategy import github

        config.pluginmanager.register(github.GitHub(config, session), github.NAME)


def _register_round_trips(config: pytest.Config) -> None:
    try:
        from pytest_llm_strategy import roundtrip
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise pytest.UsageError('--llm-roundtrip needs hypothesis: pip install "llm-strategy[test]"') from None
    config.pluginmanager.register(roundtrip.RoundTrips(), "llm-strategy-roundtrip")


def _register_prompt_snapshots(config: pytest.Config, test: pytest.StashKey[TestScope]) -> None:
    if not config.pluginmanager.hasplugin("syrupy"):
        if importlib.util.find_spec("syrupy") is None:
            raise pytest.UsageError('--llm-prompt-snapshots needs syrupy: pip install "llm-strategy[test]"')
        raise pytest.UsageError(
            "--llm-prompt-snapshots needs the plugin of syrupy, which is switched off: run pytest without "
            "`-p no:syrupy`, or with `-p syrupy` where plugins are not loaded by themselves"
        )
    from pytest_llm_strategy.prompt_snapshots import PromptSnapshots

    config.pluginmanager.register(PromptSnapshots(test), "llm-strategy-prompt-snapshots")
