from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
from langchain_core.language_models import FakeListLLM
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import BaseModel

from llm_strategy import (
    Blob,
    Cassette,
    CassetteError,
    CassetteMiss,
    Media,
    ModelError,
    PromptError,
    Request,
    ScriptedModel,
    SecretFound,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
    use_cassette,
)
from llm_strategy.cli import main
from llm_strategy.redaction import placeholders
from llm_strategy.transcript import transcript
from llm_strategy.values import BlobPart, TextPart, UriPart
from tests.llm_strategy.loopback import Loopback

PNG = bytes.fromhex("89504e470d0a1a0a") + b"cat"
LARGE = PNG + bytes(range(256)) * 8
PNG64 = base64.b64encode(PNG).decode()


def scripted() -> ScriptedModel:
    return ScriptedModel(lambda request: '{"return_value": "a cat"}', name="local:eye", recorded=True)


@llm_strategy(scripted())
def describe(photo: Annotated[bytes, Media("image/png")], style: str = "short") -> str:
    """Describe the photo."""
    raise NotImplementedError


@llm_strategy(scripted())
def read(document: Annotated[Path, Media()]) -> str:
    """Read the document."""
    raise NotImplementedError


@llm_strategy(scripted())
def visit(page: Annotated[str, Media("image/jpeg")]) -> str:
    """Describe what is there."""
    raise NotImplementedError


@dataclass
class Page:
    number: int
    scan: Annotated[Path, Media()]


class Album(BaseModel):
    title: str
    cover: Annotated[bytes, Media("image/png")] | None = None
    pages: list[Page] = []
    sound: Blob | None = None


@attrs.define
class Frame:
    image: Blob


def text(request: Request) -> str:
    return request.messages[-1].content


def arguments(request: Request) -> list[str]:
    return text(request).partition("Arguments:\n\n")[2].partition("\n\nReply with")[0].split("\n")


def parts(request: Request) -> list[Any]:
    first, *rest = request.messages[-1].parts
    assert isinstance(first, TextPart)
    return rest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of each kind, from where the test is run."""
    for name in ("a.png", "b.JPG", "c.pdf", "d.wav", "e.mp4", "f.unknown", "g", "h.md", "tmpabcd1234.png"):
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_image_follows_the_prompt_as_a_part() -> None:
    """The argument's line says which file it is, the part after the text has the content; the rest is as ever."""
    request = describe.request(PNG)
    assert text(request).startswith("def describe(photo: bytes, style: str) -> str\n")
    assert arguments(request) == ["photo = <image/png, attached as file 1>", 'style = "short"']
    assert parts(request) == [BlobPart("image", "image/png", PNG64)]


@pytest.mark.parametrize(
    ("name", "modality", "media_type"),
    [
        ("a.png", "image", "image/png"),
        ("b.JPG", "image", "image/jpeg"),
        ("c.pdf", "document", "application/pdf"),
        ("d.wav", "audio", "audio/wav"),
        ("e.mp4", "video", "video/mp4"),
        ("h.md", "document", "text/markdown"),
    ],
)
def test_the_suffix_of_a_path_tells_the_type(folder: Path, name: str, modality: str, media_type: str) -> None:
    """A file is read at the call; its name is told, its folder is not."""
    request = read.request(folder / name)
    assert arguments(request) == [f"document = <{media_type}, {name}, attached as file 1>"]
    assert parts(request) == [BlobPart(modality, media_type, base64.b64encode(name.encode()).decode())]
    assert request.key == read.request(Path(name)).key
    assert str(folder) not in transcript(request)


def test_the_name_of_a_temporary_file_is_not_told(folder: Path) -> None:
    """It would be another one in every run."""
    assert arguments(read.request(folder / "tmpabcd1234.png")) == ["document = <image/png, attached as file 1>"]


def test_a_name_cannot_break_the_line(folder: Path) -> None:
    """What a line of a prompt cannot hold is replaced in a file's name."""
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    odd = folder / "a\nb<c>.png"
    odd.write_bytes(b"")
    assert arguments(read.request(odd)) == ["document = <image/png, a_b_c_.png, attached as file 1>"]


def test_an_address_is_sent_as_such() -> None:
    """A text that is marked is an http address: nothing is fetched."""
    request = visit.request("https://example.org/a")
    assert arguments(request) == ["page = <image/jpeg, attached as file 1>"]
    assert parts(request) == [UriPart("image", "image/jpeg", "https://example.org/a")]


