"""The public names as users write them. mypy and pyright check this file; nobody runs it.

`assert_type` says what the result has to be. A line with `# type: ignore` has to be an error to both checkers:
they report an ignore that is not needed.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, assert_type

from pydantic import BaseModel

from llm_strategy import (
    Blob,
    Call,
    Cassette,
    CassetteError,
    CassetteMiss,
    ChangingPromptWarning,
    ChatChain,
    ChatTree,
    Fault,
    Hyperparameter,
    Hyperparameters,
    LangChainModel,
    LLMStrategyError,
    Media,
    Message,
    Model,
    ModelError,
    OpenAIModel,
    PromptError,
    ReplyError,
    Report,
    Request,
    Response,
    ScriptedModel,
    SecretFound,
    Session,
    StubModel,
    ToolCallPart,
    Usage,
    Volatile,
    call_log,
    get_tracked_chats,
    hyperparameters_scope,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
    tracing,
    track_hyperparameters,
    use_cassette,
)

MODEL = "openai:gpt-5-mini"


def use(*values: object) -> None:
    """What is only assigned would be reported as unused."""


@dataclass
class Customer:
    key: str
    birthdate: str


# A function keeps its signature


@llm_strategy(MODEL, temperature=0.0, max_tokens=100, retries=1, strict_replies=True)
def translate(text: str, language: str = "de") -> str:
    """Translate the text."""
    raise NotImplementedError


@llm_strategy()
async def find(customers: Sequence[Customer], query: str) -> list[Customer]:
    """Find the customers that match."""
    raise NotImplementedError


def functions() -> None:
    assert_type(translate("a"), str)
    assert_type(translate("a", "fr"), str)
    assert_type(translate(text="a", language="fr"), str)
    assert_type(translate.request("a", language="fr"), Request)
    assert_type(translate.reply("b"), str)
    assert_type(translate.__name__, str)
    plain: Callable[[str], str] = translate
    names: list[str] = list(map(translate, ["a", "b"]))
    use(plain, names)

    translate(1)  # type: ignore[arg-type]  # text is a str
    translate()  # type: ignore[call-arg]  # text has no default
    translate("a", lang="fr")  # type: ignore[call-arg]  # there is no parameter of this name
    assert_type(translate.with_options(model=MODEL, retries=0, temperature=0)("a"), str)
    translate.with_options(strict_replies=True)(1)  # type: ignore[arg-type]  # the same parameters here
    translate.request(1)  # type: ignore[arg-type]  # request has the same parameters
    use(
        translate.as_runnable().invoke("a"),
        translate.as_runnable().name,
        translate.as_tool("t", return_direct=True).name,
    )
    wrong: int = translate("a")  # type: ignore[assignment]  # it returns a str
    use(wrong)


async def coroutine_functions() -> None:
    assert_type(await find([], "born in 1990"), list[Customer])
    assert_type(find.request([], query="q"), Request)
    asked: Coroutine[Any, Any, list[Customer]] = find([], "q")
    assert_type(await asked, list[Customer])
    await find([Customer("a", "b")], 1990)  # type: ignore[arg-type]  # query is a str
    find([], "q").append(Customer("a", "b"))  # type: ignore[attr-defined]  # it has to be awaited


@llm_strategy
def shout(text: str) -> str:
    """Say it louder."""
    raise NotImplementedError


@llm_strategy
@dataclass
class Shop:
    name: str

    def slogan(self, words: int) -> str:
        """Invent a slogan."""
        raise NotImplementedError


def without_parentheses() -> None:
    assert_type(shout("a"), str)
    assert_type(shout.request("a"), Request)
    assert_type(Shop("a").slogan(3), str)
    shout(1)  # type: ignore[arg-type]  # text is a str
    Shop(3)  # type: ignore[arg-type]  # name is a str


@llm_strategy(MODEL)
def greet(name: str, now: Volatile[datetime], *others: str, loud: bool = False) -> str:
    """Greet by time of day."""
    raise NotImplementedError


@llm_strategy(MODEL)
def describe(
    photo: Annotated[bytes, Media("image/png")], *pages: Annotated[Path, Media()], sound: Blob | None = None
) -> str:
    """Describe what is attached."""
    raise NotImplementedError


def content() -> None:
    describe(b"", Path("a.pdf"), sound=Blob(b"", "audio/wav", name="a.wav"))
    describe("a.png")  # type: ignore[arg-type]  # bytes are wanted
    assert_type(Blob(b"", "audio/wav").media_type, str)
    assert_type(Media("image/png").media_type, str | None)
    Media(3)  # type: ignore[arg-type]  # a media type is a text


def volatile_arguments() -> None:
    assert_type(greet("a", datetime(2000, 1, 1), "b", "c", loud=True), str)  # noqa: DTZ001  # any time will do
    greet("a", "noon")  # type: ignore[arg-type]  # a volatile argument keeps its type
    greet("a", datetime(2000, 1, 1), loud="very")  # type: ignore[arg-type]  # noqa: DTZ001  # loud is a bool


# An iterator is read while the reply is still arriving


@llm_strategy(MODEL)
def invent(topic: str) -> Iterator[Customer]:
    """Invent customers."""
    raise NotImplementedError


@llm_strategy(MODEL)
def tell(topic: str) -> AsyncIterator[str]:
    """Tell a story."""
    raise NotImplementedError


@llm_strategy(MODEL)
async def tell_awaited(topic: str) -> AsyncIterator[str]:
    """Tell a story."""
    raise NotImplementedError


async def streams() -> None:
    for customer in invent("tea"):
        assert_type(customer, Customer)
    assert_type(next(invent("tea")), Customer)
    assert_type(invent.request("tea"), Request)
    async for text in tell("tea"):
        assert_type(text, str)
    async for text in await tell_awaited("tea"):
        assert_type(text, str)
    invent(1)  # type: ignore[arg-type]  # topic is a str
    async for _ in tell_awaited("tea"):  # type: ignore[attr-defined]  # it has to be awaited
        pass


# A class keeps its type


@llm_strategy(MODEL)
@dataclass(frozen=True)
class Database:
    customers: list[Customer]

    @property
    def summary(self) -> str:
        """Summarize who is in here."""
        raise NotImplementedError

    def find_key(self, query: str) -> str | None:
        """Find the key of the customer that matches."""
        raise NotImplementedError

    async def find_all(self, query: str, *, limit: int = 3) -> list[str]:
        """Find the keys of the customers that match."""
        raise NotImplementedError

    @staticmethod
    def invent(count: int) -> list[Customer]:
        """Invent customers."""
        raise NotImplementedError

    @classmethod
    def invented(cls, count: int) -> Database:
        return cls(cls.invent(count))

    def age(self, customer: Customer) -> int:
        return 2000 - int(customer.birthdate[:4])


@llm_strategy(StubModel())
class Product(BaseModel):
    name: str

    def advertise(self, language: str) -> str:
        """Advertise the product."""
        raise NotImplementedError


async def classes() -> None:
    database = Database([])
    assert_type(database, Database)
    assert_type(database.customers, list[Customer])
    assert_type(database.summary, str)
    assert_type(database.find_key("q"), str | None)
    assert_type(await database.find_all("q", limit=1), list[str])
    assert_type(Database.invent(3), list[Customer])
    assert_type(Database.invented(3), Database)
    assert_type(database.age(Customer("a", "b")), int)
    assert_type(Product(name="tea").advertise("de"), str)
    kind: type[Database] = Database
    use(kind)

    Database("customers")  # type: ignore[arg-type]  # customers is a list
    Database()  # type: ignore[call-arg]  # customers has no default
    database.find_key(1990)  # type: ignore[arg-type]  # query is a str
    database.customers = []  # type: ignore[misc]  # the dataclass is frozen
    # Methods of a class are to a checker what the class says; `translate.request` above is typed, this is not.
    database.find_key.request("q")  # type: ignore[attr-defined]  # exists, unknown to checkers


class Tools:
    @llm_strategy(MODEL)
    @staticmethod
    def shout(text: str) -> str:
        """Say it louder."""
        raise NotImplementedError

    @llm_function
    @staticmethod
    def whisper(llm: Any, text: str) -> str:
        """Say it quietly."""
        raise NotImplementedError


def static_methods() -> None:
    assert_type(Tools.shout("a"), str)
    assert_type(Tools().shout(text="a"), str)
    assert_type(Tools.whisper(MODEL, "a"), str)
    Tools.shout(1)  # type: ignore[arg-type]  # text is a str


# Tools


def look_up(name: str) -> Customer:
    """Look up a customer."""
    return Customer(name, "1990-01-01")


async def count(names: list[str]) -> int:
    """Count names."""
    return len(names)


@llm_strategy(MODEL, tools=[look_up, count, translate, Shop("a").slogan], max_turns=3, temperature=0)
def advise(question: str) -> str:
    """Advise the customer, whom you can look up."""
    raise NotImplementedError


@llm_function(tools=[look_up], max_turns=2)
def advise_later(llm: Any, question: str) -> str:
    """Advise the customer, whom you can look up."""
    raise NotImplementedError


@llm_explicit_function(tools=[look_up])
def befriend(llm: Any, customer: Customer) -> list[Customer]:
    """Name customers who may like this one."""
    raise NotImplementedError


class Desk:
    @llm_function(tools=[look_up])
    @staticmethod
    def ask(llm: Any, question: str) -> str:
        """Answer the question."""
        raise NotImplementedError


def tools() -> None:
    assert_type(advise("Who?"), str)
    assert_type(advise.with_options(tools=[count], max_turns=1)("Who?"), str)
    assert_type(advise_later(MODEL, "Who?"), str)
    assert_type(befriend(MODEL, Customer("a", "b")), list[Customer])
    assert_type(Desk.ask(MODEL, "Who?"), str)
    advise(1)  # type: ignore[arg-type]  # question is a str
    advise_later(MODEL, 1)  # type: ignore[arg-type]  # question is a str
    llm_strategy(MODEL, tools=[1])  # type: ignore[list-item]  # no function
    calls = Response("", tool_calls=(ToolCallPart("call_1", "look_up", {"name": "Ada"}),)).tool_calls
    assert_type(calls, tuple[ToolCallPart, ...])
    model = ScriptedModel([{"look_up": {"name": "Ada"}}, advise.reply("Ada")])
    with override(model=model, tools=[look_up], max_turns=1):
        advise("Who?")


# The model at call time


@llm_function
def rate(llm: Any, text: str, *, best: int = 10) -> float:
    """Rate the text from zero to the best rating."""
    raise NotImplementedError


@llm_function
async def rate_later(llm: Any, text: str) -> float:
    """Rate the text."""
    raise NotImplementedError


@llm_function
def rate_without_annotation(llm, text: str) -> float:  # type: ignore[no-untyped-def]  # the strict rule of both checkers
    """Rate the text."""
    raise NotImplementedError


@llm_explicit_function
def judge(llm: Any, customer: Customer) -> bool:
    """Judge whether the customer is of age."""
    raise NotImplementedError


async def model_at_call_time() -> None:
    assert_type(rate(MODEL, "a"), float)
    assert_type(rate(StubModel(), "a", best=5), float)
    assert_type(rate(ChatChain(MODEL), text="a"), float)
    assert_type(await rate_later(ScriptedModel(["{}"]), "a"), float)
    assert_type(rate.request(MODEL, "a"), Request)
    assert_type(rate_without_annotation(MODEL, "a"), float)
    assert_type(judge(None, Customer("a", "b")), bool)
    rate(MODEL, 1)  # type: ignore[arg-type]  # text is a str
    rate(MODEL, "a", 5)  # type: ignore[call-arg]  # best is keyword-only
    judge(MODEL, "a")  # type: ignore[arg-type]  # a customer is wanted


# Models


class Echo:
    """A model of a user's own; settings and the like may be attributes or properties."""

    name = "local:echo"
    recorded = True

    def __init__(self) -> None:
        self.settings: dict[str, float] = {"temperature": 0.0}

    def generate(self, request: Request) -> Response:
        return Response(request.messages[-1].content, Usage(1, 1), model=self.name)

    async def agenerate(self, request: Request) -> Response:
        return self.generate(request)


