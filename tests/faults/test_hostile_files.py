"""Files that were made to do harm, and other things in the place of a cassette: read with bounds, and named."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import CassetteError, CassetteMiss, use_cassette
from llm_strategy.canonical import digest
from llm_strategy.cassette.document import header_document, response_digest
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.project import Project
from llm_strategy.cassette.store import CassetteFile
from llm_strategy.cli import main
from tests.faults import sample
from tests.faults.conftest import Faults
from tests.llm_strategy.programs import output

HEADER = header_document(("m",), None, {})
KEY = "a" * 64
REQUEST = {"model": "m", "messages": [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]}
RESPONSE = {"content": "Hello", "finish_reason": "stop"}


def signed(request: Any = REQUEST, response: Any = RESPONSE, **fields: Any) -> bytes:
    """A document whose digests are right, whatever it holds."""
    document = {"key": KEY, **fields, "request": request, "response": response}
    document |= {"request_digest": digest(request), "digest": response_digest(KEY, response)}
    return emit(document).encode()


def call(request: bytes = b"  model: null\n", response: bytes = b'  content: "a"\n', key: str = KEY) -> bytes:
    """A document that begins and ends as a sound one does."""
    ends = f'request_digest: "{KEY}"\ndigest: "{KEY}"\n'.encode()
    return b'---\nkey: "%b"\nrequest:\n%bresponse:\n%b%b' % (key.encode(), request, response, ends)


# Harm

BOMB = b'  a: &a ["x", "x"]\n' + b"".join(b"  b%d: &b%d [*a, *a, *a]\n" % (n, n) for n in range(50))
RUNS = b'  content: !!python/object/apply:os.system ["touch executed"]\n'
HOSTILE: dict[str, Callable[[bool], Iterator[bytes]]] = {
    "a tag that runs code": lambda long: iter([HEADER, call(RUNS), call(response=RUNS)]),
    "a tag in the header": lambda long: iter(
        [HEADER.replace(b"1\n", b'!!python/object/apply:os.system ["touch executed"]\n', 1)]
    ),
    "an alias bomb": lambda long: iter([HEADER, call(BOMB), call(response=BOMB)]),
    "[ 200,000 times": lambda long: iter([HEADER, call(b"  a: " + b"[" * 200_000 + b"\n")]),
    "[ 200,000 times and nothing else": lambda long: iter([b"[" * 200_000]),
    "directives": lambda long: iter([b"".join(b"%%TAG !a%d! tag:b\n" % n for n in range(_many(long))), HEADER]),
    "directives behind the header": lambda long: iter(
        [HEADER, b"".join(b"%%TAG !a%d! tag:b\n" % n for n in range(_many(long)))]
    ),
    "many empty documents": lambda long: iter([HEADER, b"---\n" * _many(long)]),
    "many numbers": lambda long: iter([HEADER, b"--- 1\n" * _many(long)]),
    "many keys in one document": lambda long: iter([HEADER, b"---\n", f'key: "{KEY}"\n'.encode() * _many(long)]),
    "tiny calls": lambda long: (
        piece for n in range(-1, _many(long) // 3) for piece in [call(key=f"{n:08x}" * 8) if n >= 0 else HEADER]
    ),
    "tiny calls in another form": lambda long: (
        f'--- {{key: "{n:08x}{n:056x}", digest: "x"}}\n'.encode() if n >= 0 else HEADER
        for n in range(-1, _many(long) // 3)
    ),
    "a long line": lambda long: _line(HEADER + b'---\nkey: "' + b"b" * 64 + b'"\nrequest:\n  model: "', long),
    "a long line and nothing else": lambda long: _line(b"", long),
}
OUTSIDE = """
import contextlib, io, json, time
from pathlib import Path
from llm_strategy import CassetteError, CassetteMiss, llm_strategy, use_cassette
from llm_strategy.cassette.project import Project
from llm_strategy.cli import main

@llm_strategy("openai:nothing")
def ask() -> int:
    '''Ask.'''
    raise NotImplementedError

import yaml
def peak():
    # What resource says is inherited from the parent.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
before, started = peak(), time.process_time()
codes = []
for command in ("ls", "show", "verify"):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as complaints:
        codes.append(main([command, "x.yaml"]))
try:
    with use_cassette("x.yaml"):
        ask()
except (CassetteError, CassetteMiss) as error:
    codes.append(type(error).__name__)
