"""Calls that a program makes to a provider itself, recorded and replayed where they leave it over HTTP."""

from __future__ import annotations


def install() -> None:
    """Take in the HTTP calls of all scopes that want it, until `uninstall` was called as often."""
    from llm_strategy.http.installation import installation

    installation.enter()


def uninstall() -> None:
    """Undo one `install`. After the last one everything is as it was, but for what others have replaced since."""
    from llm_strategy.http.installation import installation

    installation.leave()


def check_settings() -> None:
    """Raise ValueError for what the environment says of HTTP calls and can be no host."""
    from llm_strategy.http import settings

    settings.variables()


def begin_scope() -> None:
    """Begin an HTTP scope, in which child processes take part."""
    from llm_strategy.http import startup

    install()
    startup.begin()


def end_scope() -> None:
    """Undo one `begin_scope`."""
    from llm_strategy.http import startup

    startup.end()
    uninstall()