class Streaming(Echo):
    """A model that gives its answers in pieces, too."""

    def stream(self, request: Request) -> Iterator[str | Response]:
        yield "a"
        yield Response("", Usage(1, 1))


def pieces(request: Request) -> Iterator[str]:
    yield request.messages[-1].content


class Nameless:
    """No model: it has no name."""

    recorded = False
    settings: Mapping[str, Any] = {}

    def generate(self, request: Request) -> Response:
        raise NotImplementedError

    async def agenerate(self, request: Request) -> Response:
        raise NotImplementedError


def answer(request: Request) -> str:
    return f'{{"return_value": {len(request.messages)}}}'


def models(client: object) -> None:
    models: list[Model] = [
        Echo(),
        Streaming(),
        ScriptedModel([["a", "b"], Response("ab", pieces=("a", "b"))]),
        ScriptedModel(pieces),
        StubModel(recorded=False),
        ScriptedModel([Response("a"), "b"]),
        OpenAIModel("gpt-5-mini"),
    ]
    models += [ScriptedModel(answer, name="local:counter", recorded=True), LangChainModel(client)]
    scripted = ScriptedModel(['{"return_value": 1}'])
    assert_type(scripted.requests, list[Request])
    for model in models:
        assert_type(model.name, str)
        assert_type(model.generate(translate.request("a")), Response)
        llm_strategy(model)
    llm_strategy(client, name="gpt-5-mini")
    llm_strategy(lambda: client, name="openai:gpt-5-mini")

    wrong: Model = Nameless()  # type: ignore[assignment]  # it has no name
    ScriptedModel([1])  # type: ignore[list-item]  # replies are texts or responses
    StubModel(True)  # type: ignore[call-arg]  # recorded is keyword-only
    llm_strategy(MODEL, retries="2")  # type: ignore[call-overload]  # retries is an int
    use(wrong)


