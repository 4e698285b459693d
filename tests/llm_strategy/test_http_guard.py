"""In replay no provider and no public host is reached, whatever client, thread or task tries."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import CassetteMiss, use_cassette
from llm_strategy.http import destinations
from llm_strategy.http.guard import OUT_OF_REACH
from llm_strategy.http.hosts import is_named
from llm_strategy.session import Session
from tests.documentation.tables import document, rows
from tests.llm_strategy.programs import output
from tests.llm_strategy.test_http import NOWHERE, serving

PROVIDER = "api.openai.com"
PUBLIC = "1.1.1.1"
SPELLED = str(0x01010101)
"""The same address as a number, which is resolved like a name, but without asking anybody."""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The cassette of blocks in a session that replays, with a host of its own."""
    session = Session(tmp_path, http_hosts=["models.internal", SPELLED])
    yield tmp_path / "calls.yaml"
    session.finish()
    destinations._names.clear()
    destinations._learnt.clear()


@pytest.fixture
def database() -> Iterator[tuple[str, int]]:
    """Something on loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def with_socket(act: Callable[[socket.socket], object], kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(socket.AF_INET, kind) as opened:
        opened.settimeout(1)
        act(opened)


async def _open(host: str) -> None:
    await asyncio.open_connection(host, 443)


NAMING: dict[str, Callable[[str], object]] = {
    "getaddrinfo": lambda host: socket.getaddrinfo(host, 443),
    "getaddrinfo of bytes": lambda host: socket.getaddrinfo(host.encode(), 443),
    "gethostbyname": socket.gethostbyname,
    "gethostbyname_ex": socket.gethostbyname_ex,
}
CONNECTING: dict[str, Callable[[str], object]] = {
    "create_connection": lambda host: socket.create_connection((host, 443), 1),
    "http.client": lambda host: http.client.HTTPSConnection(host, timeout=1).request("GET", "/"),
    "asyncio": lambda host: asyncio.run(_open(host)),
    "a thread": lambda host: ThreadPoolExecutor().submit(socket.create_connection, (host, 443), 1).result(),
}
ADDRESSING: dict[str, Callable[[str], object]] = {
    "connect": lambda host: with_socket(lambda opened: opened.connect((host, 443))),
    "connect_ex": lambda host: with_socket(lambda opened: opened.connect_ex((host, 443))),
    "sendto": lambda host: with_socket(lambda opened: opened.sendto(b"x", (host, 443)), socket.SOCK_DGRAM),
    "sendmsg": lambda host: with_socket(lambda opened: opened.sendmsg([b"x"], [], 0, (host, 443)), socket.SOCK_DGRAM),
    "connected datagrams": lambda host: with_socket(lambda opened: opened.connect((host, 443)), socket.SOCK_DGRAM),
}
ATTEMPTS = NAMING | CONNECTING | ADDRESSING


@pytest.mark.parametrize("attempt", NAMING | CONNECTING)
def test_a_provider_is_a_miss_by_its_name(path: Path, attempt: str) -> None:
    """Whatever resolves the name of a provider, in whatever thread or loop, gets CassetteMiss, and the scope keeps it."""
    with use_cassette(path, http=True) as cassette:
        with pytest.raises(CassetteMiss, match=f"a connection to {PROVIDER} is refused"):
            ATTEMPTS[attempt](PROVIDER)
        assert len(cassette.misses) == 1
    assert not path.exists()


@pytest.mark.parametrize("attempt", CONNECTING | ADDRESSING)
def test_a_provider_is_a_miss_by_its_address(path: Path, attempt: str) -> None:
    """An address that a provider's name stood for while it was resolved is known as that provider's."""
    with use_cassette(path, "new", http=True):
        socket.getaddrinfo(SPELLED, 443)
    with use_cassette(path, http=True) as cassette:
        with pytest.raises(CassetteMiss, match=f"a connection to {SPELLED} is refused"):
            ATTEMPTS[attempt](PUBLIC)
        assert len(cassette.misses) == 1


@pytest.mark.parametrize("attempt", CONNECTING | ADDRESSING)
def test_another_public_host_is_refused(path: Path, attempt: str) -> None:
    """A public address that is no provider's is an ordinary error, which names the host, the line and the cure."""
    with use_cassette(path, http=True) as cassette:
        with pytest.raises(ConnectionRefusedError) as raised:
            ATTEMPTS[attempt](PUBLIC)
        assert cassette.misses == []
        assert cassette.account.notes == [raised.value.strerror]
    assert f"a connection to {PUBLIC} was refused" in str(raised.value)
    assert f"llm_allowed_hosts = {PUBLIC}" in str(raised.value)


