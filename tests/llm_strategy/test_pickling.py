"""Classes, objects, methods and functions that a model implements cross processes, with pickle and cloudpickle."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attrs
import cloudpickle
import pytest
from pydantic import BaseModel

from llm_strategy import (
    ChatChain,
    Message,
    OpenAIModel,
    ScriptedModel,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
)
from tests.llm_strategy.programs import output, run


@dataclass
class Interface:
    x: int
    notes: list[str] = field(default_factory=list)

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError

    @classmethod
    def imagine(cls) -> int:
        """Imagine it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@attrs.frozen
class Attrs:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Pydantic(BaseModel):
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Reduced:
    def __init__(self, x: int) -> None:
        self.x = x

    def __reduce__(self) -> Any:
        return type(self), (self.x,)

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Failure(Exception):
    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


Impl = llm_strategy("stub:")(Interface)
Twice = llm_strategy("stub:")(llm_strategy("openai:other")(Interface))
OTHERS = [llm_strategy("stub:")(cls) for cls in (Interface, Frozen, Attrs, Pydantic, Reduced, Failure)]
ByLambda = llm_strategy(ScriptedModel(lambda request: '{"return_value": 1}'))(Interface)


@llm_strategy("stub:")
@dataclass
class Decorated:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Derived(Impl):
    pass


@llm_strategy(ScriptedModel(lambda request: '{"return_value": 1}'))
def count(text: str) -> int:
    """Count."""
    raise NotImplementedError


@llm_function
def summed(model: Any, a: int, b: int) -> int:
    """Add them."""
    raise NotImplementedError


@llm_explicit_function
def described(model: Any, thing: Pydantic) -> str:
    """Describe it."""
    raise NotImplementedError


CLASSES = {"Impl": Impl, "ByLambda": ByLambda, "Decorated": Decorated, "Derived": Derived, "Twice": Twice}
CLASSES |= {"nameless, twice": llm_strategy("stub:")(llm_strategy("openai:other")(Interface))}
CLASSES |= {f"nameless {cls.__name__}": cls for cls in OTHERS}


def made(cls: type) -> Any:
    return cls(x=1) if issubclass(cls, BaseModel) else cls(1)


def state(owner: Any) -> Any:
    return owner.args if isinstance(owner, Exception) else owner.x


def through(dumps: Callable[..., bytes], value: Any, *protocol: int) -> Any:
    return pickle.loads(dumps(value, *protocol))  # noqa: S301  # our own pickle


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_objects_pickle_whatever_their_class_is_called(cls: type, dumps: Callable[..., bytes]) -> None:
    """Also where the name of the class leads to the interface, as in `Impl = llm_strategy(model)(Interface)`."""
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copied = through(dumps, made(cls), protocol)

        assert type(copied) is cls
        assert state(copied) == state(made(cls))
        assert copied.say.request().key == made(cls).say.request().key


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_objects_are_copied_whatever_their_class_is_called(cls: type) -> None:
    """`copy` and `deepcopy` go the way of pickle."""
    owner = made(cls)

    for copied in (copy.copy(owner), copy.deepcopy(owner)):
        assert type(copied) is cls
        assert copied is not owner
        assert state(copied) == state(owner)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_bound_methods_pickle_with_their_objects(dumps: Callable[..., bytes]) -> None:
    """Those of an object and those of a class."""
    for cls in (Impl, OTHERS[0]):
        say, imagine = through(dumps, [cls(1).say, cls.imagine])

        assert (say.__self__, type(say.__self__), imagine.__self__) == (cls(1), cls, cls)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_a_function_that_can_be_imported_pickles_by_its_name(dumps: Callable[..., bytes]) -> None:
    """Whatever its model is made of: here a lock and a lambda."""
    assert through(dumps, count) is count
    assert through(dumps, Decorated) is Decorated


@pytest.mark.parametrize("function", [summed, described])
def test_a_function_that_is_given_its_model_is_a_function(function: Callable[..., Any]) -> None:
    """It pickles by its name and has the signature that was written, where 2.2 had an object in its place."""
    assert through(pickle.dumps, function) is function
    assert inspect.isfunction(function)
    assert inspect.signature(function) == inspect.signature(inspect.unwrap(function))
    assert next(iter(inspect.signature(function).parameters)) == "model"


def test_a_model_that_was_asked_pickles() -> None:
    """What it said and was asked goes along."""
    model = ScriptedModel(['{"return_value": 1}', '{"return_value": 2}'])

    @llm_function
    def number(model: Any, text: str) -> int:
        """Count."""
        raise NotImplementedError

    assert number(model, "a") == 1
    copied = through(pickle.dumps, model)
    assert number(copied, "b") == 2
    assert len(model.requests) == 1
    assert len(copied.requests) == 2


@pytest.mark.parametrize("model", ["stub:", OpenAIModel("any", temperature=0), ScriptedModel(["a"]), None])
def test_a_conversation_pickles(model: Any) -> None:
    """With its messages and whatever its model is given as."""
    chain = ChatChain(model, [Message("user", "Hello")])

    assert through(pickle.dumps, chain).messages == chain.messages