# An object keeps its type


def objects() -> None:
    assert_type(llm_strategy(MODEL)(Customer("a", "b")), Customer)
    assert_type(llm_strategy(MODEL, retries=0)(Shop("a")).slogan(3), str)


# Conversations


async def conversations() -> None:
    chain = ChatChain(MODEL, (Message("system", "Be brief."),))
    assert_type(chain.messages, tuple[Message, ...])
    use(ChatChain(MODEL, [Message("system", "Be brief.")]), ChatChain(MODEL, [{"role": "user", "content": "Hello"}]))
    text, longer = chain.query("Hello?")
    assert_type(text, str)
    assert_type(longer, ChatChain)
    number, longer = longer.structured_query("How many?", int)
    assert_type(number, int)
    numbers, longer = await longer.astructured_query("Which?", list[int])
    assert_type(numbers, list[int])
    customer, _ = longer.structured_query("Who?", Customer)
    assert_type(customer, Customer)
    mood, longer = longer.structured_query("How?", Literal["good", "bad"])
    maybe, longer = await longer.astructured_query("When?", datetime | None)
    use(mood, maybe)
    text, _ = await longer.aquery("Sure?", {"temperature": 0.0})
    assert_type(longer.response, str)
    assert_type(longer.append([{"role": "user", "content": "Thanks."}]), ChatChain)
    assert_type(longer + [Message("user", "Bye.")], ChatChain)  # noqa: RUF005  # a chain is no list
    chain.query(1)  # type: ignore[arg-type]  # a question is text