@pytest.mark.parametrize("attempt", CONNECTING)
def test_a_refused_host_is_called_by_its_name(path: Path, attempt: str) -> None:
    """Though only an address is connected to, the error has the name that it was resolved from."""
    other = str(0x01000001)
    with use_cassette(path, http=True), pytest.raises(ConnectionRefusedError, match=f"a connection to {other} was"):
        ATTEMPTS[attempt](other)


def test_the_error_says_where_the_connection_was_made(path: Path) -> None:
    """A miss names the host, the line of the program, and why no recording can help."""
    with use_cassette(path, http=True), pytest.raises(CassetteMiss) as raised:
        urllib.request.urlopen("https://api.anthropic.com/v1/messages", b"{}")
    text = str(raised.value)
    assert "a connection to api.anthropic.com is refused" in text
    assert f"made at {Path(__file__).relative_to(Path.cwd())}:" in text
    assert "`pytest --llm-record` lets it through, but keeps nothing" in text


def test_outside_pytest_the_cure_is_a_variable(tmp_path: Path) -> None:
    """There are no options of pytest: errors name the mode and the environment variable that mean the same."""
    program = """
from urllib.request import urlopen
from llm_strategy import use_cassette
for host in ("api.openai.com", "1.1.1.1"):
    try:
        with use_cassette("x.yaml", http=True):
            urlopen(f"http://{host}/")
    except BaseException as error:
        print(error)
"""
    printed = output(program, cwd=tmp_path)
    assert "mode 'new' lets it through" in printed
    assert "LLM_STRATEGY_ALLOWED_HOSTS=api.openai.com" in printed
    assert "LLM_STRATEGY_ALLOWED_HOSTS=1.1.1.1" in printed
    assert not any(option in printed for option in ("--llm-record", "llm_allowed_hosts"))


