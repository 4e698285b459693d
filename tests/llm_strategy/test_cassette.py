"""The file of a cassette: what is on the disk when, what survives a crash, what is refused."""

from __future__ import annotations

import asyncio
import contextvars
import random
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from llm_strategy import (
    Cassette,
    CassetteError,
    CassetteMiss,
    ChatChain,
    ModelError,
    Request,
    Response,
    ScriptedModel,
    Usage,
    llm_strategy,
    use_cassette,
)
from llm_strategy.canonical import FrozenJSON
from tests.llm_strategy.answers import Slow, counting, echoing, reply
from tests.llm_strategy.programs import output, plain_environment, run

MODEL = echoing()


@llm_strategy(MODEL)
def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError


ECHO = '''
import os, signal, sys
from llm_strategy import ScriptedModel, llm_strategy, use_cassette, Response

def answer(request):
    number = int(request.messages[-1].content.partition("number = ")[2].split()[0])
    return '{"return_value": %d}' % number

model = ScriptedModel(answer, name="test:echo", recorded=True)

@llm_strategy(model)
def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError
'''


def record(path: Path, *numbers: int, mode: str = "new") -> None:
    with use_cassette(path, mode):
        for number in numbers:
            assert echo(number) == number


def replay(path: Path, *numbers: int) -> list[int]:
    with use_cassette(path, "replay"):
        return [echo(number) for number in numbers]


def documents(path: Path) -> list[str]:
    """The texts of the calls, without the header."""
    return path.read_text("utf-8").split("\n---\n")[1:]


def asked() -> int:
    return len(MODEL.requests)


# What a recording looks like


def test_a_cassette_is_yaml_that_anyone_can_read(tmp_path: Path) -> None:
    """A header, then a document per call: function, request as it was sent, response."""
    path = tmp_path / "folder" / "x.yaml"
    record(path, 1, 2)

    header, first, second = yaml.safe_load_all(path.read_text("utf-8"))
    assert (header["format"], header["version"], header["answered_by"]) == ("llm-strategy cassette", 1, "test:echo")
    assert (first["function"], first["request"]["model"]) == ("echo", "test:echo")
    assert "number = 1" in first["request"]["messages"][1]["parts"][0]["content"]
    assert first["response"] == {"content": reply(1), "finish_reason": "stop", "model": "test:echo"}
    assert list(second)[-2:] == ["request_digest", "digest"]


def test_a_cassette_holds_no_times(tmp_path: Path) -> None:
    """Recording the same again gives the same bytes."""
    record(tmp_path / "x.yaml", 1, 2)
    record(tmp_path / "y.yaml", 1, 2)

    assert (tmp_path / "x.yaml").read_bytes() == (tmp_path / "y.yaml").read_bytes()


def test_a_cassette_can_be_looked_into(tmp_path: Path) -> None:
    """`Cassette(path)`: its length, its calls in the order of the file, its header."""
    record(tmp_path / "x.yaml", 1, 1, 2)
    cassette = Cassette(tmp_path / "x.yaml")

    assert len(cassette) == 3
    assert [(call.function, call.occurrence, call.response.content) for call in cassette] == [
        ("echo", 1, reply(1)),
        ("echo", 2, reply(1)),
        ("echo", 1, reply(2)),
    ]
    assert [call.key for call in cassette] == [call.request.key for call in cassette]
    assert cassette[-1].request == echo.request(2)
    assert cassette.header["format"] == "llm-strategy cassette"
    assert cassette.path == tmp_path / "x.yaml"


def test_looking_for_a_cassette_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    """A FileNotFoundError with the command to record."""
    with pytest.raises(FileNotFoundError, match=r"no cassette at .*x\.yaml; record one: pytest --llm-record"):
        Cassette(tmp_path / "x.yaml")