def test_content_stands_anywhere(folder: Path) -> None:
    """In lists, mappings, optional and variable arguments, fields of arguments and of self: numbered as they come."""

    @llm_strategy(scripted())
    @dataclass
    class Shop:
        name: str
        logo: Annotated[Path, Media()]
        frames: list[Frame] = field(default_factory=list)

        def find(
            self,
            album: Album,
            pages: list[Annotated[Path, Media()]],
            by_name: dict[str, Annotated[bytes, Media("image/png")]],
            none: Annotated[Path, Media()] | None,
            either: str | Annotated[bytes, Media("image/gif")],
            *more: Blob,
            **named: Annotated[Path, Media("text/plain")],
        ) -> str:
            """Find it."""
            raise NotImplementedError

    shop = Shop("s", Path("a.png"), [Frame(Blob(b"1", "image/png", name="x/y.png"))])
    album = Album(title="t", cover=b"2", pages=[Page(1, Path("c.pdf"))], sound=Blob(b"3", "audio/wav"))
    request = shop.find.request(
        album, [Path("a.png"), Path("b.JPG")], {"k": b"4"}, None, "text", Blob(b"5", "image/png"), f=Path("f.unknown")
    )
    assert arguments(request) == [
        "self = {",
        '  "name": "s",',
        '  "logo": "<image/png, a.png, attached as file 1>",',
        '  "frames": [{"image": "<image/png, x/y.png, attached as file 2>"}]',
        "}",
        "album = {",
        '  "title": "t",',
        '  "cover": "<image/png, attached as file 3>",',
        '  "pages": [{"number": 1, "scan": "<application/pdf, c.pdf, attached as file 4>"}],',
        '  "sound": "<audio/wav, attached as file 5>"',
        "}",
        'pages = ["<image/png, a.png, attached as file 6>", "<image/jpeg, b.JPG, attached as file 7>"]',
        'by_name = {"k": "<image/png, attached as file 8>"}',
        "none = null",
        'either = "text"',
        'more = ["<image/png, attached as file 9>"]',
        'named = {"f": "<text/plain, f.unknown, attached as file 10>"}',
    ]
    contents = [base64.b64decode(part.content) for part in parts(request)]
    assert contents == [b"a.png", b"1", b"2", b"c.pdf", b"3", b"a.png", b"b.JPG", b"4", b"5", b"f.unknown"]


def test_functions_given_their_model_take_content(folder: Path) -> None:
    """So do explicit ones, whose input has fields."""

    @llm_function
    def look(model: Any, photo: Blob) -> str:
        """Look."""
        raise NotImplementedError

    @llm_explicit_function
    def leaf(model: Any, page: Page) -> str:
        """Leaf."""
        raise NotImplementedError

    @llm_function
    def anything(model: Any, thing: Any) -> str:
        """Say what it is."""
        raise NotImplementedError

    assert len(parts(anything.request(scripted(), Blob(PNG, "image/png")))) == 1
    model = ScriptedModel(['{"return_value": "a cat"}'] * 2)
    assert look(model, Blob(PNG, "image/png")) == leaf(model, Page(1, Path("a.png"))) == "a cat"
    assert [len(request.messages[-1].parts) for request in model.requests] == [2, 2]


def test_bytes_without_a_mark_stay_text() -> None:
    """Nothing changes for them."""

    @llm_strategy(scripted())
    def count(data: bytes, path: Path) -> str:
        """Count."""
        raise NotImplementedError

    request = count.request(b"abc", Path("x.png"))
    assert arguments(request) == ['data = "YWJj"', 'path = "x.png"']
    assert parts(request) == []


