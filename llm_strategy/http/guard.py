"""Keeps a process that replays away from providers, whatever client it uses.

Clients whose calls are recorded never reach the network in replay. For all others there is an audit hook of the
interpreter, which hears of every name that Python's socket module resolves and of every address that it connects or
sends to. A hook cannot be removed again: one is added in a process, when its first HTTP scope comes, and returns
after one comparison while nobody listens. What it does not hear of stands in `OUT_OF_REACH`.

Until there is something to refuse it imports next to nothing: every child process of an HTTP scope loads it.
"""

from __future__ import annotations

import errno
import os
import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_strategy.cassette.outside import OutsideScope
    from llm_strategy.cassette.scope import CassetteScope
    from llm_strategy.errors import CassetteMiss

OUT_OF_REACH = (
    ("`grpc`", "opens its sockets in C++ (older clients of Gemini and Vertex AI, exporters of OpenTelemetry)"),
    ("`curl_cffi`, `pycurl`", "libcurl opens its sockets in C"),
    ("`uvloop`", "libuv resolves names and opens sockets in C, whatever the client; loops of `asyncio` are heard"),
    ("other extensions in C, Rust or Go, such as `pyreqwest` or `psycopg`", "open their sockets themselves"),
    ("`asyncio` on Windows, to a bare address", "connects by a function of its own; names are heard"),
    ("other interpreters of the process (`concurrent.interpreters`)", "have hooks of their own"),
    ("a proxy on loopback or in a private network", "is near; where it connects to is its own affair"),
    ("a connection that was opened before", "only opening is heard"),
    ("programs that are not Python: `curl`, `node`", "load nothing of this library"),
    ("`python -I`, `-E`, `-S`, and children without `PYTHONPATH` or `LLM_STRATEGY_SCOPE`", "are told nothing"),
    ("a child whose Python cannot import `llm_strategy`", "runs on as if nothing were there"),
    ("children of a forkserver of `multiprocessing`", "know the scope in which their server was started"),
)
"""What the guard does not see, and why. `docs/reference/http-reach.md` shows it."""

_HEARD = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"))
_RESOLVES = frozenset(("socket.getaddrinfo", "socket.gethostbyname"))

_listening = False
_added = False
_busy: set[int] = set()
"""The threads in which the guard itself looks something up."""


def start() -> None:
    """Listen, until `stop`."""
    global _listening, _added  # noqa: PLW0603  # an audit hook belongs to the process as well
    _listening = True
    if not _added:
        _added = True
        sys.addaudithook(_hook)


def stop() -> None:
    global _listening  # noqa: PLW0603  # see above
    _listening = False


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if not _listening or event not in _HEARD:
        return
    __tracebackhide__ = True
    thread = get_ident()
    if thread in _busy:
        return
    _busy.add(thread)
    try:
        host = _host(event, given)
        if host is not None:
            _judge(host, resolves=event in _RESOLVES)
    except BaseException as error:
        if event == "socket.connect" and not isinstance(error, Exception):
            # The standard library closes it where an exception comes that it knows.
            given[0].close()
        raise
    finally:
        _busy.discard(thread)


def _host(event: str, given: tuple[Any, ...]) -> str | None:
    """The name or address in an event; None for what stays on this machine, such as a Unix socket."""
    place = given
    if event not in _RESOLVES:
        import socket

        if given[0].family not in (socket.AF_INET, socket.AF_INET6):
            return None
        place = given[1]
    host = place[0] if place else None
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    return host if isinstance(host, str) and not _is_loopback(host) else None


