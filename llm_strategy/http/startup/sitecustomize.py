"""What a Python child process of an HTTP scope runs first: it takes part although it never imports llm_strategy.

PYTHONPATH begins with this folder while such a scope is open. Every child pays for it, so it only waits for what has
to be intercepted, and makes do with what Python has loaded by now. A child that cannot import the library runs on
as if nothing were here.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The module costs more than all the rest.
    from typing import Any

_CLIENTS = frozenset(("httpcore", "httpcore2", "urllib3", "aiohttp"))
_SOCKETS = frozenset(
    ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
)
_waiting = '"http": true' in os.environ.get("LLM_STRATEGY_SCOPE", "")


def _hook(event: str, given: tuple[Any, ...]) -> None:
    """Install what intercepts as soon as there is something to intercept: a client, or the socket of another one."""
    global _waiting  # noqa: PLW0603  # an audit hook cannot be removed
    if _waiting and (event in _SOCKETS or (event == "import" and given[0] in _CLIENTS)):
        _waiting = False
        try:
            from llm_strategy.http import install

            install()
        except Exception:  # noqa: BLE001  # another virtual environment, which may have anything of that name
            pass


def _run_hidden() -> None:
    """Run the module of this name that would have been found without this one."""
    own = sys.modules.pop(__name__)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401  # who has one knows
    except ImportError as error:
        if error.name != __name__:
            raise
    finally:
        sys.modules.setdefault(__name__, own)


if __name__ == "sitecustomize":
    if _waiting:
        sys.addaudithook(_hook)
    _folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != _folder]
    _run_hidden()