@pytest.mark.parametrize(
    ("call", "kind", "problem"),
    [
        (lambda: read.request(Path("no.pdf")), FileNotFoundError, r"^read\(\): document: there is no file .*: no.pdf$"),
        (
            lambda: read.request(Path("sub.pdf")),
            IsADirectoryError,
            r"^read\(\): document: this is a folder; .*: sub.pdf$",
        ),
        (lambda: read.request(Path()), IsADirectoryError, r"^read\(\): document: this is a folder; .*: \.$"),
        (lambda: read.request(Path("no")), FileNotFoundError, r"^read\(\): document: there is no file .*: no$"),
        (lambda: read.request(Path("f.unknown")), PromptError, r"document: 'f.unknown' does not tell the media type"),
        (lambda: read.request(Path("g")), PromptError, r"document: 'g' does not tell the media type"),
        (lambda: read.request(Path("a\0.png")), PromptError, r"document: no file can have the name"),
        (lambda: visit.request("a.png"), PromptError, r"page is marked as content, .* begins with https://"),
        (lambda: visit.request("file:///a.png"), PromptError, r"begins with https://"),
        (lambda: describe.request("a.png"), TypeError, r"argument 'photo' must be bytes, not str"),
        (lambda: Media("png"), ValueError, r"'png' is no media type"),
        (lambda: Media(3), TypeError, r"a media type is a text"),
        (lambda: Blob("a", "image/png"), TypeError, r"content of a Blob is bytes, not str"),
        (lambda: Blob(b"", ""), ValueError, r"'' is no media type"),
    ],
)
def test_what_cannot_be_sent_is_named(folder: Path, call: Any, kind: type[Exception], problem: str) -> None:
    """An error says which function, which argument, which file, and what to do."""
    (folder / "sub.pdf").mkdir()
    with pytest.raises(kind, match=problem):
        call()


def test_marks_that_make_no_sense_are_refused(folder: Path) -> None:
    """A type that nobody tells, a list marked as a whole, a set without order, a value of another kind."""

    def asked(annotation: Any, value: Any) -> Any:
        def f(x: Any) -> str:
            """Look."""
            raise NotImplementedError

        f.__annotations__["x"] = annotation
        return llm_strategy(scripted())(f).request(value)

    for annotation, value, problem in [
        (Annotated[bytes, Media()], b"", r"f\(\): x: bytes does not tell the media type"),
        (Annotated[list[Path], Media()], [Path("a.png")], r"list\[Annotated\[Path, Media\(\)\]\]"),
        (set[Annotated[Path, Media()]], {Path("a.png")}, "x is a set, in which marked values have no fixed order"),
        (list[Annotated[Path, Media()]], [Path("a.png"), Path("no.png")], r"x\[1\]: there is no file"),
        (Annotated[int, Media("image/png")], 3, "x is marked as content, but is of type int"),
    ]:
        with pytest.raises((PromptError, OSError), match=problem):
            asked(annotation, value)
    assert len(parts(asked(Annotated[Path, Media], Path("a.png")))) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    """What is no ordinary file may have no end."""
    os.mkfifo("pipe.png")
    with pytest.raises(PromptError, match=r"document: this is no ordinary file: pipe.png"):
        read.request(Path("pipe.png"))


