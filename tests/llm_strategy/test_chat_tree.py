"""Conversations as trees: what they have in common stands once."""

from __future__ import annotations

import base64
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel

from llm_strategy import (
    Call,
    Cassette,
    ChatChain,
    ChatTree,
    Message,
    Request,
    Response,
    ScriptedModel,
    StubModel,
    call_log,
    get_tracked_chats,
    llm_strategy,
    use_cassette,
)
from llm_strategy.cli import main
from llm_strategy.values import BlobPart, TextPart, ToolCallPart, ToolCallResponsePart

ANSWERS = {"Hello": "World", "How are you?": "Good. How are you?", "What's up?": "Nothing. You?"}

FORKED = {
    "messages": [{"content": "Hello", "role": "user"}, {"content": "World", "role": "assistant"}],
    "children": [
        {
            "children": [],
            "messages": [
                {"content": "How are you?", "role": "user"},
                {"content": "Good. How are you?", "role": "assistant"},
            ],
        },
        {
            "children": [],
            "messages": [
                {"content": "What's up?", "role": "user"},
                {"content": "Nothing. You?", "role": "assistant"},
            ],
        },
    ],
}


def answering(recorded: bool = False) -> ScriptedModel:
    return ScriptedModel(lambda request: ANSWERS[request.messages[-1].content], recorded=recorded)


def fork(model: object) -> ChatChain:
    """Ask in two ways after the same beginning; returns the chain that both begin with."""
    _, begun = ChatChain(model, []).query("Hello")
    begun.branch().query("How are you?")
    begun.query("What's up?")
    return begun


def test_a_tracked_chain_grows_into_a_tree():
    """What 2.2 tracked of a chat model, the call log has of every model: the same steps give the same trees."""
    chain = ChatChain(answering(), [Message("user", "Hello")])
    assert chain.response == "Hello"
    with call_log() as calls:
        response, begun = ChatChain(answering(), []).query("Hello")
        assert response == "World"
        assert get_tracked_chats(calls) == {
            "children": [],
            "messages": [{"content": "Hello", "role": "user"}, {"content": "World", "role": "assistant"}],
        }
        response, _ = begun.branch().query("How are you?")
        assert response == "Good. How are you?"
        assert ChatTree.of(calls).build_compact_dict() == {
            "children": [],
            "messages": [
                {"content": "Hello", "role": "user"},
                {"content": "World", "role": "assistant"},
                {"content": "How are you?", "role": "user"},
                {"content": "Good. How are you?", "role": "assistant"},
            ],
        }
        response, _ = begun.query("What's up?")
        assert response == "Nothing. You?"
    assert ChatTree.of(calls).build_compact_dict() == FORKED


def test_a_cassette_has_the_same_tree_as_the_log_that_it_was_recorded_from(tmp_path: Path):
    """The block, its calls, the file, and a replay of the file give one tree."""
    file = tmp_path / "talk.yaml"
    with use_cassette(file, mode="new") as recorded:
        fork(answering(recorded=True))
    with use_cassette(file, mode="replay") as replayed:
        fork(ScriptedModel([], recorded=True))
    trees = [get_tracked_chats(each) for each in (recorded, recorded.calls, Cassette(file), replayed)]
    assert trees == [FORKED] * 4


def test_several_answers_to_one_prompt_are_siblings_and_equal_ones_are_one():
    """A prompt asked three times, answered in two ways, has two children."""
    with call_log() as calls:
        chain = ChatChain(ScriptedModel(["heads", "tails", "heads"]), [])
        for _ in range(3):
            chain.query("Toss a coin.")
    tree = ChatTree.of(calls)
    assert [node.message and node.message.content for node in tree.children[0].children] == ["heads", "tails"]
    assert repr(tree) == "<ChatTree of 2 conversations>"
    assert get_tracked_chats(calls) == {
        "messages": [{"role": "user", "content": "Toss a coin."}],
        "children": [
            {"messages": [{"role": "assistant", "content": "heads"}], "children": []},
            {"messages": [{"role": "assistant", "content": "tails"}], "children": []},
        ],
    }


def test_a_node_is_a_message_and_what_came_next():
    """The root has no message; a walk meets each node before its children, in the order of their first appearance."""
    tree = ChatTree.of([["a", ("assistant", "b")], ["a", ("assistant", "c")], ["d"]])
    assert tree.message is None
    assert [node.message and node.message.content for node in tree.children] == ["a", "d"]
    assert [node.message and node.message.content for node in tree] == ["a", "b", "c", "d"]
    assert tree.insert([]) is tree
    assert tree.insert("a") is tree.children[0]
    assert tree.insert(["a", ("assistant", "c")]).insert("e").message == Message("user", "e")