AWKWARD = [
    "",
    " leading and trailing ",
    "tab\there\nand \n there \n",
    "\n\nblank lines\n\n\n",
    "\N{SNOWMAN} \U0001f600 \u2028 \x85 \ufeff \x00 \x7f",
    "carriage\r\nreturn\r",
    '--- \n---\nkey: "x"\ndigest: "y"\n...\n',
    "\nresponse:\n  content: x\nrequest_digest: y\n",
    "<<<<<<< HEAD\n=======\n>>>>>>> main\n",
    "# no comment: [1, {2}] & *x !tag %TAG",
    "'single' \"double\" \\back\\",
    "1e-07 12:30:45 yes null ~",
    "\ud800 lone",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_comes_back_as_it_was(text: str, tmp_path: Path) -> None:
    """In prompts and in replies: control characters, other line ends, what looks like YAML or like a cassette."""

    chain = ChatChain(ScriptedModel(lambda request: text, recorded=True))

    with use_cassette(tmp_path / "x.yaml", "new") as recorded:
        assert chain.query(text)[0] == text
    with use_cassette(tmp_path / "x.yaml", "replay") as replayed:
        assert chain.query(text)[0] == text
    assert replayed.calls[0].response == recorded.calls[0].response
    assert len(Cassette(tmp_path / "x.yaml")) == 1
    assert Cassette(tmp_path / "x.yaml")[0].request == recorded.calls[0].request
    assert Cassette(tmp_path / "x.yaml")[0].request.key == recorded.calls[0].key


def test_usage_and_finish_reason_come_back(tmp_path: Path) -> None:
    """A replayed response is the recorded one, field for field."""
    from llm_strategy import Response

    response = Response(reply(1), Usage(12, None), "stop", "gpt-5-mini-2025-08-07")

    @llm_strategy(ScriptedModel([response], recorded=True))
    def one(text: str) -> int:
        """Say one."""
        raise NotImplementedError

    with use_cassette(tmp_path / "x.yaml", "new"):
        one("a")
    with use_cassette(tmp_path / "x.yaml", "replay") as cassette:
        one("a")

    assert cassette.calls[0].response == response
    assert cassette.calls[0].replayed


# Durability


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))"])
def test_an_answer_is_on_the_disk_before_its_caller_has_it(end: str, tmp_path: Path) -> None:
    """A process that dies right after a call has lost nothing that was paid for."""
    program = f'{ECHO}\nwith use_cassette("x.yaml", "new"):\n    echo(1)\n    echo(2)\n    {end}\n'
    run(program, cwd=tmp_path)

    assert replay(tmp_path / "x.yaml", 1, 2) == [1, 2]


def test_an_asynchronous_answer_is_on_the_disk_before_its_caller_has_it(tmp_path: Path) -> None:
    """Though it is written by another thread."""
    program = f'''{ECHO}
import asyncio

@llm_strategy(model)
async def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError

async def main():
    await echo(1)
    os._exit(0)

with use_cassette("x.yaml", "new"):
    asyncio.run(main())
'''
    run(program, cwd=tmp_path)

    assert len(Cassette(tmp_path / "x.yaml")) == 1


def test_a_cancelled_task_keeps_the_answer_that_came(tmp_path: Path) -> None:
    """Cancelling while the answer is being written does not lose it, and the file stays whole."""
    model = Slow({1: 0.0})

    @llm_strategy(model)
    async def slow(number: int) -> int:
        """Say the number."""
        raise NotImplementedError

    async def main() -> None:
        for wait in range(12):
            task = asyncio.create_task(slow(1))
            for _ in range(wait):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await slow(1)

    with use_cassette(tmp_path / "x.yaml", "new") as cassette:
        asyncio.run(main())

    assert len(Cassette(tmp_path / "x.yaml")) == len(cassette.calls) > 0
    with use_cassette(tmp_path / "x.yaml", "replay"):
        for _ in cassette.calls:
            assert asyncio.run(slow(1)) == 1


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95, 0.999])
def test_a_torn_last_document_is_dropped_and_recording_goes_on(share: float, tmp_path: Path) -> None:
    """What a crash left unfinished was given to nobody; what stands before it is kept."""
    path = tmp_path / "x.yaml"
    record(path, 1)
    whole = path.read_bytes()
    record(path, 2)
    last = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + last[: int(len(last) * share)])

    assert replay(path, 1) == [1]
    record(path, 2, 3)
    assert replay(path, 1, 2, 3) == [1, 2, 3]
    assert len(Cassette(path)) == 3


