"""Reading cassettes without trusting them, and the page that specifies their format."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_strategy.canonical import canonical, digest
from llm_strategy.cassette.emitter import Limits, emit
from llm_strategy.cassette.reader import is_own_format, load
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import PATHS, SECRETS
from llm_strategy.values import Request

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "reference" / "cassette-format.md"

SLICE = b"""\
response:
  content: |-
    {"return_value": ["c1"]}
  finish_reason: "stop"
  usage:
    input_tokens: 312
"""


def test_the_lines_of_one_field_are_read_alone() -> None:
    """A slice of a document gives a mapping with the fields that it holds."""
    assert load(SLICE) == {
        "response": {
            "content": '{"return_value": ["c1"]}',
            "finish_reason": "stop",
            "usage": {"input_tokens": 312},
        }
    }


@pytest.mark.parametrize("text", [b"", b"\n", b"# nothing\n", b"---\n", b"---\n...\n"])
def test_an_empty_document_is_none(text: bytes) -> None:
    """Nothing, a comment, or a document without a value."""
    assert load(text) is None


# What other tools make of a cassette.

REFORMATTED = {
    "plain": b"a: yes\nb: 12:30:45\nc: 2024-02-29\nd: on\ne: 0o17\nf: 0x1F\ng: 1_000\nh: 012\ni: =\nj: <<\n",
    "flow": b'{a: "yes", "b": \'12:30:45\', c: 2024-02-29, d: on, e: 0o17, f: 0x1F, g: 1_000, h: 012, i: =, j: <<}',
    "folded": b"--- # comment\na: >-\n   yes\n'b': 12:30:45\n"
    b'c: |-\n        2024-02-29\nd: "o\\\n  n"\ne: 0o17\nf: 0x1F\n? g\n: 1_000\nh: 012\ni: =\nj: <<\n...\n',
}


@pytest.mark.parametrize("text", REFORMATTED.values(), ids=REFORMATTED)
def test_plain_text_stays_text(text: bytes) -> None:
    """No dates, sexagesimal numbers, octal numbers, or `yes` for true: strings lose their quotes in other tools."""
    expected = {"a": "yes", "b": "12:30:45", "c": "2024-02-29", "d": "on", "e": "0o17", "f": "0x1F", "g": "1_000"}
    assert load(text) == expected | {"h": "012", "i": "=", "j": "<<"}
    assert not is_own_format(text)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-07", 1e-07),
        ("1E+5", 1e5),
        ("1.", 1.0),
        ("-0.0", -0.0),
        ("-0", 0),
        ("9" * 60, int("9" * 60)),
        (".NaN", math.nan),
        ("+.inf", math.inf),
        ("-.INF", -math.inf),
        ("~", None),
        ("", None),
        ("Null", None),
        ("True", True),
        ("FALSE", False),
    ],
)
def test_numbers_and_words_of_other_tools_are_understood(written: str, value: Any) -> None:
    """Other tools write the exponent without a sign, null as nothing, and words with capitals."""
    assert canonical(load(f"a: {written}\n".encode())) == canonical({"a": value})


CALL = {
    "key": "0" * 64,
    "request": {"messages": [{"role": "user", "parts": [{"type": "text", "content": "One \U0001f600\n\ttwo \n\n"}]}]},
    "response": {"content": "# 1", "usage": {"input_tokens": 1, "cost": 1e-07}, "nothing": None, "list": [[], {}]},
}


def by_pyyaml(**options: Any) -> bytes:
    return yaml.dump(CALL, encoding="utf-8", Dumper=yaml.CSafeDumper, **options)


def by_ruamel() -> bytes:
    ruamel = pytest.importorskip("ruamel.yaml", reason="ruamel.yaml, a second implementation, is not installed")
    stream = io.BytesIO()
    writer = ruamel.YAML()
    writer.dump(writer.load(emit(CALL)), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "rewrite",
    [
        by_pyyaml,
        lambda: by_pyyaml(default_flow_style=True),
        lambda: by_pyyaml(allow_unicode=True, sort_keys=False),
        lambda: by_pyyaml(indent=8, width=20, explicit_start=True, explicit_end=True),
        by_ruamel,
        lambda: json.dumps(CALL).replace("\\ud83d\\ude00", "\\U0001f600").encode(),
    ],
    ids=["pyyaml", "flow", "unicode", "indented", "ruamel", "json"],
)
def test_a_reformatted_document_is_noticed_and_still_read(rewrite: Any) -> None:
    """Whatever another tool makes of the layout, the values are the same."""
    text = rewrite()
    assert load(text) == CALL
    assert not is_own_format(text)


def test_line_ends_of_windows_do_not_matter() -> None:
    """A checkout that turns line ends into CR LF gives the same values."""
    text = emit(CALL).encode().replace(b"\n", b"\r\n")
    assert load(text) == CALL
    assert not is_own_format(text)


# Which files count as our own.


@pytest.mark.parametrize("text", [SLICE, b"---\n{}\n", emit(CALL).encode(), emit(CALL).encode() * 3])
def test_our_own_format_is_recognised(text: bytes) -> None:
    """A field, an empty document, a document, and a file of several."""
    assert is_own_format(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a: plain\n",
        b"a: 'single'\n",
        b'a: "no line end"',
        b"a: >-\n  folded\n",
        b"a: |-\n   three spaces\n",
        b"a: |-\n",
        b"a: |-\n\n  blank line first\n",
        b"a: |4-\n    other indicator\n",
        b" a: 1\n",
        b"a: [1]\n",
        b"a: {b: 1}\n",
        b"a: &x 1\n",
        b"a: *x\n",
        b"a: !!str 1\n",
        b"# comment\n",
        b"a: 1 # comment\n",
        b"a:  1\n",
        b"%YAML 1.1\n---\na: 1\n",
        b"a: 1\n...\n",
        b"? a\n: 1\n",
        b"<<<<<<< HEAD\n",
    ],
)
def test_other_ways_to_write_yaml_are_not_our_own(text: bytes) -> None:
    """Every form that the emitter does not use."""
    assert not is_own_format(text)


# What is refused.

SECRET = "hunter2-hunter2"
REFUSED = {
    "python tag": (f"a: 1\nb: !!python/object/apply:os.system [{SECRET}]\n", 2, "a tag"),
    "tag of YAML": (f"a: !!str {SECRET}\n", 1, "a tag"),
    "own tag": (f"a: !{SECRET} 1\n", 1, "a tag"),
    "bare tag": (f"a:\n- ! {SECRET}\n", 2, "a tag"),
    "tag of a mapping": (f"a: !!omap\n  b: {SECRET}\n", 1, "a tag"),
    "tag directive": (f"%TAG ! tag:{SECRET},2000:\n---\na: 1\n", 1, "%TAG"),
    "anchor": (f"a: 1\nb: &{SECRET} 1\n", 2, "an anchor"),
    "anchor of a list": (f"a: 1\nb: &{SECRET}\n- 1\n", 2, "an anchor"),
    "alias": (f"a: 1\n\nb: *{SECRET}\n", 3, "alias"),
    "merge": (f"a: &{SECRET} {{b: 1}}\nc:\n  <<: *{SECRET}\n", 1, "an anchor"),
    "same key twice": (f"a:\n  {SECRET}: 1\n  b: 2\n  {SECRET}: 3\n", 4, "the same key twice"),
    "same key twice, quoted": (f'{SECRET}: 1\n"{SECRET}": 2\n', 2, "the same key twice"),
    "number as key": ("a: 1\n2: 3\n", 2, "a key that is not text"),
    "null as key": (f"~: {SECRET}\n", 1, "a key that is not text"),
    "list as key": (f"? [{SECRET}]\n: 1\n", 1, "a key that is not text"),
    "mapping as key": (f"? {{encoding: json-string, data: {SECRET}}}\n: 1\n", 1, "a key that is not text"),
    "second document": (f"---\na: 1\n---\nb: {SECRET}\n", 3, "a second document"),
    "long number": (f"a: {'9' * 5000}\n", 1, "a whole number of this length"),
    "not closed": (f'a: 1\nb: "{SECRET}\n', 3, "not YAML"),
    "torn": (f"a:\n  b: 1\n c: {SECRET}\n", 3, "not YAML"),
    "two colons": (f"a: b: {SECRET}\n", 1, "not YAML"),
    "tab": (f"a:\n\t{SECRET}: 1\n", 2, "not YAML"),
    "control character": (f"a: 1\nb: {SECRET}\x01\n", 2, "not YAML"),
    "surrogate as escape": (f'a: "{SECRET}\\ud800"\n', 1, "not YAML"),
    "conflict": (f"a: 1\n<<<<<<< {SECRET}\nb: 1\n=======\nb: 2\n>>>>>>> c\n", 2, "conflict markers"),
    "rest of a conflict": (f"a: {SECRET}\n=======\nb: 2\n", 2, "conflict markers"),
    "encoded text": (f'a:\n  encoding: "json-string"\n  data: "{SECRET}"\n', 4, "cannot be decoded"),
    "encoded text, no string": ('a:\n  encoding: "json-string"\n  data: "[[]]"\n', 4, "cannot be decoded"),
    "encoded text, no text": ('a:\n  encoding: "json-string"\n  data: 1\n', 4, "cannot be decoded"),
    "encoded pairs": (f'a:\n  encoding: "key-value-pairs"\n  data:\n  - "{SECRET}"\n', 5, "cannot be decoded"),
    "encoded pairs, twice": (
        'a:\n  encoding: "key-value-pairs"\n  data:\n  - - "b"\n    - 1\n  - - "b"\n    - 2\n',
        8,
        "the same key twice",
    ),
}


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_no_cassette_holds_is_refused(text: str, line: int, reason: str) -> None:
    """The message says where and why, how to go on, and quotes nothing of the file."""
    with pytest.raises(CassetteError) as caught:
        load(text.encode(), source="tests/a.yaml", first_line=101)
    message = str(caught.value)
    assert message.startswith(f"tests/a.yaml:{100 + line}: ")
    assert reason in message
    assert "pytest --llm-record" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a: 1\nb: \xff\n", 2),
        (b"a: \xed\xa0\x80\n", 1),
        (b"a: \xc0\x80\n", 1),
        ("a: 1\n".encode("utf-16"), 1),
        ("a: 1\n".encode("latin-1") + "\u00e4".encode("latin-1"), 2),
    ],
)
def test_what_is_not_utf_8_is_refused(text: bytes, line: int) -> None:
    """Other encodings, encoded surrogates, and overlong forms, with the line of the first such byte."""
    with pytest.raises(CassetteError, match=rf"^cassette:{line}: this is not UTF-8"):
        load(text)


@pytest.mark.parametrize(
    ("text", "limits", "reason"),
    [
        (b"a: 1\n" * 100, Limits(document=100), "a document of more than 100 bytes"),
        (b"b: 1\na: " + b"x" * 100, Limits(line=100), "a line of more than 100 bytes"),
        (b"x: 1\n" + b"\n" * 200 + b"a: " + b"x" * 100, Limits(line=100), "a line of more than 100 bytes"),
        (b"a: [" + b"1," * 100 + b"]", Limits(values=100), "a document of more than 100 values"),
        (b"[" * 4 + b"]" * 4, Limits(levels=3), "a nesting of more than 3 levels"),
        (b"- - - - a\n", Limits(levels=3), "a nesting of more than 3 levels"),
    ],
)
def test_each_limit_is_kept(text: bytes, limits: Limits, reason: str) -> None:
    """The message says which."""
    with pytest.raises(CassetteError, match=f"{reason} is not allowed"):
        load(text, limits=limits)


def test_what_reaches_a_limit_is_read() -> None:
    """Limits are the last values that are allowed."""
    text = b"a:\n- bcdef\n- []\n"
    assert load(text, limits=Limits(document=len(text), line=7, levels=3, values=4)) == {"a": ["bcdef", []]}


@given(st.binary() | st.text().map(str.encode) | st.text("ab: -|>\n\"'[]{}#&*!?%,\t10").map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a CassetteError comes out of a bad file, and what is read is JSON."""
    is_own_format(data)
    try:
        value = load(data)
    except CassetteError:
        return
    canonical(value)


