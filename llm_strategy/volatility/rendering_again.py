"""The second process: it renders prompts, and does nothing else.

It imports modules of the program under test, and these may do anything when they are imported. So it has no network,
writes no file, starts no process and asks no model: each is refused, as on a machine without permissions.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import pickle
import sys
import threading
import time
from typing import IO, Any, NoReturn

from llm_strategy import slot
from llm_strategy.canonical import FrozenJSON
from llm_strategy.context import Ask, Scope, Turn
from llm_strategy.errors import CassetteMiss
from llm_strategy.prompt import Prompt

_EVENTS = (
    "socket.connect socket.bind socket.sendto socket.sendmsg socket.getaddrinfo subprocess.Popen os.system os.exec "
    "os.fork os.forkpty os.posix_spawn os.spawn os.startfile os.remove os.rename os.mkdir os.rmdir os.link os.symlink "
    "os.truncate os.chmod os.chown os.utime os.kill os.killpg shutil. sqlite3.connect tempfile."
)
_REFUSED = tuple(_EVENTS.split())
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main(parent: int) -> None:
    """Answer jobs until there are no more, or the parent is gone."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        # What modules read or print when they are imported goes nowhere.
        os.dup2(nowhere, handle)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    os.environ["LLM_STRATEGY_RECORD"] = "replay"
    slot.push(_Closed())
    sys.addaudithook(_refuse)
    while (job := _read(jobs)) is not None:
        answers.write(json.dumps(_rendered(job)).encode() + b"\n")
        answers.flush()
    os._exit(0)


def _watch(parent: int) -> None:
    """End with the parent, even where a forked child of it still holds the pipe."""
    while os.name == "nt" or os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


class _Refusing(Scope):
    """Asks nobody."""

    def enter(self, ask: Ask) -> Turn:
        raise CassetteMiss("no model is asked here", request=ask.request)


class _Closed:
    """What the process-wide slot holds."""

    scope = _Refusing()


def _refuse(event: str, details: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = (*details, None, 0)[:3]
        writes = bool(flags & _WRITING) if isinstance(flags, int) else any(map(str(mode).__contains__, "wax+"))
        refused = writes and path != os.devnull and not isinstance(path, int)
    else:
        refused = event.startswith(_REFUSED)
    if refused:
        _deny(event)


def _deny(event: str) -> NoReturn:
    raise PermissionError(f"{event} is not allowed while a prompt is rendered a second time")


def _read(jobs: IO[bytes]) -> bytes | None:
    length = jobs.read(8)
    return jobs.read(int.from_bytes(length, "big")) if len(length) == 8 else None


def _rendered(job: bytes) -> list[tuple[str, str]] | None:
    """The blocks of a prompt; None where it cannot be rendered here."""
    try:
        module, name, line, is_member, values = pickle.loads(job)  # noqa: S301  # from the parent, which made it
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = inspect.getattr_static(found, part)
        owner, given = pickle.loads(values)  # noqa: S301  # as above
        if is_member:
            found = inspect.getattr_static(owner if isinstance(owner, type) else type(owner), name.rpartition(".")[2])
        prompt = _prompt_of(found)
        if prompt.signature.line != line:
            # Another function that goes by the same name.
            return None
        arguments = {**prompt.signature.defaults, **given}
        blocks = prompt.resolved(arguments, owner).render(arguments, owner, None, FrozenJSON()).blocks
        return [(block.subject, block.text) for block in blocks]
    except BaseException:  # noqa: BLE001  # a module may even end the process when it is imported
        return None


def _prompt_of(member: Any) -> Prompt:
    if isinstance(member, property):
        member = member.fget
    elif isinstance(member, functools.cached_property):
        member = member.func
    elif isinstance(member, classmethod | staticmethod):
        member = member.__func__
    prompt: Prompt = member.__llm_prompt__
    return prompt