def test_an_unreadable_file_is_named(folder: Path) -> None:
    """Also one that exists but may not be read."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("everything may be read: by root, and on Windows")
    (folder / "a.png").chmod(0)
    with pytest.raises(PermissionError, match=r"document: this file may not be read; .*: a.png"):
        read.request(Path("a.png"))


def test_a_blob_is_a_value() -> None:
    """Equal where its content is; its repr shows no content."""
    assert Blob(bytearray(b"a"), "Image/PNG") == Blob(b"a", "image/png") != Blob(b"b", "image/png")
    assert len({Blob(b"a", "image/png"), Blob(b"a", "image/png")}) == 1
    assert repr(Blob(b"a" * 2000, "image/png", name="a.png")) == "Blob(<2,000 bytes>, 'image/png', name='a.png')"
    assert repr(Media("image/png")) == "Media(media_type='image/png')"


# To a provider


ATTACHED = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG64}"}},
    {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
    {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "document.pdf"}},
]


@llm_function
def attend(model: Any, *files: Blob) -> str:
    """Say what it is."""
    raise NotImplementedError


def test_the_openai_client_sends_the_bytes() -> None:
    """A provider gets text, image, sound and document in the form that the API documents."""
    files = Blob(PNG, "image/png"), Blob(b"ID3", "audio/mpeg"), Blob(b"%PD", "application/pdf")
    with Loopback('{"return_value": "a"}', '{"return_value": "b"}') as server, use_cassette("x.yaml", mode="live"):
        client = OpenAI(base_url=server.url, api_key="any", max_retries=0)
        assert attend(llm_strategy_model(client), *files) == "a"
        assert attend(ChatOpenAI(base_url=server.url, api_key="any", model="m", max_retries=0), *files) == "b"
    for body in server.bodies:
        content = body["messages"][-1]["content"]
        assert content[0]["type"] == "text"
        assert '"<audio/mpeg, attached as file 2>"' in content[0]["text"]
        assert content[1:] == ATTACHED


def llm_strategy_model(client: OpenAI) -> Any:
    from llm_strategy import OpenAIModel

    return OpenAIModel("m", client=client)


def test_what_a_provider_has_no_place_for_is_named() -> None:
    """The error names the media type and what to do; nothing is sent."""
    with Loopback() as server, use_cassette("x.yaml", mode="live"):
        model = llm_strategy_model(OpenAI(base_url=server.url, api_key="any", max_retries=0))
        with pytest.raises(ModelError, match=r"no place for video \(video/mp4\) given as content"):
            attend(model, Blob(b"x", "video/mp4"))
    assert server.requests == []


def test_a_model_that_completes_text_refuses_content() -> None:
    """It is not left out silently."""
    model = FakeListLLM(responses=['{"return_value": "a"}'])
    with pytest.raises(ModelError, match=r"completes text has no place for image \(image/png\): take a chat model"):
        attend(model, Blob(PNG, "image/png"))


# In a cassette


def test_large_content_lies_in_a_file_of_its_own(tmp_path: Path) -> None:
    """It is written once, before what refers to it; the cassette holds hash, type and size."""
    path = tmp_path / "cassettes" / "a.yaml"
    with use_cassette(path, mode="new"):
        describe(LARGE)
        describe(LARGE, "long")
        describe(PNG)
    name = sha256(LARGE).hexdigest()
    files = [file for file in (tmp_path / "cassettes" / "blobs").rglob("*") if file.is_file() and len(file.name) == 64]
    assert files == [tmp_path / "cassettes" / "blobs" / name[:2] / name]
    assert files[0].read_bytes() == LARGE
    written = path.read_text()
    assert (
        f'      blob:\n        sha256: "{name}"\n        mime_type: "image/png"\n        size: {len(LARGE)}\n'
    ) in written
    assert base64.b64encode(LARGE).decode()[:80] not in written
    assert PNG64 in written
    calls = list(Cassette(path))
    assert [call.request.key for call in calls] == [call.key for call in calls]
    assert calls[0].request == describe.request(LARGE)


def test_a_replay_needs_no_blob(tmp_path: Path) -> None:
    """Key and reply are in the cassette; what is gone is told by `verify`."""
    path = tmp_path / "a.yaml"
    with use_cassette(path, mode="new"):
        describe(LARGE)
    (blob,) = [file for file in (tmp_path / "blobs").rglob("*") if file.is_file() and len(file.name) == 64]
    blob.unlink()
    with use_cassette(path) as cassette:
        assert describe(LARGE) == "a cat"
    assert cassette.calls[0].key == describe.request(LARGE).key
    (call,) = Cassette(path)
    assert transcript(call.request) == transcript(describe.request(LARGE))
    with use_cassette(path), pytest.raises(CassetteMiss) as caught:
        describe(LARGE, "long")
    assert caught.value.causes == ("the argument 'style' of describe",)


@pytest.mark.parametrize(
    ("damage", "problem", "code"),
    [
        (lambda blob: None, None, 0),
        (lambda blob: blob.unlink(), "is missing", 3),
        (lambda blob: blob.write_bytes(LARGE + b"x"), "has another size than the 2,059 bytes", 5),
        (lambda blob: blob.write_bytes(b"x" + LARGE[1:]), "was changed: its hash is another one", 5),
    ],
    ids=["sound", "missing", "longer", "other"],
)
def test_verify_looks_at_blobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any, problem: str | None, code: int
) -> None:
    """A missing or damaged one is named, with what mends it: recording again."""
    path = tmp_path / "a.yaml"
    with use_cassette(path, mode="new"):
        describe(LARGE)
    (blob,) = [file for file in (tmp_path / "blobs").rglob("*") if file.is_file() and len(file.name) == 64]
    damage(blob)
    assert main(["verify", str(path)]) == code
    said = capsys.readouterr()
    again = "restore it, or record again: pytest --llm-record=all"
    assert problem is None or all(part in said.err for part in (problem, blob.name, again))
    with use_cassette(path, mode="all"):
        describe(LARGE)
    assert main(["verify", str(path)]) == 0


def test_a_reference_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """A path is taken from a hash only; what is none makes the recording unreadable, and the file readable still."""
    path = tmp_path / "a.yaml"
    with use_cassette(path, mode="new"):
        describe(LARGE)
        describe(PNG)
    path.write_text(path.read_text().replace(sha256(LARGE).hexdigest(), "../../etc/passwd"))
    assert main(["verify", str(path)]) == 5
    with use_cassette(path):
        assert describe(PNG) == "a cat"
    with pytest.raises(CassetteError, match="the recorded request does not agree with its digest"):
        list(Cassette(path))


def test_what_looks_like_a_key_in_an_image_is_left_alone(tmp_path: Path) -> None:
    """No rule of redaction looks at content: base64 holds the shape of anything."""
    data = base64.b64decode("AKIA" + "ABCDEFGH" * 2 + "+aaa")
    assert placeholders(base64.b64encode(data).decode()) == "<aws-key-id>+aaa"
    assert describe.request(data).key != describe.request(data[:-1] + b"x").key
    with use_cassette(tmp_path / "a.yaml", mode="new"):
        describe(data)
    (call,) = Cassette(tmp_path / "a.yaml")
    assert parts(call.request)[0].content == base64.b64encode(data).decode()
    assert main(["verify", str(tmp_path)]) == 0


def test_a_credential_in_a_file_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a credential's variable in a file is refused before anybody is asked, or anything is written."""
    monkeypatch.setenv("SHOP_API_KEY", "correct-horse-battery")
    model = ScriptedModel([], recorded=True)
    for size in (0, 1, 2000):
        said = rf"a file of {size + 21:,} bytes that is given to describe holds the value of .* SHOP_API_KEY"
        with (
            override(model=model),
            use_cassette(tmp_path / "a.yaml", mode="new"),
            pytest.raises(SecretFound, match=said),
        ):
            describe(b"x" * size + b"correct-horse-battery")
    assert model.requests == []
    assert list(tmp_path.iterdir()) == []