Project(Path(".")).find("c" * 64, 1, apart_from=Path("other.yaml"))
print(json.dumps({"codes": codes, "cpu": time.process_time() - started, "grown": peak() - before}))
"""


def _many(long: bool) -> int:
    return 300_000 if long else 10_000


def _line(start: bytes, long: bool) -> Iterator[bytes]:
    yield start
    for _ in range(1000 if long else 20):
        yield b"x" * 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says reliably how much memory a process has used")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_runs_nothing_and_is_read_within_bounds(name: str, tmp_path: Path, faults: Faults) -> None:
    """By `ls`, `show`, `verify`, a replay and the search of all cassettes: memory for the file and little more."""
    path = tmp_path / "x.yaml"
    with path.open("wb") as file:
        file.writelines(HOSTILE[name](faults.long))
    size = path.stat().st_size
    done = json.loads(output(OUTSIDE, cwd=tmp_path))

    assert all(code in (0, 5, "CassetteError", "CassetteMiss") for code in done["codes"]), done
    assert not (tmp_path / "executed").exists()
    # Each document that is found takes about 1.5 KB, however small it is.
    assert done["grown"] < 3 * size + (faults.trials(100, 400) << 20)
    megabytes = {"file_mb": round(size / 1e6, 1), "memory_mb": round(done["grown"] / 1e6, 1)}
    faults.figures(f"a hostile file: {name}", **megabytes, cpu_seconds=round(done["cpu"], 2))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says reliably how much memory a process has used")
@pytest.mark.parametrize("start", [b"", HEADER], ids=["empty", "header"])
@pytest.mark.parametrize("gigabytes", [1, 3])
def test_a_file_of_holes_is_refused(start: bytes, gigabytes: int, tmp_path: Path, faults: Faults) -> None:
    """Which takes no room on the disk; beyond 2 GiB nothing of it is read."""
    if gigabytes == 1 and start and not faults.long:
        pytest.skip("reads a gigabyte; make faults does it")
    with (tmp_path / "x.yaml").open("wb") as file:
        file.write(start)
        file.truncate(gigabytes << 30)
    done = json.loads(output(OUTSIDE, cwd=tmp_path))

    assert done["codes"] == [5, 5, 5, "CassetteError"]
    assert done["grown"] < (2 << 30 if start and gigabytes == 1 else 100 << 20)


UNSOUND: dict[str, bytes] = {
    "a path for a hash": signed({"model": "m", "messages": [{"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": None, "blob": {"sha256": "../../../../etc/passwd", "size": 5}}]}]}),
    "a text that is a number": signed({"model": "m", "messages": [{"role": "user", "parts": [{"type": "text", "content": 5}]}]}),
    "a role that is a list": signed({"model": "m", "messages": [{"role": [], "parts": []}]}),
    "a model that is a number": signed({"model": 5, "messages": []}),
    "messages that are a number": signed({"model": "m", "messages": 5}),
    "a part of no known type": signed({"model": "m", "messages": [{"role": "user", "parts": [{"type": "x"}]}]}),
    "settings that are a list": signed({"model": "m", "messages": [], "settings": [1]}),
    "a request that is null": signed(None),
    "a request that is a list": signed([]),
    "a URL that is none": signed({"method": "POST", "url": "http://["}, {"status": 200}, kind="http"),
    "a URL that is a number": signed({"method": "POST", "url": 5}, {"status": 200}, kind="http"),
    "a body that is a list": signed({"method": "POST", "url": "http://a/v1/chat/completions", "body": [1]}, {"status": "x"}, kind="http"),
    "events that are a number": signed({"method": "POST", "url": "http://a/chat/completions"}, {"status": 200, "events": 5}, kind="http"),
    "a response that is null": signed(response=None),
    "a content that is null": signed(response={"content": None}),
    "a reason that is a number": signed(response={"content": "a", "finish_reason": 5}),
    "a usage that is a text": signed(response={"content": "a", "usage": "much"}),
    "a usage of texts": signed(response={"content": "a", "usage": {"input_tokens": "1", "output_tokens": None}}),
    "pieces that are a number": signed(response={"content": "a", "pieces": 5}),
    "a model that is a list": signed(response={"content": "a", "model": ["m"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_signed_and_unsound_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A digest says that nothing has changed, not that it makes sense: no command ends in a traceback."""
    path = tmp_path / "x.yaml"
    path.write_bytes(HEADER + UNSOUND[name])

    assert [main([command, str(path)]) for command in ("ls", "verify")] == [0, 5]
    assert main(["show", str(path)]) in (0, 5)
    assert main(["verify", "--accept", str(path)]) in (0, 5)
    assert path.read_bytes() == HEADER + UNSOUND[name]
    said = capsys.readouterr()
    assert f"{path}:" in said.err


