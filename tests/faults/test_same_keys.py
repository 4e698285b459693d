"""A key is the same wherever it is computed, and another as soon as one character is."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import CassetteMiss, Message, Request, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.canonical import FrozenJSON
from llm_strategy.context import Ask, CallSite
from llm_strategy.values import BlobPart, TextPart, ToolCallPart
from tests.faults.conftest import Faults
from tests.llm_strategy.programs import interpreters, output, run

PROGRAM = '''
from __future__ import annotations

import datetime, decimal, enum, fractions, ipaddress, json, pathlib, tempfile, typing, uuid
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Iterator, Literal, NamedTuple, NewType, Optional, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field
from typing_extensions import TypedDict

from llm_strategy import Media, Message, Request, Volatile, llm_strategy

T = TypeVar("T")
Key = NewType("Key", str)


class Color(enum.Enum):
    """A color\\tof paint."""

    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Mood(enum.StrEnum):
    GOOD = "good"


class Point(NamedTuple):
    x: int
    y: float = 0.5


class Options(TypedDict, total=False):
    """How to search.

    \\tIn a second paragraph, with ünïcödé and a 🎂.
    """

    limit: int
    among: frozenset[str]


@dataclass(frozen=True)
class Part:
    name: str
    when: datetime.date
    colors: frozenset[Color] = frozenset(Color)


@dataclass
class Tree:
    """A tree.

    Args:
        label: what stands on it
        branches: the trees that grow
            from it
    """

    label: str
    branches: list[Tree] = field(default_factory=list)
    notes: dict[str, set[int]] = field(default_factory=dict)


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=0, le=9)] = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: set[str] = {"sit", "roll", "speak", "fetch", "stay", "heel"}


class Kennel(BaseModel):
    dog: Dog = Dog()
    groups: dict[str, set[Color]] = {"all": set(Color), "none": set()}
    pairs: frozenset[tuple[str, int]] = frozenset({("a", 1), ("b", 2), ("c", 3)})
    sets: frozenset[frozenset[str]] = frozenset({frozenset("abc"), frozenset("bcd"), frozenset()})
    numbers: set[int] = {10, 9, 1}


class Page(BaseModel, Generic[T]):
    items: list[T]
    more: Optional[Page[T]] = None


class Item(BaseModel):
    """An item.

    Sold by the piece.
    """

    model_config = ConfigDict(populate_by_name=True)

    number: int = Field(1, description="the number", alias="no")
    pets: list[Annotated[Union[Cat, Dog], Field(discriminator="kind")]] = []
    words: set[str] = {"some", "words", "in", "a", "set"}
    made: datetime.datetime = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)

    @computed_field
    @property
    def label(self) -> str:
        return ", ".join(sorted(self.words))


class Words(RootModel[list[str]]):
    pass


@llm_strategy("openai:gpt-5-mini", temperature=0.1, seed=3, stop=["a", "b"])
def scalars(
    when: datetime.datetime, day: datetime.date, clock: datetime.time, span: datetime.timedelta, price: decimal.Decimal,
    data: bytes, path: pathlib.Path, key: uuid.UUID, number: float, big: int,
    color: Color, size: Size, right: Right, mood: Mood, kind: Literal["a", 1, None], name: Key, flag: bool, nothing: None,
) -> bool:
    """Whether\\tall of it is right, in %s.

        indented\\tmore
    \\ttab start
    """
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def containers(
    words: set[str], parts: frozenset[Part], points: dict[Point, list[set[str]]], sizes: dict[Size, str],
    queue: Any, counts: Counter, groups: defaultdict[str, set[int]], pairs: set[tuple[str, int]],
    nested: list[dict[str, frozenset[frozenset[str]]]], options: Options, *rest: set[str], **more: dict[str, set[str]],
) -> dict[str, list[set[str]]]:
    """Count them.

    Args:
        words: words, of which
            there may be many
        parts: parts
        more: whatever else

    Returns:
        counts by word
    """
    raise NotImplementedError


@llm_strategy("anthropic:claude")
def models(item: Item, tree: Tree, page: Page[Tree], words: Words, anything: Any) -> list[Item | Tree | None]:
    """
    Sort them out.

    Parameters
    ----------
    item : Item
        one item
    """
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def first(items: list[T], otherwise: T) -> T:
    """The first of them."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def told(topic: str, now: Volatile[str]) -> Iterator[str]:
    """Tell about a topic."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def seen(photo: Annotated[bytes, Media("image/png")], also: str) -> Page[Cat]:
    """What is on the photo."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