@given(st.integers(0, len(emit(CALL)) - 1), st.characters(codec="ascii"))
@settings(deadline=None)
def test_a_changed_character_is_read_or_refused(position: int, character: str) -> None:
    """A damaged document gives a value or a CassetteError, never another error."""
    text = emit(CALL)
    damaged = (text[:position] + character + text[position + 1 :]).encode()
    is_own_format(damaged)
    try:
        load(damaged)
    except CassetteError:
        return


# Files made to do harm, each read in a process with little memory.

HOSTILE = {
    "flow sequences": ('b"[" * 200_000', "a nesting of more than 100 levels"),
    "flow sequences by the million": ('b"[" * 60_000_000', "a line of more than"),
    "flow mappings": ('b"{a: " * 200_000', "a nesting of more than 100 levels"),
    "dashes": ('b"- " * 200_000', "a nesting of more than 100 levels"),
    "question marks": ('b"? " * 200_000', "a key that is not text"),
    "indentation": (r'b"".join(b" " * n + b"a:\n" for n in range(3_000))', "a nesting of more than 100 levels"),
    "alias bomb": (
        r'b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (n, n, n - 1, n - 1) for n in range(98, 123))',
        "an anchor",
    ),
    "python tag": (r'b"!!python/object/apply:os._exit [7]\n"', "a tag"),
    "mappings by the million": (r'b"- {}\n" * 10_000_000', "a document of more than 1,000,000 values"),
    "keys by the million": (r'b"".join(b"%d: 1\n" % n for n in range(3_000_000))', "a key that is not text"),
    "tag directives": (r'b"".join(b"%%TAG !a%d! tag:b\n" % n for n in range(300_000))', "%TAG"),
    "documents": (r'b"--- 1\n" * 5_000_000', "a second document"),
    "a line of 70 MB": ('b"a: " + b"x" * 70_000_000', "a document of more than"),
    "a line of 50 MB": ('b"a: " + b"x" * 50_000_000', "a line of more than"),
    "blank lines": (r'b"a: |+\n" + b"\n" * 50_000_000', "read"),
    "a number of 10 MB": ('b"9" * 10_000_000', "a whole number of this length"),
    "encoded nesting": (r"""b'encoding: "json-string"\ndata: "' + b"[" * 1_000_000 + b'"\n'""", "cannot be decoded"),
}
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from llm_strategy.cassette.reader import is_own_format, load
from llm_strategy.errors import CassetteError
data = {hostile}
is_own_format(data)
try:
    load(data)
    print("read")