def trees() -> None:
    with call_log() as log:
        ChatChain(MODEL).query("Hello?")
    tree = ChatTree.of(log)
    assert_type(tree.children, list[ChatTree])
    assert_type(tree.insert([Message("user", "Hello?")]).message, Message | None)
    use(tree.build_compact_dict() == get_tracked_chats(log))


# Cassettes and logs


@override(model=StubModel(), retries=0)
def overridden(count: int) -> str:
    return translate("a") * count


async def overrides() -> None:
    with override(model=MODEL, name=None, strict_replies=True, temperature=0.0):
        assert_type(overridden(2), str)
    async with override(model=None, seed=None):
        overridden("2")  # type: ignore[arg-type]  # a decorated function keeps its signature
    override(MODEL)  # type: ignore[call-arg]  # options have names
    override(retries="2")  # type: ignore[arg-type]  # a number is wanted


@use_cassette("cassettes/a.yaml")
def decorated(count: int) -> str:
    return translate("a") * count


@use_cassette(Path("cassettes/a.yaml"), mode="new", http=True)
async def decorated_coroutine(count: int) -> list[str]:
    return [translate("a")] * count


async def cassettes() -> None:
    with use_cassette("cassettes/a.yaml") as cassette:
        assert_type(cassette.path, Path)
        calls: Sequence[Call] = cassette.calls
        assert_type(cassette.calls[0], Call)
    async with use_cassette("cassettes/a.yaml", "replay") as cassette:
        calls = cassette.calls
    assert_type(decorated(2), str)
    assert_type(await decorated_coroutine(count=2), list[str])
    decorated("2")  # type: ignore[arg-type]  # a decorated function keeps its signature
    use_cassette(1)  # type: ignore[arg-type]  # a path is text or a path

    with call_log() as log:
        translate("a")
    assert_type(len(log), int)
    assert_type(log[0], Call)
    for call in [*log, *calls]:
        one_call(call)
    log[0] = calls[0]  # type: ignore[index]  # a log is read-only