# For people


def test_content_is_shown_by_its_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with type, size and the beginning of the hash, never base64."""
    shown = f"[image: image/png, 2,059 bytes, SHA-256 {sha256(LARGE).hexdigest()[:16]}]"
    assert transcript(describe.request(LARGE)).endswith(f"\n{shown}")
    with use_cassette(tmp_path / "a.yaml", mode="new"):
        describe(LARGE)
    main(["show", str(tmp_path / "a.yaml")])
    assert f"\n{shown}\n--- reply\n" in capsys.readouterr().out
    main(["show", "--json", str(tmp_path / "a.yaml")])
    said = capsys.readouterr().out
    assert sha256(LARGE).hexdigest() in said
    assert base64.b64encode(LARGE).decode()[:80] not in said


@pytest.mark.parametrize("size", [1, 500])
def test_a_changed_image_is_named(tmp_path: Path, size: int, folder: Path) -> None:
    """A miss names the arguments whose content differs, and shows both hashes."""

    @llm_strategy(scripted())
    @dataclass
    class Shop:
        logo: Annotated[Path, Media()]

        def find(self, photo: Blob, *more: Annotated[bytes, Media("image/png")]) -> str:
            """Find."""
            raise NotImplementedError

    one, two = Blob(b"1" * size * 4, "image/png"), Blob(b"2" * size * 4, "image/png")
    with use_cassette("a.yaml", mode="new"):
        Shop(Path("a.png")).find(one, b"a", b"b")
    (folder / "b.png").write_bytes(b"a.png")

    def causes(shop: Shop, *arguments: Any) -> tuple[str, ...]:
        with use_cassette("a.yaml"), pytest.raises(CassetteMiss) as caught:
            shop.find(*arguments)
        message = str(caught.value)
        assert base64.b64encode(b"1" * 12).decode() not in message
        if caught.value.causes == ("the argument 'photo' of Shop.find",):
            for number, data in (("-", one.data), ("+", two.data)):
                assert (
                    f"\n{number}[image: image/png, {len(data):,} bytes, SHA-256 {sha256(data).hexdigest()[:16]}]"
                    in message
                )
        return caught.value.causes

    assert causes(Shop(Path("a.png")), two, b"a", b"b") == ("the argument 'photo' of Shop.find",)
    assert causes(Shop(Path("a.png")), one, b"a", b"c") == ("the argument 'more' of Shop.find",)
    assert causes(Shop(Path("a.png")), two, b"b", b"a") == (
        "the argument 'photo' of Shop.find",
        "the argument 'more' of Shop.find",
    )
    assert causes(Shop(Path("a.png")), one, b"a") == ("the argument 'more' of Shop.find",)
    assert causes(Shop(Path("b.png")), two, b"a", b"b") == (
        "the fields of self (Shop.logo)",
        "the argument 'photo' of Shop.find",
    )
    (folder / "a.png").write_bytes(b"other")
    assert causes(Shop(Path("a.png")), one, b"a", b"b") == ("the fields of self (Shop)",)