@dataclass
class Shop:
    """A shop."""

    goods: set[str]
    home: pathlib.Path

    async def find(self, query: str, *, limit: int = 3) -> Page[Item]:
        """Find goods."""
        raise NotImplementedError

    @property
    def best(self) -> Tree:
        """The best of it."""
        raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def housed(dog: Dog) -> Kennel:
    """Where the dog lives."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
def priced(name: str) -> dict[str, decimal.Decimal | datetime.timedelta | ipaddress.IPv4Address | bytes | pathlib.Path]:
    """What its parts cost."""
    raise NotImplementedError


WORDS = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"}
WHEN = datetime.datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
HOME = pathlib.Path.home()
TREE = Tree("oak", [Tree("twig", notes={"n": {3, 1, 2}})], {"b": set(), "a": {5, 4}})
shop = Shop(WORDS, HOME / "goods")

REQUESTS = {
    "scalars": scalars.request(
        WHEN, datetime.date(2024, 2, 29), datetime.time(1, 2), datetime.timedelta(days=1, seconds=1),
        decimal.Decimal("1.10"), b"\\x00\\xff data", pathlib.Path("/srv/x"), uuid.UUID(int=7),
        1e300, 2**70, Color.BLUE, Size.LARGE, Right.READ | Right.WRITE, Mood.GOOD, "a",
        Key("k"), True, None,
    ),
    "containers": containers.request(
        WORDS, frozenset({Part(word, datetime.date(2020, 1, 2)) for word in WORDS}),
        {Point(1): [WORDS, set()], Point(2, 1e-7): []}, {Size.SMALL: "s", Size.LARGE: "l"}, deque([WORDS, 1, "x"]),
        Counter("abracadabra"), defaultdict(set, a={3, 1}, b={2}), {(word, len(word)) for word in WORDS},
        [{"x": frozenset({frozenset(WORDS), frozenset("ab"), frozenset()})}], {"limit": 1, "among": frozenset(WORDS)},
        WORDS, {"y"}, flag={"k": WORDS},
    ),
    "models": models.request(
        Item(pets=[Cat(), Dog()]), TREE, Page[Tree](items=[TREE], more=Page[Tree](items=[])), Words(["b", "a"]),
        {"tree": TREE, "sets": [WORDS, {1, 2.5, "3"}], "home": str(HOME), "temporary": tempfile.gettempdir() + "/x"},
    ),
    "first": first.request([Part("p", datetime.date(2020, 1, 2))], Part("q", datetime.date(2021, 1, 2))),
    "told": told.request("lamps", str(WHEN)),
    "seen": seen.request(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(range(256)) * 8, f"see {tempfile.mkdtemp()}/a.png"),
    "find": shop.find.request(f"under {HOME}/x, and /home/alice/y", limit=5),
    "best": Shop.best.request(shop),
    "housed": housed.request(Dog()),
    "priced": priced.request("lamp"),
    "plain": Request("openai:x", (Message("system", f"In {HOME}."), Message("user", "tab\\t, 🎂, \\u2028, é, e\\u0301\\r\\n"))),
}
if __name__ == "__main__":
    print(json.dumps({name: request.key for name, request in REQUESTS.items()}))
'''

GOLDEN = {
    "scalars": "bf148096464bcce6db10c17bf239e3f780b755a4c73d4755086e62206c82435c",
    "containers": "6a0db30b4dac81dec4596f327c41dace5c77c7680d5ebe3a12c9a01aa0abac87",
    "models": "752c2368bc5c24e3fb751e59441ed49bfd3b1a87b649ccc72b4be9ace73ba28f",
    "first": "737edd7098daca76930694e078233859808e5ebd3d9685d8fe2093235c867376",
    "told": "87cdc338dbd8ad5c7e5717bd63123e17e56a575468155261064b424aa17fb164",
    "seen": "6a2c7391ad7646f79f03662dd4f1ffaa167f1dfc47d8ff8f5ea0b95a2033758b",
    "find": "4a0aa91c81bafac53f349bcf21d13d28bd41b653f9bac1eb856c69461680d684",
    "best": "1c3fad927b6fcd43841a277b0b91a0a07d6231447d3f834268f717ea94d08fa4",
    "housed": "73bb0ba596839cf9198dbb82ea8b679c9495c83c3888953b1c5b1d0041d3b428",
    "priced": "a114173b3f68f553da9a1d5d439c780cdfb94a9affd3e7c2c6d8b98b2246cfce",
    "plain": "a8a31913b20be278ddf32088da539bd16403f18411bb43dd6dfa2db1f850c29d",
}
SOMEONE = {"HOME": "/home/someone", "PYTHONHASHSEED": "0"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_bytes(PROGRAM.encode())
    return path


def keys(program: Path, python: str = sys.executable, cwd: Path | None = None, **environment: str) -> dict[str, str]:
    """The keys that the program computes in a process of its own."""
    run = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
    printed = output(run, str(program), python=python, cwd=cwd, **{**SOMEONE, **environment})
    found: dict[str, str] = json.loads(printed)
    return found


def test_keys_are_what_they_were(program: Path) -> None:
    """A new version of this library, of Python or of pydantic that gave other keys would make cassettes worthless."""
    assert keys(program) == GOLDEN


SEEDS = [str(seed) for seed in range(1, 21)]
ZONES = ["UTC", "Asia/Tokyo", "America/St_Johns"]
HOMES = ["/home/someone", "/Users/bob", "/srv/people/carol", "/root"]


def locales() -> list[dict[str, str]]:
    """The locales of this machine, with Python's UTF-8 mode off and on, and none set at all."""
    done = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False)
    names = dict.fromkeys(["C", "C.UTF-8", "POSIX", *done.stdout.split()[:12]])
    return [{"LC_ALL": "", "LANG": ""}, *({"LC_ALL": name, "PYTHONUTF8": mode} for name in names for mode in "01")]