def test_a_name_in_the_header_leads_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`recorded_by` is shown, and no file is looked for by it."""
    path = tmp_path / "x.yaml"
    path.write_bytes(header_document(("m",), "../../../etc/passwd::test", {}) + signed())

    assert main(["verify", str(path)]) == 0
    assert main(["ls", str(path)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["x.yaml"]


# Other things in its place


def _no_file(kind: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        if kind == "socket":
            # The address of a socket is short.
            os.chdir(path.parent)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(kind)

    return make


def _of(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(change(HEADER + signed()))

    return make


def _beside(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


STATES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "is a folder, not a cassette; move it away, then record again"),
    "pipe": (_no_file("pipe"), "is a named pipe, not a cassette"),
    "socket": (_no_file("socket"), "is a socket, not a cassette"),
    "device": (_no_file(os.devnull), "is a device, not a cassette"),
    "loop": (_no_file("x.yaml"), "too many levels of symbolic links; remove the link"),
    "file above it": (_beside, "is not a folder; move that away, then try again"),
    "UTF-16": (_of(lambda data: data.decode().encode("utf-16")), "UTF-16; save it as UTF-8: iconv -f UTF-16"),
    "UTF-16 without mark": (_of(lambda data: data.decode().encode("utf-16-le")), "this is not UTF-8 but UTF-16"),
    "gzip": (_of(gzip.compress), "is compressed by gzip; unpack it: gunzip -c"),
    "zeros": (_of(lambda data: b"\0" * 9000), "begins with zeros: a crash or a broken copy has left them"),
    "JSON": (_of(lambda data: b'{"a": [1]}'), "is not a cassette of llm-strategy but JSON; move it away"),
    "vcrpy": (_of(lambda data: b"interactions:\n- request: {}\nversion: 1\n"), "but one of vcrpy; put it where"),
    "vcrpy, JSON": (_of(lambda data: b'{"version": 1, "interactions": []}'), "but one of vcrpy; put it where"),
    "newer": (_of(lambda data: data.replace(b"version: 1", b"version: 2")), "pip install -U llm-strategy"),
    "version 0": (_of(lambda data: data.replace(b"version: 1", b"version: 0")), "which no release has written"),
    "text as version": (_of(lambda data: data.replace(b"version: 1", b'version: "1"')), "which no release has written"),
    "no version": (_of(lambda data: data.replace(b"version: 1\n", b"")), "which no release has written"),
    "header and call in one": (_of(lambda data: data.replace(b"---\nkey", b"key")), "the line `---` between the header"),
    "models that are numbers": (_of(lambda data: data.replace(b'"m"', b"5", 1)), "answered_by and recorded_by in the header"),
    "conflict": (_of(lambda data: b"<<<<<<< HEAD\n" + data + b"=======\n" + data + b">>>>>>> x\n"), "git left conflict markers"),
    "rest of a conflict": (_of(lambda data: data + b"=======\n"), "git left conflict markers"),
    "base of a conflict": (_of(lambda data: data + b"||||||| x\n" + data), "git left conflict markers"),
    "other key": (_of(lambda data: data.replace(KEY[:9].encode(), b"A" * 9, 1)), "its key is not 64 hex digits"),
    "no digest": (_of(lambda data: data.replace(b"\ndigest", b"\nother") + signed()), "it has no digest"),
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other things than files of its own")
@pytest.mark.parametrize("name", STATES)
def test_each_bad_state_of_a_file_is_named_with_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To a replay, a recording and the commands alike; nothing is read from a pipe, and nothing is written over."""
    make, message = STATES[name]
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "x.yaml"
    monkeypatch.chdir(tmp_path)
    make(path)
    before = path.read_bytes() if path.is_file() else None

    for mode in ("replay", "new"):
        with use_cassette(path, mode), pytest.raises(CassetteError) as raised:
            sample.draw("any")
        assert message in str(raised.value)
        assert str(path) in str(raised.value) or name == "device"
    if path.exists() and not path.is_dir():
        assert [main([command, str(path)]) for command in ("ls", "show", "verify")] == [5, 5, 5]
        assert capsys.readouterr().err.count(message) == 3
    assert not Project(tmp_path).find(KEY, 1, apart_from=tmp_path / "y.yaml")
    assert before is None or path.read_bytes() == before


