"""What one recorder does, tried in a process of its own: `python comparison_probes.py WHICH PROBE FOLDER URL`.

Every recorder is used as it comes, without a setting that its first page does not have. Prints what happened, as JSON.
The server at URL answers with the words that it was sent, so that a wrong answer shows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

KEY = "sk-proj-" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY"
"""Has the shape of a key, and is none."""
FIRST, SECOND = "Describe the heron.", "Describe the egret."
COMPLETED = 5

Open = Callable[[Path, bool], AbstractContextManager[Any]]


def llm_strategy(path: Path, record: bool) -> AbstractContextManager[Any]:
    from llm_strategy import use_cassette

    return use_cassette(path, "new" if record else "replay", http=True)


def vcrpy(path: Path, record: bool) -> AbstractContextManager[Any]:
    import vcr  # type: ignore[import-untyped]  # vcrpy has no types

    cassette: AbstractContextManager[Any] = vcr.use_cassette(str(path), record_mode="once" if record else "none")
    return cassette


def cassetter(path: Path, record: bool) -> AbstractContextManager[Any]:
    import cassetter  # type: ignore[import-not-found]  # it is installed when this runs

    cassette: AbstractContextManager[Any] = cassetter.use_cassette(path, record_mode="once" if record else "none")
    return cassette


def promptecho(path: Path, record: bool) -> AbstractContextManager[Any]:
    import promptecho  # type: ignore[import-not-found]  # it is installed when this runs

    cassette: AbstractContextManager[Any] = promptecho.use_cassette(str(path), mode="once" if record else "none")
    return cassette


RECORDERS: dict[str, Open] = {
    "llm-strategy": llm_strategy,
    "vcrpy": vcrpy,
    "cassetter": cassetter,
    "promptecho": promptecho,
}


# Clients


def _body(prompt: str) -> dict[str, Any]:
    return {"model": "gpt-5-mini", "messages": [{"role": "user", "content": prompt}]}


def ask_openai(url: str, prompt: str) -> str:
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key=KEY, max_retries=0)
    return str(client.chat.completions.create(**_body(prompt)).choices[0].message.content)


def ask_httpx(url: str, prompt: str) -> str:
    import httpx

    return _content(httpx.post(f"{url}/chat/completions", json=_body(prompt), headers=_HEADERS).json())


def ask_requests(url: str, prompt: str) -> str:
    import requests

    return _content(requests.post(f"{url}/chat/completions", json=_body(prompt), headers=_HEADERS, timeout=60).json())


def ask_aiohttp(url: str, prompt: str) -> str:
    import asyncio

    import aiohttp

    async def ask() -> str:
        address = f"{url}/chat/completions"
        async with (
            aiohttp.ClientSession() as session,
            session.post(address, json=_body(prompt), headers=_HEADERS) as answer,
        ):
            return _content(await answer.json())

    return asyncio.run(ask())


def ask_boto3(url: str, prompt: str) -> str:
    import boto3  # type: ignore[import-untyped]  # it has no types

    secrets = {"aws_access_key_id": "unused", "aws_secret_access_key": "unused", "region_name": "us-east-1"}
    client = boto3.client("bedrock-runtime", endpoint_url=url.removesuffix("/v1"), **secrets)
    said = client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": prompt}]}])
    return str(said["output"]["message"]["content"][0]["text"])


_HEADERS = {"Authorization": f"Bearer {KEY}"}
CLIENTS: dict[str, Callable[[str, str], str]] = {
    "openai": ask_openai,
    "httpx": ask_httpx,
    "requests": ask_requests,
    "aiohttp": ask_aiohttp,
    "boto3": ask_boto3,
}


def _content(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


def _asked(url: str) -> int:
    """How many calls the server has had."""
    with urlopen(f"{url}/asked") as answer:
        return int(answer.read())


# Probes


def client(open_: Open, folder: Path, url: str, name: str) -> str:
    """Whether a call of this client is answered again without the server."""
    path = folder / "client.yaml"
    with open_(path, True):
        CLIENTS[name](url, FIRST)
    asked = _asked(url)
    try:
        with open_(path, False):
            answer = CLIENTS[name](url, FIRST)
    except BaseException as error:  # noqa: BLE001  # each recorder refuses in its own way
        return f"no ({type(error).__name__})"
    if _asked(url) != asked:
        return "no (asks the server again)"
    return "yes" if answer == FIRST else "no (another answer)"


def other_prompt(open_: Open, folder: Path, url: str) -> str:
    """What a prompt gets that was not recorded, where another one was."""
    path = folder / "other.yaml"
    with open_(path, True):
        ask_httpx(url, FIRST)
    try:
        with open_(path, False):
            answer = ask_httpx(url, SECOND)
    except BaseException as error:  # noqa: BLE001  # each recorder refuses in its own way
        said = f"{error} {error.__cause__ or ''}"
        return "refused, and both texts are shown" if FIRST in said and SECOND in said else "refused"
    return "the old answer" if answer == FIRST else "asks the server"


def key_in_header(open_: Open, folder: Path, url: str) -> str:
    """Whether the key that a client sends stands in the file."""
    return _stored(open_, folder, url, FIRST)


def key_in_prompt(open_: Open, folder: Path, url: str) -> str:
    """Whether a key that stands in a prompt, and in its answer, stands in the file; it is not sent as a header."""
    _HEADERS["Authorization"] = "Bearer unused"
    return _stored(open_, folder, url, f"Is {KEY} a key?")


def _stored(open_: Open, folder: Path, url: str, prompt: str) -> str:
    path = folder / "key.yaml"
    with open_(path, True):
        ask_httpx(url, prompt)
    files = [file.read_text("utf-8") for file in folder.rglob("*") if file.is_file()]
    assert any("gpt-5-mini" in text for text in files), "nothing was recorded"
    return "stored" if any(KEY in text for text in files) else "not stored"


def record_and_die(open_: Open, folder: Path, url: str) -> str:
    """A recording that is killed when so many answers have come."""
    with open_(folder / "killed.yaml", True):
        for number in range(COMPLETED):
            ask_httpx(url, f"{FIRST} {number}")
        os.kill(os.getpid(), signal.SIGKILL)
    return ""


def kept(open_: Open, folder: Path, url: str) -> str:
    """How many of the calls of a killed recording are replayed; the server is not there any more."""
    found = 0
    for number in range(COMPLETED):
        try:
            with open_(folder / "killed.yaml", False):
                found += ask_httpx(url, f"{FIRST} {number}") == f"{FIRST} {number}"
        except BaseException:  # noqa: BLE001  # each recorder refuses in its own way
            continue
    return f"{found} of {COMPLETED} kept"


def nested(open_: Open, folder: Path, url: str) -> str:
    """Where calls go that are made within one block inside another."""
    try:
        with open_(folder / "outer.yaml", True):
            ask_httpx(url, FIRST)
            with open_(folder / "inner.yaml", True):
                ask_httpx(url, SECOND)
        with open_(folder / "inner.yaml", False):
            inner = ask_httpx(url, SECOND)
        return "each block has its own" if inner == SECOND else "mixed up"
    except BaseException as error:  # noqa: BLE001  # each recorder refuses in its own way
        return f"refused ({type(error).__name__})"


def thread(open_: Open, folder: Path, url: str) -> str:
    """Whether a thread that is started in a block is in it, too."""
    from concurrent.futures import ThreadPoolExecutor

    path = folder / "thread.yaml"
    with open_(path, True):
        ask_httpx(url, FIRST)
    asked = _asked(url)
    with open_(path, False), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask_httpx, url, FIRST).result()
    return "is replayed" if _asked(url) == asked and answer == FIRST else "asks the server"


def overlapping(open_: Open, folder: Path, url: str) -> str:
    """Where calls go that are made in two blocks which two threads have open at the same time."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    both = Barrier(2, timeout=5)

    def record(name: str, prompt: str) -> None:
        with open_(folder / name, True):
            both.wait()
            ask_httpx(url, prompt)
            both.wait()

    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(record, "one.yaml", FIRST), pool.submit(record, "two.yaml", SECOND)]:
                done.result()
    except BaseException as error:  # noqa: BLE001  # each recorder refuses in its own way
        both.abort()
        return f"refused ({type(error).__name__})"
    files = [folder / name for name in ("one.yaml", "two.yaml")]
    one, two = (file.read_text("utf-8") if file.exists() else "" for file in files)
    apart = FIRST in one and SECOND not in one and SECOND in two and FIRST not in two
    return "each block has its own" if apart else "mixed up"


PROBES: dict[str, Callable[[Open, Path, str], str]] = {
    probe.__name__: probe
    for probe in (other_prompt, key_in_header, key_in_prompt, record_and_die, kept, nested, thread, overlapping)
}


def main(which: str, probe: str, folder: str, url: str) -> None:
    open_ = RECORDERS[which]
    kind, _, name = probe.partition(":")
    if kind == "client":
        said = client(open_, Path(folder), url, name)
    else:
        said = PROBES[kind](open_, Path(folder), url)
    print(f"<said>{json.dumps(said)}</said>")


if __name__ == "__main__":
    main(*sys.argv[1:])