except CassetteError as error:
    print(error)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False, timeout=300
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory reliably")
@pytest.mark.parametrize(("hostile", "outcome"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_neither_crashes_nor_exhausts_memory(hostile: str, outcome: str) -> None:
    """Read with 1 GiB of address space: no crash, no code run, no MemoryError."""
    done = run(LIMITED.format(hostile=hostile))
    assert done.returncode == 0, done.stderr[-2000:]
    assert outcome in done.stdout


# PyYAML, with libyaml and without.

WITHOUT_LIBYAML = """
import json, sys
sys.modules["yaml._yaml"] = None
import yaml
assert not yaml.__with_libyaml__
from llm_strategy.cassette.reader import load
from llm_strategy.errors import CassetteError
for text in json.loads(sys.stdin.read()):
    try:
        print(json.dumps(load(text.encode())))
    except CassetteError as error:
        print(json.dumps(str(error).partition(": ")[0]))
"""


def test_without_libyaml_the_same_is_read_and_refused() -> None:
    """PyYAML's Python parser serves where libyaml is missing, with the same values and the same lines in errors."""
    texts = [emit(CALL), SLICE.decode(), *(text.decode() for text in REFORMATTED.values())]
    different = {"surrogate as escape"}  # that parser takes it; the digest of the document will not agree
    refused = {name: case for name, case in REFUSED.items() if name not in different}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBYAML],
        input=json.dumps([*texts, *(text for text, _, _ in refused.values())]),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert results[: len(texts)] == [load(text.encode()) for text in texts]
    assert results[len(texts) :] == [f"cassette:{line}" for _, line, _ in refused.values()]


def test_pyyaml_is_imported_with_the_first_document() -> None:
    """Importing the reader does not import PyYAML."""
    done = run(
        "import sys\n"
        "from llm_strategy.cassette.reader import load\n"
        "assert 'yaml' not in sys.modules\n"
        "load(b'a: 1')\n"
        "assert 'yaml' in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


# The page that specifies the format.


def example() -> list[bytes]:
    """The documents of the example file on the page."""
    found = re.search(r"^```yaml\n(---\nformat: .*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{PAGE} has no example file"
    return [f"---\n{text}".encode() for text in found[1].split("---\n")[1:]]


def test_the_example_of_the_format_page_is_our_own_format() -> None:
    """Each document is, to the byte, what the emitter writes for its value."""
    for text in example():
        assert emit(load(text)).encode() == text
        assert is_own_format(text)


def test_the_example_of_the_format_page_begins_with_a_header() -> None:
    """Format and version stand first."""
    header, *calls = (load(text) for text in example())
    assert list(header)[:2] == ["format", "version"]
    assert (header["format"], header["version"]) == ("llm-strategy cassette", 1)
    assert len(calls) >= 2


def test_keys_and_digests_of_the_format_page_are_right() -> None:
    """Recomputed as the page says they are computed, they agree with what is written there."""
    for text in example()[1:]:
        call = load(text)
        assert call["request_digest"] == digest(call["request"])
        assert call["digest"] == digest({"key": call["key"], "response": call["response"]})
        assert list(call)[-1] == "digest"
        if call.get("kind") == "http":
            method, url, body = (call["request"][name] for name in ("method", "url", "body"))
            assert call["key"] == digest({"kind": "http", "method": method, "path": urlsplit(url).path, "body": body})
        else:
            assert call["key"] == Request.from_json(call["request"]).key
            assert "".join(call["response"].get("pieces", [call["response"]["content"]])) == call["response"]["content"]


def test_the_format_page_names_every_placeholder() -> None:
    """Placeholders are part of keys, so that a new one has to be written down."""
    page = PAGE.read_text(encoding="utf-8")
    for rule in (*SECRETS, *PATHS):
        for placeholder in re.findall("<[a-z-]+>", rule.replacement):
            assert f"`{placeholder}`" in page


def test_the_format_page_shows_the_limits_and_encodings() -> None:
    """Numbers and names on the page are those of the code."""
    page = PAGE.read_text(encoding="utf-8")
    limits = Limits()
    for text in (
        f"{limits.document >> 20} MiB",
        f"{limits.line >> 20} MiB",
        f"{limits.levels} levels",
        f"{limits.values:,} values",
        '`encoding: "json-string"`',
        '`encoding: "key-value-pairs"`',
    ):
        assert text in page, text