def surroundings(faults: Faults) -> Iterator[dict[str, str]]:
    """Seeds, time zones, locales and homes: in the long form all of them, the seeds each with others beside it."""
    others = [
        {"TZ": zone, **locale, "HOME": HOMES[at % len(HOMES)], "USER": HOMES[at % len(HOMES)].rpartition("/")[2]}
        for at, (zone, locale) in enumerate(itertools.product(ZONES, locales()))
    ]
    if faults.long:
        yield from ({"PYTHONHASHSEED": seed, **other} for seed in SEEDS for other in others[:: len(others) // 9])
        yield from others
    else:
        few = faults.trials(8, 0)
        step = max(1, len(others) // few)
        for at, seed in enumerate(SEEDS[:few]):
            yield {"PYTHONHASHSEED": seed, **others[at * step % len(others)]}


def test_keys_do_not_depend_on_the_surroundings(program: Path, faults: Faults, tmp_path: Path) -> None:
    """Hash seeds, time zones, locales, users, homes and temporary folders."""
    tried = 0
    for environment in surroundings(faults):
        assert keys(program, cwd=tmp_path, TMPDIR=str(tmp_path), **environment) == GOLDEN, environment
        tried += 1
    faults.figures(
        "the same keys under other surroundings",
        processes=tried,
        seeds=len(SEEDS) if faults.long else tried,
        time_zones=len(ZONES),
        locales=len(locales()),
        requests=len(GOLDEN),
        other_keys=0,
    )


def test_keys_do_not_depend_on_line_ends(program: Path, tmp_path: Path) -> None:
    """A checkout on Windows has CRLF in source files, and so in docstrings."""
    (tmp_path / "program.py").write_bytes(PROGRAM.replace("\n", "\r\n").encode())
    assert keys(tmp_path / "program.py") == GOLDEN


def test_keys_are_the_same_on_every_python(program: Path, faults: Faults) -> None:
    """3.11 to 3.13, as far as they are here, with the pydantic that each has."""
    found = {version: keys(program, python=path) for version, path in interpreters()}
    assert found == dict.fromkeys(found, GOLDEN)
    faults.figures("the same keys on every Python", versions=sorted(found), requests=len(GOLDEN), other_keys=0)


OLDEST = "2.10.0"
CHANGED = {"best", "models", "priced"}
"""Requests whose schemas the oldest pydantic writes otherwise (descriptions of dataclasses, Decimals); a miss says so."""
RECORDED = """
import runpy, sys
from llm_strategy import StubModel, use_cassette
priced = runpy.run_path(sys.argv[1])["priced"]
with use_cassette(sys.argv[2], sys.argv[3]):
    priced.with_options(model=StubModel(recorded=True))("lamp")
"""


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the oldest supported pydantic, installed from the package index."""
    folder = tmp_path_factory.mktemp("oldest") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    packages = [f"pydantic=={OLDEST}", "PyYAML", "filelock", "docstring_parser", "json_repair", "typing_extensions"]
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no package index that has pydantic {OLDEST}: {done.stderr[-200:]}")
    return python


def test_keys_are_the_same_with_the_oldest_pydantic(
    program: Path, faults: Faults, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """But for schemas that pydantic has come to write otherwise; then a miss names both versions."""
    if not faults.long:
        pytest.skip("installs another pydantic: in the long form only")
    python = request.getfixturevalue("oldest")
    found = keys(program, python=python)
    assert {name for name in GOLDEN if found[name] != GOLDEN[name]} == CHANGED
    cassette = str(tmp_path / "x.yaml")
    output(RECORDED, str(program), cassette, "new", python=python)
    done = run(RECORDED, str(program), cassette, "replay")
    assert f"now, {OLDEST} when it was recorded: if the types are as they were, this is the cause" in done.stderr
    faults.figures(
        "the same keys with the oldest pydantic", pydantic=OLDEST, requests=len(GOLDEN), other_keys=len(CHANGED)
    )


# One character


SAMPLE = Request(
    "openai:gpt-5-mini",
    (
        Message("system", "Answer in one word, please."),
        Message(
            "user",
            [
                TextPart('Find it.\n\nquery = "born in 1990, é 🎂"\nlimit = 3\n\n\tlast line '),
                BlobPart("image", "image/png", "iVBORw0KGgoAAAANSUhEUg=="),
            ],
        ),
        Message("assistant", [ToolCallPart("call_1", "look", {"where": ["here", {"deep": "there"}], "far": 1.5})]),
        Message("user", "Again!"),
    ),
    {
        "type": "object",
        "properties": {"return_value": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "maxItems": 3}},
        "required": ["return_value"],
        "$defs": {"Item": {"type": "object", "description": "An item.", "default": None}},
    },
    ({"type": "function", "name": "look", "parameters": {"type": "object"}},),
    FrozenJSON({"temperature": 0.5, "seed": 7, "stop": ["END"]}),
)
_NAMED = {"call_1"}
"""Ids of tool calls are renamed by first appearance."""
_WORDS = {"system", "user", "assistant", "tool", "text", "blob", "tool_call"}
"""Roles and kinds of parts: a request cannot have others."""


def changed_texts(text: str) -> Iterator[str]:
    """The text with each of its characters replaced, left out, doubled, or in the other case."""
    for at, character in enumerate(text):
        before, after = text[:at], text[at + 1 :]
        forms = (chr(ord(character) ^ 1), "", character * 2, character.swapcase(), character + "\u200b")
        yield from (before + form + after for form in forms if form != character)


def variants(value: Any) -> Iterator[Any]:
    """A JSON value with one thing in it changed, in every way of `changed_texts`, and with each number changed."""
    if isinstance(value, str):
        if value not in _NAMED | _WORDS:
            yield from changed_texts(value)
    elif isinstance(value, bool) or value is None:
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, -value, value + 1e-9, str(value))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in variants(item))
            yield [*value[:at], *value[at + 1 :]]
    else:
        for name, item in value.items():
            yield from ({**value, name: other} for other in variants(item))
            if name in FIXED:
                continue
            rest = {other: of for other, of in value.items() if other != name}
            yield from ({**rest, text: item} for text in changed_texts(name))


FIXED = set(
    "model messages role parts content type id name arguments modality mime_type output_schema tools settings".split()
)
"""Names of fields: what has others is no request."""


def requests() -> Iterator[Request]:
    """Requests that differ from the sample in one character, or one number."""
    for other in variants(SAMPLE.to_json()):
        try:
            yield Request.from_json(other)
        except (TypeError, ValueError, KeyError, AttributeError):
            continue


def test_one_other_character_is_another_key(faults: Faults) -> None:
    """In prompt, schema, tools, settings, model and content, each character and each number."""
    tried = {json.dumps(request.to_json(), sort_keys=True): request.key for request in requests()}
    different = set(tried.values())
    assert SAMPLE.key not in different
    # Canonical forms that two of these requests share: none.
    assert len(different) == len(tried)
    faults.figures("one other character", requests=len(tried), equal_keys=0)


def test_one_other_character_never_gets_the_old_answer(tmp_path: Path, faults: Faults) -> None:
    """A cassette that holds the request, and a hundred like it, has no recording for the changed one."""
    model = ScriptedModel(lambda request: "old", name="openai:gpt-5-mini", recorded=True)
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new") as scope:
        turn = scope.enter(Ask(SAMPLE, model, CallSite("f")))  # type: ignore[arg-type]  # a model is a source here
        turn.acquire()
        turn.record(model.generate(SAMPLE))
        turn.release()
    asked = list(requests())
    step = max(1, len(asked) // faults.trials(60, len(asked)))
    missed = 0
    with use_cassette(path, "replay") as scope:
        assert scope.enter(Ask(SAMPLE, None, CallSite("f"))).call is not None
        for request in asked[::step]:
            with pytest.raises(CassetteMiss):
                scope.enter(Ask(request, None, CallSite("f")))
            missed += 1
    faults.figures("one other character, replayed", asked=missed, old_answers=0)


@llm_strategy("openai:any")
def translate(text: str, language: str = "German") -> list[str]:
    """Translate the text."""
    raise NotImplementedError


def test_one_other_character_of_an_argument_is_another_key(faults: Faults) -> None:
    """From the argument to the key nothing is trimmed, folded or normalised."""
    text = "Ein Text\tmit é, e\u0301, ﬁ, 🎂, \r\n, \x00, \ud800 und  zwei Leerzeichen "
    tried = set(changed_texts(text))
    found = {translate.request(other).key for other in tried}
    assert translate.request(text).key not in found
    assert len(found) == len(tried)
    faults.figures("one other character of an argument", calls=len(tried), equal_keys=0)