def test_conversations_are_taken_in_every_usual_form():
    """Messages of ours, of LangChain, dicts of providers, our own JSON, texts, and chains are one and the same."""
    from langchain_core.messages import AIMessage, HumanMessage

    ours = [Message("user", "Hello"), Message("assistant", "World")]
    tree = ChatTree.create_root()
    ends = {
        tree.insert(ours),
        tree.insert([HumanMessage("Hello"), AIMessage("World")]),
        tree.insert([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "World"}]),
        tree.insert([message.to_json() for message in ours]),
        tree.insert(["Hello", ("ai", "World")]),
        ChatTree.of([ChatChain(None, ours)]).children[0] and tree.insert(ours),
    }
    assert len(ends) == 1


@pytest.mark.parametrize("wrong", [[Message("user", "Hello")], ["Hello"], [3], [[3]]])
def test_what_is_no_conversation_is_refused_with_what_to_give(wrong: list[object]):
    """One conversation in place of a list of them is a mistake that is named."""
    with pytest.raises(TypeError, match=r"is no (call and no conversation: give a list|message: give)"):
        ChatTree.of(wrong)


@pytest.mark.parametrize("wrong", [ChatChain(None, []), ScriptedModel([]), FakeListChatModel(responses=[]), None])
def test_what_2_2_had_wrapped_is_refused_with_what_remembers_now(wrong: object):
    """A chain or a model, which `get_tracked_chats` took when a wrapper remembered its conversations."""
    with pytest.raises(TypeError, match=rf"^a {type(wrong).__name__} does not hold what was asked: .*call_log"):
        get_tracked_chats(wrong)


def _calling(name: str) -> tuple[Message, ...]:
    """A conversation in which two tools are called, with ids that a client made for this run only."""
    calls = [ToolCallPart(f"{name}_1", "add", {"a": 1, "b": [2]}), ToolCallPart(f"{name}_2", "add", {"a": 3, "b": []})]
    answers = [ToolCallResponsePart(f"{name}_1", 3), ToolCallResponsePart(f"{name}_2", {"sum": 3})]
    return Message("user", "Add."), Message("assistant", calls), Message("tool", answers)


def test_tool_calls_are_equal_whatever_their_ids_and_differ_by_what_they_pass():
    """Ids count by first appearance, also where a conversation goes on from a node in the middle."""
    tree = ChatTree()
    end = tree.insert(_calling("x"))
    assert tree.insert(_calling("y")) is end
    question, calls, answers = _calling("z")
    assert tree.insert([question, calls]).insert([answers]) is not end, "ids of another run say nothing below a node"
    assert tree.insert([question, calls, answers]) is end
    other = Message("assistant", [ToolCallPart("z_1", "add", {"a": 2, "b": [2]})])
    assert tree.insert([question, other]) is not tree.insert([question, calls])


def test_tool_calls_and_images_are_json_with_their_parts():
    """What holds more than text has its parts in the compact JSON, as cassettes name them."""
    image = Message("user", [TextPart("What is this?"), BlobPart("image", "image/png", "iVBORw0KGgo=")])
    compact = get_tracked_chats([[image], _calling("x")])
    assert json.loads(json.dumps(compact)) == compact
    looked, called = compact["children"]
    assert looked["messages"][0] == {
        "role": "user",
        "content": "What is this?",
        "parts": [
            {"type": "text", "content": "What is this?"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBORw0KGgo="},
        ],
    }
    assert called["messages"][1]["content"] == ""
    assert called["messages"][1]["parts"][0] == {
        "type": "tool_call",
        "id": "x_1",
        "name": "add",
        "arguments": {"a": 1, "b": [2]},
    }


def test_an_image_in_a_file_is_the_one_that_was_sent(tmp_path: Path):
    """A cassette keeps a large image in a file beside it; its tree shares the nodes of the live log."""
    image = BlobPart("image", "image/png", base64.b64encode(bytes(range(256)) * 64).decode())
    asked = [Message("user", [TextPart("What is this?"), image])]
    with use_cassette(tmp_path / "image.yaml", mode="new") as block:
        ChatChain(ScriptedModel(["noise", "more"], recorded=True), asked).query("Say.")
    tree = ChatTree.of([*block.calls, *Cassette(tmp_path / "image.yaml")])
    assert repr(tree) == "<ChatTree of 1 conversation>"


def test_decorated_functions_are_in_the_tree_with_their_retries():
    """A retry goes on from the reply that was no value, so it is a longer branch of the same conversation."""

    @llm_strategy(ScriptedModel(["no JSON", '{"return_value": 3}']))
    def add(a: int, b: int) -> int:
        """Add."""
        raise NotImplementedError

    with call_log() as calls:
        assert add(1, 2) == 3
    compact = get_tracked_chats(calls)
    assert compact["children"] == []
    assert [message["role"] for message in compact["messages"]] == [
        *("system", "user", "assistant"),
        *("user", "assistant"),
    ]


def test_a_long_and_often_forked_conversation_needs_no_recursion():
    """Two thousand forks below each other become JSON."""
    tree = ChatTree()
    node = tree
    for turn in range(2000):
        node.insert("no")
        node = node.insert(f"turn {turn}")
    compact = tree.build_compact_dict()
    depth = 0
    while compact["children"]:
        compact, depth = compact["children"][-1], depth + 1
    assert depth == 2000


def test_threads_may_insert_at_the_same_time():
    """The same conversations, inserted by eight threads, stand once."""
    tree = ChatTree()
    talks = [[f"question {i % 7}", f"answer {i % 50}"] for i in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tree.insert, talks))
    alone = ChatTree.of(talks)
    assert sum(1 for _ in tree) == sum(1 for _ in alone)