def one_call(call: Call) -> None:
    assert_type(call.key, str)
    assert_type(call.occurrence, int)
    assert_type(call.function, str | None)
    assert_type(call.request.key, str)
    assert_type(call.request.model, str | None)
    assert_type(call.request.messages[0].content, str)
    assert_type(call.response.content, str)
    assert_type(call.response.finish_reason, str)
    assert_type(call.response.pieces, tuple[str, ...])
    assert_type(call.response.closed_early, bool)
    assert_type(call.replayed, bool)
    assert_type(call.repairs, tuple[str, ...])
    assert_type(call.seconds, float | None)
    if call.response.usage is not None:
        assert_type(call.response.usage.input_tokens, int | None)
    call.response.content = "b"  # type: ignore[misc]  # values do not change


def stored_cassettes() -> None:
    cassette = Cassette("cassettes/a.yaml")
    assert_type(cassette.path, Path)
    assert_type(len(cassette), int)
    assert_type(cassette[0], Call)
    for call in cassette:
        assert_type(call, Call)
    assert_type(cassette[1:], Sequence[Call])
    session = Session("cassettes", mode="new", model=MODEL, redact=[r"customer-\d+", "!sk-test-"])
    Session("cassettes", http=True, http_hosts=["a"], allowed_hosts=["b"], http_ignore=["$.user"], record_errors=True)
    assert_type(session.scrub("text"), str)
    fault = Fault("rate_limit", call=2)
    assert_type((fault.kind, fault.call), tuple[str, int])
    assert_type(fault.error, type[LLMStrategyError])
    session.open(session.test_path("test_x.py::test_y"), fault=fault, http=False, ignore=["$.user"])
    assert_type(session.misses, list[tuple[str, CassetteMiss]])
    session.doubt("test_z.py")
    assert_type(session.compare(cassette[0].request, cassette[1].request), tuple[str, ...])
    for mark, text, words in session.diff([("a title", "a line")], []):
        assert_type((mark, text, words), tuple[str, str, tuple[tuple[int, int], ...]])
    session.add(session.to_json())
    session.finish(prune=True, siblings=False)
    report = Report(session)
    calls = Report.of(session.open(session.test_path("test_x.py::test_y")))
    report.add("test_x.py::test_y", outcome="passed", seconds=0.1, worker="gw0", error="", calls=calls)
    assert_type(report.data(), dict[str, Any])
    report.write(Path("report.html"))
    assert_type(session.judged(None, root=Path(), complete=True, tests=1), dict[str, Any] | None)