@pytest.mark.parametrize("variable", ["LLM_STRATEGY_HTTP_HOSTS", "LLM_STRATEGY_ALLOWED_HOSTS"])
@pytest.mark.parametrize("host", ["127.0.0.1:8765", "http://example.com/v1", "*.example.com"])
def test_what_is_no_host_is_refused(host: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would match none, and nothing would be recorded without a word."""
    monkeypatch.setenv(variable, f"example.com {host}")
    with pytest.raises(ValueError, match=f"{variable}: '{re.escape(host)}' is no host"):
        use_cassette(tmp_path / "x.yaml", http=True).__enter__()


@pytest.mark.parametrize("host", ["[::1]", "::1", "Example.COM.", "localhost"])
def test_a_host_is_known_however_it_is_written(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the brackets of an address of IPv6, with the dot at the end of a name, in capitals."""
    monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", host)
    assert is_named({"[::1]": "::1", "Example.COM.": "api.example.com"}.get(host, host))


def test_what_is_near_passes(path: Path, database: tuple[str, int], tmp_path: Path) -> None:
    """Loopback, Unix sockets and private addresses are reached as ever."""
    with use_cassette(path, http=True) as cassette:
        socket.create_connection(database).close()
        socket.create_connection(("localhost", database[1])).close()
        with_socket(lambda opened: opened.connect(("10.1.2.3", 1)), socket.SOCK_DGRAM)
        one, other = socket.socketpair()
        one.close()
        other.close()
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as opened:
            server.bind(str(tmp_path / "s"))
            server.listen()
            opened.connect(str(tmp_path / "s"))
        with serving(lambda _: ({}, b"pong")) as url, urllib.request.urlopen(f"{url}/chat/completions") as answer:
            assert answer.read() == b"pong"
        assert (cassette.misses, cassette.account.notes) == ([], [])


KINDS = [
    ("127.0.0.1", None),
    ("127.9.9.9", None),
    ("::1", None),
    ("::ffff:127.0.0.1", None),
    ("10.0.0.1", None),
    ("172.16.0.1", None),
    ("192.168.1.1", None),
    ("100.64.0.1", None),
    ("169.254.169.254", None),
    ("fe80::1%eth0", None),
    ("fd00::1", None),
    ("0.0.0.0", None),  # an address like any other here
    ("224.0.0.251", None),
    ("<broadcast>", None),
    ("", None),
    ("localhost", None),
    ("db.localhost", None),
    ("1.1.1.1", "public"),
    ("::ffff:1.1.1.1", "public"),
    ("2606:4700::1111", "public"),
    (SPELLED, "provider"),
    ("models.internal", "provider"),
    ("MODELS.internal.", "provider"),
    ("api.openai.com", "provider"),
    ("api.openai.com.", "provider"),
    ("bedrock-runtime.eu-central-1.amazonaws.com", "provider"),
]


@pytest.mark.parametrize(("host", "kind"), KINDS)
def test_where_a_connection_leads_to(path: Path, host: str, kind: str | None) -> None:
    """Addresses are near or public; names are those of providers and of the project's hosts."""
    assert destinations.of_address(host) == kind


def test_a_private_address_passes_whatever_its_name(tmp_path: Path) -> None:
    """A host of the project's in a private network is refused by its name only: other things are served there."""
    name = str(0x0A010001)
    session = Session(tmp_path, http_hosts=[name])
    destinations.resolve(name)
    assert (destinations.of_name(name), destinations.of_address("10.1.0.1")) == ("provider", None)
    session.finish()


ALLOWED = [
    ("1.1.1.1", "1.1.1.1", None),
    ("1.1.1.0/24", "1.1.1.1", None),
    ("2606:4700::/32", "2606:4700::1111", None),
    ("1.0.0.1", "1.1.1.1", "public"),
    ("api.openai.com", "api.openai.com", None),
    ("openai.com", "api.openai.com", None),
    ("penai.com", "api.openai.com", "provider"),
    (SPELLED, "1.1.1.1", None),
    (SPELLED, SPELLED, None),
]


@pytest.mark.parametrize(("allowed", "host", "kind"), ALLOWED)
def test_what_the_user_allows_passes(tmp_path: Path, allowed: str, host: str, kind: str | None) -> None:
    """`llm_allowed_hosts` has names, with all below them, addresses and networks; a name allows its addresses."""
    session = Session(tmp_path, allowed_hosts=[allowed])
    try:
        assert destinations.of_address(host) == kind
    finally:
        session.finish()
        destinations._names.clear()


def test_nothing_is_refused_where_nobody_replays_http_calls(path: Path) -> None:
    """Outside of HTTP scopes, and in those that may ask, connections pass; an audit hook that is there is inert."""
    with use_cassette(path, http=True):
        pass
    with_socket(lambda opened: opened.connect((PUBLIC, 443)), socket.SOCK_DGRAM)
    with use_cassette(path, http=False):
        with_socket(lambda opened: opened.connect((PUBLIC, 443)), socket.SOCK_DGRAM)
    with use_cassette(path, "live", http=True):
        with_socket(lambda opened: opened.connect((PUBLIC, 443)), socket.SOCK_DGRAM)


def test_recording_that_captures_nothing_says_so(path: Path) -> None:
    """A block that records and has no HTTP call names what was connected to meanwhile."""
    with use_cassette(path, "new", http=True) as cassette:
        with_socket(lambda opened: opened.connect((PUBLIC, 443)), socket.SOCK_DGRAM)
    [note] = cassette.account.notes
    assert f"no HTTP call was recorded while {PUBLIC} was connected to" in note


def test_outside_a_session_a_recording_that_captures_nothing_warns(tmp_path: Path) -> None:
    """Where no summary follows, it is a warning."""
    program = f"""
        import socket, warnings
        from llm_strategy import use_cassette
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with use_cassette("x.yaml", "new", http=True), socket.socket(type=socket.SOCK_DGRAM) as opened:
                opened.connect(("{PUBLIC}", 443))
        assert "no HTTP call was recorded while {PUBLIC}" in str(caught[0].message), caught
        assert caught[0].filename == "<string>"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, cwd=tmp_path)


def test_of_blocks_side_by_side_the_one_that_replays_decides(tmp_path: Path) -> None:
    """A thread that does not say which block it belongs to reaches no provider where one of them must not ask."""
    program = f"""
        import socket, threading
        from llm_strategy import CassetteMiss, use_cassette
        def attempt():
            try:
                socket.getaddrinfo("{PROVIDER}", 443)
            except CassetteMiss as miss:
                caught.append(miss)
        caught = []
        with use_cassette("a.yaml", "new", http=True), use_cassette("b.yaml", http=True):
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()
        assert len(caught) == 1
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, cwd=tmp_path)


# What is out of reach


def test_the_page_lists_what_is_out_of_reach() -> None:
    """The page has the table that stands in the code."""
    assert rows(document("reference/http-reach.md"), "| what | why |") == [list(row) for row in OUT_OF_REACH]