def test_a_tree_pickles():
    """A tree made in a worker process can be handed back."""
    tree = ChatTree.of([_calling("x"), ["Hello"]])
    assert pickle.loads(pickle.dumps(tree)).build_compact_dict() == tree.build_compact_dict()  # noqa: S301  # its own


def test_an_answer_that_only_calls_tools_goes_on_with_what_the_tools_answer():
    """The next turn's request repeats the answer, in a cassette under other ids: that is one node."""
    question, calls, _ = _calling("toolu")
    answer = Response("", finish_reason="tool_call", tool_calls=calls.parts)
    first = Call("0" * 64, 1, None, Request("m", (question,)), answer)
    renamed = _calling("call")
    second = Call("1" * 64, 1, None, Request("m", renamed), Response("6"))
    assert [message["role"] for message in get_tracked_chats([first, second])["messages"]] == [
        *("user", "assistant"),
        *("tool", "assistant"),
    ]


def test_a_stub_is_tracked_like_any_model():
    """Nothing is wrapped to be tracked: the log has the calls of every model."""
    with call_log() as calls:
        ChatChain(StubModel(recorded=False), []).query("Hello")
    assert get_tracked_chats(calls)["messages"] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": ""},
    ]


# The command


def _show(*arguments: object) -> int:
    return main(["show", "--tree", *map(str, arguments)])


def test_show_draws_the_tree_of_a_cassette(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Branches are drawn where conversations part, each message as the line that tells it from its siblings."""
    file = tmp_path / "talk.yaml"
    with use_cassette(file, mode="new"):
        fork(answering(recorded=True))
    assert _show(file) == 0
    assert capsys.readouterr().out.split("\n") == [
        f"=== {file}: 2 conversations",
        "user: Hello",
        "assistant: World",
        "├─ user: How are you?",
        "│  assistant: Good. How are you?",
        "└─ user: What's up?",
        "   assistant: Nothing. You?",
        "",
        "",
    ]
    assert _show("--json", file) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), **FORKED}


def test_prompts_of_one_function_are_told_by_their_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What all siblings say is left out; what steers a terminal is shown as an escape, and credentials not at all."""

    @llm_strategy(ScriptedModel(['{"return_value": 3}', '{"return_value": 5}'], recorded=True))
    def add(a: int, b: str) -> int:
        """Add."""
        raise NotImplementedError

    with use_cassette(tmp_path / "sums.yaml", mode="new"):
        add(1, "\x1b[31m")
        add(2, "Bearer " + "k" * 40)
    assert _show(tmp_path) == 0
    out = capsys.readouterr().out
    assert "├─ user: def add(a: int, b: str) -> int ... a = 1\n│  assistant: " in out
    assert "└─ user: def add(a: int, b: str) -> int ... a = 2\n   assistant: " in out
    assert "\x1b" not in out
    assert "kkkk" not in out


def test_damaged_and_missing_files_are_named_beside_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The other files are shown, and the exit status is that of the worst."""
    with use_cassette(tmp_path / "good.yaml", mode="new"):
        ChatChain(ScriptedModel(["b"], recorded=True), []).query("a")
    (tmp_path / "bad.yaml").write_text("no: [cassette")
    assert _show(tmp_path / "bad.yaml", tmp_path / "good.yaml") == 5
    said = capsys.readouterr()
    assert "user: a\nassistant: b\n" in said.out
    assert "bad.yaml" in said.err