def test_a_file_that_was_refused_is_refused_again(tmp_path: Path) -> None:
    """Though the first error is still held: half read, the file would look empty, and be written over."""
    path = tmp_path / "x.yaml"
    path.write_bytes(HEADER + signed() + b"<<<<<<< HEAD\n")
    before = path.read_bytes()

    errors = []
    with use_cassette(path, "new"):
        for _ in range(3):
            with pytest.raises(CassetteError, match="conflict markers") as raised:
                sample.draw("any")
            errors.append(raised.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\t\n\r\n", HEADER, HEADER[:40]], ids=repr)
def test_a_file_without_calls_is_recorded_into(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The miss says that it is empty, `verify` that there is nothing in it."""
    path = tmp_path / "x.yaml"
    path.write_bytes(data)

    with use_cassette(path), pytest.raises(CassetteMiss, match=r"nothing is recorded here yet: .*x\.yaml is empty"):
        sample.draw("any")
    main(["verify", str(path)])
    said = capsys.readouterr()
    assert "holds no call" in said.out or "torn" in said.err
    with use_cassette(path, "new"):
        drawn = sample.draw("any")
    file = CassetteFile(path)
    file.refresh()
    assert len(file.entries) == 1
    with use_cassette(path):
        assert sample.draw("any") == drawn


def test_a_byte_order_mark_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An editor has put it there; the file replays, `verify` says so."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER + signed())

    assert main(["verify", str(path)]) == 0
    assert "begins with a byte order mark" in capsys.readouterr().out
    file = CassetteFile(path)
    file.refresh()
    assert file.entries[0].response.content == "Hello"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording goes to where it leads."""
    path = tmp_path / "x.yaml"
    path.symlink_to("other.yaml")

    assert [main([command, str(path)]) for command in ("ls", "show", "verify")] == [3, 3, 3]
    assert capsys.readouterr().err.count("x.yaml is a symbolic link to other.yaml, where nothing is") == 3
    with use_cassette(path, "new"):
        sample.draw("any")
    assert (tmp_path / "other.yaml").is_file()
    assert path.is_symlink()


UNPERMITTED = """
import os, sys
from pathlib import Path
import yaml
from llm_strategy import CassetteError, CassetteMiss, use_cassette
from llm_strategy.cassette.project import Project
from llm_strategy.cli import main
from tests.faults import sample

def replayed(path):
    try:
        with use_cassette(path):
            sample.draw("any")
    except (CassetteError, CassetteMiss) as error:
        return error

folder = Path(sys.argv[1])
os.chdir("/")
# What is imported on the way may lie where only root may read.
replayed(folder / "none.yaml")
if os.geteuid() == 0:
    os.seteuid(65534)
print(replayed(folder / "x.yaml"))
print([main([command, str(folder / "x.yaml")]) for command in ("ls", "show", "verify")])
print(Project(folder).find("a" * 64, 1, apart_from=folder / "y.yaml"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_file_that_may_not_be_read_is_named() -> None:
    """With the command that changes it; the search for a recording elsewhere passes it over."""
    # In a folder that others than root may enter, unlike `tmp_path`.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "x.yaml").resolve()
        path.write_bytes(HEADER + signed())
        path.chmod(0)
        printed = output(UNPERMITTED, str(path.parent)).splitlines()

    assert printed == [
        f"{path} cannot be read: permission denied; give yourself the right to read it: chmod u+r {path}",
        "[5, 5, 5]",
        "None",
    ]


@pytest.mark.parametrize("what", ["blobs is a file", "blobs/XX is a file", "the blob is a folder"])
def test_what_is_in_the_way_of_a_blob_is_named(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The call is not recorded, and nothing is overwritten."""
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        sample.describe(sample.PHOTO)
    (blob,) = [file for file in (tmp_path / "blobs").rglob("*") if len(file.name) == 64]
    blob.unlink()
    path.unlink()
    if what == "the blob is a folder":
        blob.mkdir()
    else:
        blob.parent.rmdir()
        obstacle = blob.parent
        if what == "blobs is a file":
            (tmp_path / "blobs" / ".gitattributes").unlink()
            obstacle = blob.parent.parent
            obstacle.rmdir()
        obstacle.write_text("kept")

    problem = "is a folder, where a file belongs" if blob.is_dir() else "is not a folder; move that away"
    with use_cassette(path, "new"), pytest.raises(CassetteError, match=problem):
        sample.describe(sample.PHOTO)
    assert blob.is_dir() or obstacle.read_text() == "kept"
    assert not path.exists()