@tracing.span("evaluate", dataset="essays")
def evaluate(number: int) -> float:
    tracing.current_span().set(score=0.5)
    tracing.current_span().rename("evaluated")
    return 0.5


@tracing.trace("trace.jsonl")
async def evaluate_later(number: int) -> float:
    async with tracing.trace(Path("trace.jsonl"), content=False), tracing.span("step") as step:
        step.set(number=number)
        step.rename("another")
    return evaluate(number)


def traces() -> None:
    assert_type(evaluate(1), float)
    later: Coroutine[Any, Any, float] = evaluate_later(1)
    later.close()
    tracing.instrument(capture_content=True)
    tracing.uninstrument()
    with tracing.wandb(name="essay", capture_content=True):
        evaluate(1)
    evaluate("1")  # type: ignore[arg-type]  # a decorated function keeps its parameters


def errors() -> None:
    ancestors: list[type[LLMStrategyError]] = [PromptError, ReplyError, ModelError, CassetteError, SecretFound]
    builtins: tuple[type[NotImplementedError], type[ValueError], type[RuntimeError]] = (
        PromptError,
        ReplyError,
        ModelError,
    )
    use(ancestors, builtins)
    try:
        translate("a")
    except ReplyError as error:
        assert_type(error.reply, str)
        assert_type(error.problems, tuple[tuple[str, str], ...])
        assert_type(error.finish_reason, str)
    except CassetteMiss as miss:
        assert_type(miss.request, Request | None)
        assert_type(miss.causes, tuple[str, ...])
    miss_is_no_exception: type[Exception] = CassetteMiss  # type: ignore[assignment]  # so that nothing swallows it
    use(miss_is_no_exception)
    warning: type[UserWarning] = ChangingPromptWarning
    use(warning)


# Hyperparameters


@track_hyperparameters
def write_essay(task: str, _style: str = "plain", _paragraphs: int = 3) -> str:
    joined: str = Hyperparameter("separator", description="between sentences") @ " "
    return joined.join([task, _style, Hyperparameter("end", ".")]) * _paragraphs


@track_hyperparameters
async def write_later(task: str, *, _style: str = "plain") -> str:
    return task + _style


class Writer:
    @track_hyperparameters
    def write(self, task: str, _style: str = "plain") -> str:
        return task + _style

    @staticmethod
    @track_hyperparameters
    def count(text: str, _factor: int = 1) -> int:
        return len(text) * _factor


async def hyperparameters() -> None:
    assert_type(write_essay("a"), str)
    assert_type(write_essay("a", _paragraphs=2), str)
    assert_type(await write_later("a"), str)
    assert_type(Writer().write("a"), str)
    assert_type(Writer().write("a", _style="b"), str)
    assert_type(Writer.count("a"), int)
    write_essay(1)  # type: ignore[arg-type]  # task is a str
    write_essay("a", style="b")  # type: ignore[call-arg]  # the parameter is called _style
    Writer().write(1)  # type: ignore[arg-type]  # so it is in a method
    suggested: BaseModel = write_essay.hyperparameters(style="vivid")
    with Hyperparameters({write_essay: suggested}) as h:
        assert_type(h, Hyperparameters)
        h[write_essay].style = "vivid"
        h["write_essay"].paragraphs = 2
    async with Hyperparameters.model_validate_json(h.model_dump_json()):
        await write_later("a")
    with hyperparameters_scope(h) as scope:
        scope.hyperparameters[translate].retries = 1
    with scope():
        use(Hyperparameters.merge([h, scope.hyperparameters]), h.model.model_json_schema(), h.values)