def test_a_miss_says_that_the_last_document_is_torn(tmp_path: Path) -> None:
    """Who looks for a call that a crash cut off is not left to wonder where it went."""
    path = tmp_path / "x.yaml"
    record(path, 1, 2)
    said = "the last document is torn and was passed over; it may have held this call"
    with pytest.raises(CassetteMiss) as whole:
        replay(path, 3)
    assert said not in str(whole.value)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CassetteMiss) as torn:
        replay(path, 2)
    assert f"x.yaml: {said}" in str(torn.value)


def test_a_file_that_was_torn_at_any_place_can_be_recorded_into(tmp_path: Path) -> None:
    """In the header too, where nothing has been recorded yet."""
    path = tmp_path / "x.yaml"
    record(path, 1)
    whole = path.read_bytes()
    header = whole.index(b"\n---\n") + 1

    for size in [*range(header + 1), *range(header, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        record(path, 1)
        assert replay(path, 1) == [1]
        assert len(Cassette(path)) == 1, size


def test_documents_stand_in_the_order_of_the_requests(tmp_path: Path) -> None:
    """However late their answers came; so a diff shows what changed and nothing else."""
    numbers = list(range(12))
    delays = {number: 0.01 * place for place, number in enumerate(random.Random(5).sample(numbers, len(numbers)))}

    @llm_strategy(Slow(delays))
    async def slow(number: int) -> int:
        """Say the number."""
        raise NotImplementedError

    async def main() -> list[int]:
        return await asyncio.gather(*[slow(number) for number in numbers])

    with use_cassette(tmp_path / "x.yaml", "new") as cassette:
        assert asyncio.run(main()) == numbers

    assert [call.response.content for call in cassette.calls] == [reply(number) for number in numbers]
    assert [call.response.content for call in Cassette(tmp_path / "x.yaml")] == [reply(number) for number in numbers]


def test_equal_requests_replay_in_the_order_in_which_they_were_asked(tmp_path: Path) -> None:
    """Though the answer to the first of them came last: each place of a `gather` replays what it got."""
    model = counting()
    delays = {1: 0.2, 2: 0.0, 3: 0.1, 4: 0.0}

    class Late:
        name, recorded, settings = "test:late", True, FrozenJSON()

        async def agenerate(self, request: Request) -> Response:
            response = model.generate(request)
            await asyncio.sleep(delays[len(model.requests)])
            return response

    @llm_strategy(Late())
    async def count() -> int:
        """Count."""
        raise NotImplementedError

    async def several(number: int) -> list[int]:
        return await asyncio.gather(*[count() for _ in range(number)])

    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        assert asyncio.run(several(3)) == [1, 2, 3]
    with use_cassette(path, "new"):
        assert asyncio.run(several(4)) == [1, 2, 3, 4]
    with use_cassette(path):
        assert asyncio.run(several(4)) == [1, 2, 3, 4]


def test_equal_recordings_keep_their_order_when_calls_change_theirs(tmp_path: Path) -> None:
    """A new call in front moves a recording back, but not behind one that would then answer in its place."""
    model = counting()

    @llm_strategy(model)
    def count(name: str) -> int:
        """Count."""
        raise NotImplementedError

    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        assert [count("a"), count("a")] == [1, 2]
    with use_cassette(path, "new"):
        assert [count("b"), count("a")] == [3, 1]
    with use_cassette(path):
        assert [count("b"), count("a"), count("a")] == [3, 1, 2]


@pytest.mark.parametrize("equal", [False, True], ids=["different requests", "equal requests"])
def test_threads_lose_nothing(equal: bool, tmp_path: Path) -> None:
    """Eight threads of 25 calls on one cassette: 200 recordings, and as many replays."""
    path = tmp_path / "x.yaml"
    model = counting()

    @llm_strategy(model)
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    def ask(mode: str) -> None:
        errors: list[BaseException] = []

        def work(thread: int, context: contextvars.Context) -> None:
            try:
                for call in range(25):
                    context.run(count, 0 if equal else 25 * thread + call)
            except BaseException as error:  # noqa: BLE001  # a miss is none of Exception
                errors.append(error)

        with use_cassette(path, mode):
            threads = [threading.Thread(target=work, args=(n, contextvars.copy_context())) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert errors == []

    ask("new")
    assert len(Cassette(path)) == len(model.requests) == 200
    assert sorted(call.response.content for call in Cassette(path)) == sorted(reply(n + 1) for n in range(200))
    ask("replay")
    assert len(model.requests) == 200


def test_blocks_of_several_threads_on_one_cassette_lose_nothing(tmp_path: Path) -> None:
    """Each with its own block: the file is rewritten while others append to it."""
    path = tmp_path / "x.yaml"

    def work(thread: int) -> None:
        for call in range(5):
            record(path, 100 * thread + 2 * call + 1, 100 * thread + 2 * call)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    numbers = [100 * thread + call for thread in range(6) for call in range(10)]
    assert len(Cassette(path)) == len(numbers)
    assert replay(path, *numbers) == numbers


def test_processes_lose_nothing_and_ask_once_for_the_same(tmp_path: Path) -> None:
    """Two processes that record the same calls into one cassette at the same time pay for each once."""
    program = f"""{ECHO}
with use_cassette("x.yaml", "new"):
    for number in (range(20) if sys.argv[1] == "up" else range(19, -1, -1)):
        echo(number)
    for number in range(100, 110):
        echo(number if sys.argv[1] == "up" else -number)
print(len(model.requests))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, way],
            cwd=tmp_path,
            env=plain_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for way in ("up", "down")
    ]
    made = [int(process.communicate(timeout=120)[0]) for process in processes]

    assert sum(made) == len(Cassette(tmp_path / "x.yaml")) == 40
    numbers = [*range(20), *range(100, 110), *(-number for number in range(100, 110))]
    assert replay(tmp_path / "x.yaml", *numbers) == numbers


def test_a_process_that_dies_while_asking_holds_up_nobody(tmp_path: Path) -> None:
    """Its lock goes with it."""
    program = f"""{ECHO}
dying = ScriptedModel(lambda request: os._exit(0), name="test:echo", recorded=True)
with use_cassette("x.yaml", "new"):
    llm_strategy(dying)(echo.__wrapped__)(1)
"""
    run(program, cwd=tmp_path)
    record(tmp_path / "x.yaml", 1)

    assert replay(tmp_path / "x.yaml", 1) == [1]


def test_no_lock_is_left_in_the_folder(tmp_path: Path) -> None:
    """One folder that git ignores, and in it nothing that grows with the calls."""
    record(tmp_path / "x.yaml", *range(10))

    assert (tmp_path / ".locks" / ".gitignore").read_text() == "*\n"
    assert len(list((tmp_path / ".locks").iterdir())) <= 2


def test_a_full_disk_leaves_what_was_recorded(tmp_path: Path) -> None:
    """The error names the cassette; half a document does not stay; with room again, recording goes on."""
    resource = pytest.importorskip("resource", reason="file sizes cannot be limited on this system")
    assert resource
    path = tmp_path / "x.yaml"
    record(path, 1)
    before = path.read_bytes()
    program = f"""{ECHO}
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = os.path.getsize("x.yaml") + 200
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    with use_cassette("x.yaml", "new"):
        echo(2)
except OSError as error:
    print(type(error).__name__, error)
"""
    printed = output(program, cwd=tmp_path)

    assert printed.startswith("OSError [Errno 27] File too large: ")
    assert "x.yaml'" in printed
    assert path.read_bytes() == before
    record(path, 2)
    assert replay(path, 1, 2) == [1, 2]


def test_a_full_disk_leaves_the_old_order_when_the_file_is_rewritten(tmp_path: Path) -> None:
    """The new file is finished before it takes the old one's place."""
    pytest.importorskip("resource", reason="file sizes cannot be limited on this system")
    path = tmp_path / "x.yaml"
    record(path, 1, 2, 3)
    before = path.read_bytes()
    program = f"""{ECHO}
import resource
from llm_strategy.cassette.store import open_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = open_file("x.yaml")
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    file.arrange([(entry.key, 1) for entry in reversed(file.entries)])
except OSError as error:
    print(error)
"""
    printed = output(program, cwd=tmp_path)

    assert "x.yaml'" in printed
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.name != ".locks"] == ["x.yaml"]


@pytest.mark.parametrize("blocked", ["x.yaml", ".locks", "folder"])
def test_a_place_that_cannot_be_written_is_named(blocked: str, tmp_path: Path) -> None:
    """Whatever is in the way: the error says which cassette could not be recorded."""
    path = tmp_path / "folder" / "x.yaml"
    obstacle = path.parent if blocked == "folder" else path.parent / blocked
    if blocked == "x.yaml":
        obstacle.mkdir(parents=True)
        (obstacle / "kept").write_text("")
    else:
        obstacle.parent.mkdir(exist_ok=True)
        obstacle.write_text("")

    with pytest.raises((OSError, CassetteError), match=r"x\.yaml"):
        record(path, 1)
    assert obstacle.exists()


def test_replay_writes_nothing(tmp_path: Path) -> None:
    """No lock, no folder, no other time of the file: replay works where nothing can be written."""
    record(tmp_path / "x.yaml", 1)
    for leftover in (tmp_path / ".locks").iterdir():
        leftover.unlink()
    (tmp_path / ".locks").rmdir()
    before = (tmp_path / "x.yaml").stat()

    assert replay(tmp_path / "x.yaml", 1) == [1]
    assert list(tmp_path.iterdir()) == [tmp_path / "x.yaml"]
    assert (tmp_path / "x.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_a_failing_model_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """To the byte; and the same request can be asked again in the same block."""
    path = tmp_path / "x.yaml"
    record(path, 1)
    before = path.read_bytes()
    answers = iter(["fail", reply(2)])

    def answer(request: Request) -> str:
        text = next(answers)
        if text == "fail":
            raise ConnectionError("no route")
        return text

    unlucky = llm_strategy(ScriptedModel(answer, name="test:echo", recorded=True))(echo.__wrapped__)
    with use_cassette(path, "new") as cassette:
        with pytest.raises(ModelError):
            unlucky(2)
        assert path.read_bytes() == before
        assert unlucky(2) == 2
        assert [call.occurrence for call in cassette.calls] == [1]
    assert replay(path, 1, 2) == [1, 2]


# Damage, and other hands


def test_an_edited_reply_is_refused_until_it_is_accepted(tmp_path: Path) -> None:
    """The error names file and line and the command; accepting signs the edit, and it replays."""
    path = tmp_path / "x.yaml"
    record(path, 1, 2)
    text = path.read_text("utf-8")
    path.write_text(text.replace(reply(2), reply(7)), "utf-8")
    line = text[: text.rindex("\n---\n") + 1].count("\n") + 1

    with pytest.raises(
        CassetteError, match=rf"x\.yaml:{line}: the recorded reply does not agree with its digest"
    ) as raised:
        replay(path, 2)
    assert "llm-strategy verify --accept" in str(raised.value)
    assert replay(path, 1) == [1]

    output("from llm_strategy.cli import main; raise SystemExit(main(['verify', '--accept', 'x.yaml']))", cwd=tmp_path)
    assert replay(path, 1, 2) == [1, 7]


def test_every_changed_byte_of_a_reply_is_found(tmp_path: Path) -> None:
    """Whichever byte of the recorded answer flips, it is not replayed as if nothing had happened."""
    path = tmp_path / "x.yaml"
    record(path, 12345)
    whole = path.read_bytes()
    start, end = whole.index(b"\nresponse:\n") + 1, whole.index(b"\nrequest_digest:")

    for at in range(start, end):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert replay(path, 12345) != [12345]
        except (CassetteError, CassetteMiss):
            continue
        pytest.fail(f"byte {at} was changed and nobody noticed")


def test_a_file_changed_while_the_program_runs_is_read_again(tmp_path: Path) -> None:
    """Also if the editor writes into the same file, and if the size stays the same."""
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new") as kept:
        echo(1)
        echo(2)
    text = path.read_text("utf-8")

    path.write_text(text.replace('function: "echo"', 'function: "somewhat longer"'), "utf-8")
    assert [call.function for call in Cassette(path)] == ["somewhat longer"] * 2
    path.write_text(text.replace(reply(1), reply(3)), "utf-8")
    with pytest.raises(CassetteError, match="does not agree with its digest"):
        replay(path, 1)
    path.write_text(text, "utf-8")
    assert replay(path, 1, 2) == [1, 2]
    assert len(kept.calls) == 2


def test_a_checkout_with_other_line_ends_still_replays(tmp_path: Path) -> None:
    """Git on Windows may turn `\\n` into `\\r\\n`; recording goes on there, too, behind a torn end as well."""
    path = tmp_path / "x.yaml"
    record(path, 1, 2)
    windows = path.read_bytes().replace(b"\n", b"\r\n")

    for content, whole in ((windows, 2), (windows[:-40], 1)):
        path.write_bytes(content)
        assert replay(path, *range(1, whole + 1)) == list(range(1, whole + 1))
        record(path, 3, 4)
        assert replay(path, 1, 3, 4) == [1, 3, 4]
        assert len(Cassette(path)) == whole + 2


WRONG = {
    "conflict": ("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n", r"x\.yaml:1: git left conflict markers here"),
    "conflict below": ("{text}<<<<<<< HEAD\n=======\n>>>>>>> o\n", r"x\.yaml:\d\d+: git left conflict markers here"),
    "other version": (
        '---\nformat: "llm-strategy cassette"\nversion: 2\n',
        "format version 2; this llm-strategy reads version 1",
    ),
    "other YAML": ("interactions:\n- request: 1\nversion: 1\n", r"x\.yaml is not a cassette of llm-strategy"),
    "a list": ("- 1\n- 2\n", r"x\.yaml is not a cassette of llm-strategy"),
    "no YAML": ("a: b: c\n", r"x\.yaml:1: this is not YAML"),
    "text": ("Dear diary", r"x\.yaml is not a cassette of llm-strategy"),
    "document without key": (
        '---\nformat: "llm-strategy cassette"\nversion: 1\n---\na: 1\n---\nb: 1\n',
        r"x\.yaml:4: this document is no recorded call",
    ),
}


@pytest.mark.parametrize(("content", "problem"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("mode", ["replay", "new"])
def test_what_is_no_cassette_is_named_and_kept(content: str, problem: str, mode: str, tmp_path: Path) -> None:
    """Conflict markers, another format, another tool's file: the message says which, and nothing is overwritten."""
    path = tmp_path / "x.yaml"
    record(path, 1)
    path.write_text(content.replace("{text}", path.read_text("utf-8")), "utf-8")
    before = path.read_bytes()

    with use_cassette(path, mode), pytest.raises(CassetteError, match=problem):
        echo(1)
    assert path.read_bytes() == before


def test_a_folder_is_no_cassette(tmp_path: Path) -> None:
    """The message says that it is one."""
    (tmp_path / "x.yaml").mkdir()
    (tmp_path / "x.yaml" / "y").write_text("")

    with pytest.raises(CassetteError, match=r"x\.yaml is a folder, not a cassette"):
        replay(tmp_path / "x.yaml", 1)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """With the file's name."""
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x01")

    with pytest.raises(CassetteError, match=r"x\.yaml:1: this is not UTF-8"):
        replay(tmp_path / "x.yaml", 1)


def test_a_file_that_another_tool_has_written_anew_is_still_read(tmp_path: Path) -> None:
    """A formatter changes quotes, order and wrapping, but no values; recording goes on behind it."""
    path = tmp_path / "x.yaml"
    record(path, 1, 2)
    loaded = list(yaml.safe_load_all(path.read_text("utf-8")))

    for options in ({}, {"sort_keys": False, "width": 40}, {"default_flow_style": True, "allow_unicode": True}):
        path.write_text(yaml.safe_dump_all(loaded, explicit_start=True, **options), "utf-8")
        assert replay(path, 1, 2) == [1, 2]
        record(path, 3)
        assert replay(path, 1, 2, 3) == [1, 2, 3]
        assert len(Cassette(path)) == 3


def test_what_this_version_does_not_know_survives_a_rewrite(tmp_path: Path) -> None:
    """Fields of the header and of a call that a later version or a person has added."""
    path = tmp_path / "x.yaml"
    record(path, 1)
    text = path.read_text("utf-8").replace("\n---\nkey", '\nreviewed_by: "Ada"\n---\nkey')
    path.write_text(text.replace("\nrequest_digest", '\nnote: "good"\nrequest_digest'), "utf-8")

    with use_cassette(path, "new"):
        echo(2)
        echo(1)
        echo(3)
    assert [call.response.content for call in Cassette(path)] == [reply(2), reply(1), reply(3)]
    assert Cassette(path).header["reviewed_by"] == "Ada"
    assert 'note: "good"' in path.read_text("utf-8")


def test_several_models_stand_in_the_header(tmp_path: Path) -> None:
    """All that have answered, each once."""
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        echo(1)
        llm_strategy(echoing(name="test:other"))(echo.__wrapped__)(2)
        echo(3)

    assert Cassette(path).header["answered_by"] == ["test:echo", "test:other"]


def test_a_symbolic_link_to_a_cassette_stays_one(tmp_path: Path) -> None:
    """Recording goes to the file that it points to."""
    record(tmp_path / "x.yaml", 1)
    try:
        (tmp_path / "link.yaml").symlink_to(tmp_path / "x.yaml")
    except OSError:
        pytest.skip("links cannot be made on this system")
    record(tmp_path / "link.yaml", 3, 2, 1)

    assert (tmp_path / "link.yaml").is_symlink()
    assert replay(tmp_path / "x.yaml", 1, 2, 3) == [1, 2, 3]


def test_a_miss_names_the_nearest_recording_by_line_after_new_ones_too(tmp_path: Path) -> None:
    """Lines count from the top of the file, also for what was appended while it was open."""
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        echo(1)
        echo(2)
        llm_strategy(MODEL)(other)(3)
        with use_cassette(path, "replay"), pytest.raises(CassetteMiss) as raised:
            llm_strategy(MODEL)(other)(4)
    line = path.read_text("utf-8").splitlines().index('function: "other"') - 1

    assert f"x.yaml:{line}" in str(raised.value)


def other(number: int) -> int:
    """Say the other number."""
    raise NotImplementedError


def test_the_process_can_be_killed_at_any_time(tmp_path: Path) -> None:
    """Whenever it dies, the file is readable and holds every call whose answer was given out."""
    program = f"""{ECHO}
with use_cassette("x.yaml", "new"):
    for number in range(10_000):
        print(echo(number), flush=True)
"""
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, env=plain_environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        seen = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        seen += [int(line) for line in process.communicate()[0].split("\n")[:-1]]
        assert replay(tmp_path / "x.yaml", *seen) == seen