PROGRAM = '''
import pickle, sys
from dataclasses import dataclass
import cloudpickle
from llm_strategy import ScriptedModel, llm_function, llm_strategy, override

class Interface:
    def __init__(self, x):
        self.x = x
    def say(self) -> int:
        """Say it."""
        raise NotImplementedError
    @property
    def prop(self) -> int:
        """Say it."""
        raise NotImplementedError

Impl = llm_strategy("stub:")(Interface)
ByLambda = llm_strategy(ScriptedModel(lambda request: '{"return_value": 7}'))(Interface)

@llm_strategy("stub:")
@dataclass
class Decorated:
    x: int
    def say(self) -> int:
        """Say it."""
        raise NotImplementedError
    @classmethod
    def imagine(cls) -> int:
        """Imagine it."""
        raise NotImplementedError

@llm_strategy(ScriptedModel(lambda request: '{"return_value": 7}'))
def count(text: str) -> int:
    """Count."""
    raise NotImplementedError

@llm_strategy("stub:")
async def count_later(text: str) -> int:
    """Count."""
    raise NotImplementedError

@llm_function
def add(model, x: int) -> int:
    """Add."""
    raise NotImplementedError

def local():
    return llm_strategy("stub:")(Interface)

if __name__ == "__main__":
    count("a")
    things = [Impl(1), Impl(1).prop, ByLambda(2), Decorated(3), Decorated(3).say, Decorated.imagine, count, count_later, add,
              Impl, Decorated, local()(4), local()]
    sys.stdout.buffer.write(cloudpickle.dumps(things))
'''
READER = """
import asyncio, pickle, sys
impl, prop, by_lambda, own, say, imagine, count, count_later, add, Impl, Decorated, nameless, Nameless = pickle.load(sys.stdin.buffer)
assert "__main__" not in (type(pickle).__module__,)
print(impl.say(), impl.prop, by_lambda.say(), own, own.say(), say(), imagine(), count("a"), asyncio.run(count_later("a")),
      add("stub:", 1), Impl(1).say(), Decorated(1), nameless.say(), Nameless(1).x)
"""


def test_cloudpickle_takes_along_what_a_program_defines(tmp_path: Path) -> None:
    """Workers that do not run the program get classes, objects, methods and functions of it by value."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    pipe = f"import subprocess, sys; p = subprocess.run([sys.executable, {str(program)!r}], stdout=-1, check=True)\n"
    pipe += f"print(subprocess.run([sys.executable, '-c', {READER!r}], input=p.stdout, stdout=-1, check=True).stdout.decode())"

    assert output(pipe).strip() == "0 0 7 Decorated(x=3) 0 0 0 7 0 0 0 Decorated(x=1) 0 1"


def test_objects_reach_processes_that_have_not_imported_their_module(tmp_path: Path) -> None:
    """Reading a pickle imports what it names; a class without a name is made once for all its objects."""
    (tmp_path / "shop.py").write_text(
        '''
from dataclasses import dataclass
from llm_strategy import llm_strategy

@dataclass
class Interface:
    x: int
    def say(self) -> int:
        """Say it."""
        raise NotImplementedError

Impl = llm_strategy("stub:")(Interface)
NAMELESS = [llm_strategy("stub:")(Interface), llm_strategy("stub:")(Interface)]
''',
        encoding="utf-8",
    )
    write = "import pickle; from shop import *; open('p', 'wb').write(pickle.dumps([Impl(1), *(c(i) for c in NAMELESS for i in (2, 3))]))"
    read = """
        import pickle
        first, *rest = pickle.load(open("p", "rb"))
        import shop
        print(first.say(), type(first) is shop.Impl, rest, len({type(one) for one in rest}), rest[0].say())
    """
    output(write, cwd=tmp_path)

    assert output(read, cwd=tmp_path) == ("0 True [Interface(x=2), Interface(x=3), Interface(x=2), Interface(x=3)] 2 0")


def test_spawned_processes_read_objects_of_the_program_itself(tmp_path: Path) -> None:
    """A process pool runs the program's module under another name, and finds the class in it."""
    (tmp_path / "program.py").write_text(
        PROGRAM.partition("if __name__")[0]
        + """
if __name__ == "__main__":
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        calls = [Impl(1).say, ByLambda(1).say, Decorated(1).say, Decorated.imagine]
        print(*[pool.submit(call).result() for call in calls], pool.submit(count, "a").result())
""",
        encoding="utf-8",
    )
    by_name = run(
        "import subprocess, sys; sys.exit(subprocess.run([sys.executable, 'program.py']).returncode)", cwd=tmp_path
    )

    assert by_name.stdout.split() == ["0", "7", "0", "0", "7"], by_name.stderr


def test_options_that_are_not_given_stay_so_in_a_pickle() -> None:
    """A function from `with_options` keeps its decorator's model, and a block the one of each call."""

    @llm_strategy(ScriptedModel(lambda request: '{"return_value": 7}'))
    def count(text: str) -> int:
        """Count it."""
        raise NotImplementedError

    warmer = through(cloudpickle.dumps, count.with_options(temperature=1))
    block = through(pickle.dumps, override(seed=1))
    with block:
        settings = warmer.request("a").settings

    assert warmer("a") == 7
    assert settings == {"temperature": 1.0, "seed": 1}


def test_a_pickle_of_a_local_class_is_refused_by_pickle(tmp_path: Path) -> None:
    """As for every class inside a function; cloudpickle takes it along."""

    @llm_strategy("stub:")
    @dataclass
    class Local:
        x: int

        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(Local(1))
    assert through(cloudpickle.dumps, Local(1)) == Local(1)