def _is_loopback(host: str) -> bool:
    """Whether an address is one of those that most connections of tests have."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def _judge(host: str, *, resolves: bool) -> None:
    """Raises CassetteMiss for a provider, ConnectionRefusedError for another public host, where nobody may be asked."""
    __tracebackhide__ = True
    from llm_strategy.http import destinations

    kind = destinations.of_name(host) if resolves else destinations.of_address(host)
    scope = _http_scope() if kind is not None or resolves else None
    if resolves and (kind is None or scope is None or scope.may_ask):
        destinations.learn(host, for_errors=scope is not None)
    elif scope is None or kind is None:
        return
    elif scope.may_ask:
        _note(scope, destinations.shown(host))
    elif kind == "provider":
        raise scope.keep(_miss(scope, destinations.shown(host)))
    else:
        _refuse_public(scope, destinations.shown(host))


def _http_scope() -> CassetteScope | OutsideScope | None:
    """The HTTP scope in which this happens.

    Names are resolved in threads that no library tells which block they work for: they are in any that must not ask.
    """
    from llm_strategy.cassette.open_blocks import open_blocks
    from llm_strategy.context import Unknown, current, is_in_block

    scope: Any = current()
    while scope is not None and not scope.http:
        scope = scope.parent
    if (scope is None and not is_in_block()) or isinstance(scope, Unknown):
        return next((block for block in open_blocks() if block.http and not block.may_ask), None)
    return scope  # type: ignore[no-any-return]  # no other kinds of scope take in HTTP calls


def _note(scope: CassetteScope | OutsideScope, host: str) -> None:
    """Keep account of a connection that may belong to no recorded call."""
    from llm_strategy.cassette.scope import CassetteScope
    from llm_strategy.context import is_asking

    if isinstance(scope, CassetteScope) and not is_asking():
        scope.connected(host)


def _miss(scope: CassetteScope | OutsideScope, host: str) -> CassetteMiss:
    from llm_strategy.cassette.miss import place
    from llm_strategy.context import CallSite
    from llm_strategy.errors import CassetteMiss

    text = f"""a connection to {host} is refused: {_reason(scope)}
made {_place(scope)}

It was not made by a client whose calls are recorded (httpx, requests, urllib3, aiohttp, botocore), so no recording
can answer it: {_recording(scope)} lets it through, but keeps nothing. Use one of these clients, or, to let it
pass in replay too: {_allowing(scope, host)}"""
    cause = f"a connection to {host} by a client whose calls are not recorded"
    return CassetteMiss(text, causes=(cause,), **place(CallSite()))


def _refuse_public(scope: CassetteScope | OutsideScope, host: str) -> None:
    """Outside of tests what is no provider may be reached: a report may be sent somewhere when all is done."""
    __tracebackhide__ = True
    from llm_strategy.cassette.scope import CassetteScope

    if isinstance(scope, CassetteScope):
        text = f"a connection to {host} was refused (made {_place(scope)}): {_reason(scope)}. To let it pass: "
        text += _allowing(scope, host)
        scope.note(text)
        raise ConnectionRefusedError(errno.ECONNREFUSED, text)


def _is_outside_pytest(scope: CassetteScope | OutsideScope) -> bool:
    from llm_strategy.cassette.scope import CassetteScope

    return isinstance(scope, CassetteScope) and scope.rules.command is None


def _recording(scope: CassetteScope | OutsideScope) -> str:
    return "mode 'new'" if _is_outside_pytest(scope) else "`pytest --llm-record`"


def _allowing(scope: CassetteScope | OutsideScope, host: str) -> str:
    """What says that a host may be reached."""
    if _is_outside_pytest(scope):
        from llm_strategy.http.settings import ALLOWED_HOSTS

        return f"{ALLOWED_HOSTS}={host}"
    return f"llm_allowed_hosts = {host}"


def _reason(scope: CassetteScope | OutsideScope) -> str:
    from llm_strategy.cassette.scope import CassetteScope

    if not isinstance(scope, CassetteScope):
        return "it is made outside every test and fixture, at import or collection, where nothing may be asked"
    return scope.rules.refusal or f"in mode {scope.rules.mode!r} nothing is asked"


def _place(scope: CassetteScope | OutsideScope) -> str:
    """Where in the program under test a connection is made; the thread of a library has no such place."""
    from llm_strategy.caller import caller
    from llm_strategy.cassette.miss import shown
    from llm_strategy.cassette.scope import CassetteScope

    file, line = caller()
    where = f"at {shown(file)}:{line}" if file else "by a library, or by code of no file"
    owner = scope.rules.owner or scope.path if isinstance(scope, CassetteScope) else None
    return f"{where}, in {owner}" if owner else where


if hasattr(os, "register_at_fork"):
    # The threads of the parent are not there.
    os.register_at_fork(after_in_child=_busy.clear)