def test_uvloop_is_not_heard(path: Path, database: tuple[str, int]) -> None:
    """A connection of uvloop raises no audit event, so that the guard cannot know of it; asyncio's raises one."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not for Windows")
    heard: list[str] = []
    listening = True

    def hook(event: str, given: Any) -> None:
        if listening and event in ("socket.connect", "socket.getaddrinfo"):
            heard.append(event)

    async def connect() -> None:
        _, writer = await asyncio.open_connection(*database)
        writer.close()
        await writer.wait_closed()

    sys.addaudithook(hook)
    uvloop.run(connect())
    assert heard == []
    asyncio.run(connect())
    listening = False
    assert "socket.connect" in heard


def test_known_clients_are_stopped_on_uvloop_too(path: Path) -> None:
    """What is out of the guard's reach is not out of that of the patches: a client of httpx misses before any socket."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not for Windows")
    from openai import AsyncOpenAI

    async def ask() -> None:
        await AsyncOpenAI(api_key="any", base_url=NOWHERE).chat.completions.create(model="m", messages=[])

    with use_cassette(path, http=True), pytest.raises(CassetteMiss, match="no recording answers"):
        uvloop.run(ask())


# All clients


EVERY_CLIENT = '''
import asyncio
import http.client
import sys
import threading
import urllib.request

import aiohttp
import boto3
import httpx
import requests
import urllib3
import websockets.sync.client
from anthropic import Anthropic
from google import genai
from openai import AsyncOpenAI, OpenAI

from llm_strategy import CassetteMiss, use_cassette

MESSAGES = [{"role": "user", "content": "x"}]
BEDROCK = [{"role": "user", "content": [{"text": "x"}]}]
URL = "https://api.openai.com/v1/chat/completions"


async def with_aiohttp():
    async with aiohttp.ClientSession() as session:
        await session.post(URL, json={})


async def with_openai():
    await AsyncOpenAI(api_key="any").chat.completions.create(model="m", messages=MESSAGES)


async def with_streams():
    await asyncio.open_connection("api.openai.com", 443)


made_before = OpenAI(api_key="any")
google = genai.Client(api_key="any")
bedrock = boto3.client("bedrock-runtime", "eu-west-1", aws_access_key_id="any", aws_secret_access_key="any")
CLIENTS = {
    "openai": lambda: OpenAI(api_key="any").chat.completions.create(model="m", messages=MESSAGES),
    "openai, made before": lambda: made_before.chat.completions.create(model="m", messages=MESSAGES),
    "openai, asynchronous": lambda: asyncio.run(with_openai()),
    "anthropic": lambda: Anthropic(api_key="any").messages.create(model="m", messages=MESSAGES, max_tokens=9),
    "google-genai": lambda: google.models.generate_content(model="m", contents="x"),
    "boto3": lambda: bedrock.converse(modelId="m", messages=BEDROCK),
    "requests": lambda: requests.post(URL, json={}),
    "urllib3": lambda: urllib3.request("POST", URL, json={}),
    "httpx": lambda: httpx.post(URL, json={}),
    "aiohttp": lambda: asyncio.run(with_aiohttp()),
    "urllib": lambda: urllib.request.urlopen(URL, b"{}"),
    "http.client": lambda: http.client.HTTPSConnection("api.openai.com").request("POST", "/v1/chat/completions"),
    "websockets": lambda: websockets.sync.client.connect("wss://api.openai.com/v1/realtime"),
    "asyncio": lambda: asyncio.run(with_streams()),
}


def attempt(name):
    try:
        CLIENTS[name]()
    except BaseException as error:
        if not isinstance(error, CassetteMiss):
            escaped.append((name, repr(error)))
    else:
        escaped.append((name, "answered"))


def hook(event, given):
    """Hears only of what the guard, which is asked first, has let pass."""
    if event.startswith("socket.") and event.partition(".")[2] in ("connect", "sendto", "sendmsg", "getaddrinfo"):
        if "localhost" not in str(given) and "127.0.0.1" not in str(given):
            escaped.append((event, str(given)))


escaped = []
with use_cassette("calls.yaml", http=True) as cassette:
    sys.addaudithook(hook)
    for name in CLIENTS:
        attempt(name)
        thread = threading.Thread(target=attempt, args=[name])
        thread.start()
        thread.join()
print(escaped, sorted({str(miss).split(" is refused")[0].split(" (")[0] for miss in cassette.misses}))
'''


def test_no_client_reaches_a_provider(tmp_path: Path) -> None:
    """Each client there is, from the main thread and another, gets CassetteMiss, and not one socket event passes."""
    (tmp_path / "program.py").write_text(EVERY_CLIENT)
    done = subprocess.run([sys.executable, "program.py"], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("[] "), done.stdout
