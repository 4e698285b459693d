"""`ChatTree`: conversations as the tree of what they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from llm_strategy.blobs import identified
from llm_strategy.canonical import canonical
from llm_strategy.log import Call
from llm_strategy.models.langchain.messages import to_messages
from llm_strategy.values import JSON, Message, Part, Response, TextPart
from llm_strategy.wire.envelope import HTTPResponse


class ChatTree:
    """Conversations that begin alike share their beginning: one node per message, one branch per way to go on.

    `message` and `parent` are None at the root, whose `children` begin the conversations.
    """

    def __init__(self, message: Message | None = None, parent: ChatTree | None = None) -> None:
        self.message = message
        self.parent = parent
        self._children: dict[object, ChatTree] = {}

    @classmethod
    def create_root(cls) -> ChatTree:
        """An empty tree."""
        return cls()

    @classmethod
    def of(cls, calls: Any) -> ChatTree:
        """The tree of calls: what was asked, each answer a child of its last message.

        Takes `call_log()`, `llm_calls`, a `Cassette`, what `use_cassette` yields, any iterable of calls, and among
        them or instead conversations: `ChatChain`s, or lists of messages in any form that a `ChatChain` takes. Raises
        TypeError for anything else.
        """
        conversations = getattr(calls, "calls", calls)
        if isinstance(conversations, BaseModel) or not isinstance(conversations, Iterable):
            # In 2.2 a wrapped model remembered what it was asked; models of LangChain iterate over their fields.
            raise TypeError(
                f"a {type(calls).__name__} does not hold what was asked: "
                "give the calls of a block, `with call_log() as calls:`, or a list of conversations"
            )
        tree = cls()
        for conversation in conversations:
            tree.insert(conversation_of(conversation))
        return tree

    @property
    def children(self) -> list[ChatTree]:
        """What was said next, in the order in which it came up first."""
        return list(self._children.values())

    def insert(self, messages: Any) -> ChatTree:
        """Add a conversation below this node, as far as it is not there; returns the node of its last message."""
        return [self, *self.path(messages)][-1]

    def path(self, messages: Any) -> list[ChatTree]:
        """As `insert`, but returns the nodes of all the messages."""
        node, ids, nodes = self, self._ids(), []
        for message in to_messages(messages):
            key = _identity(message, ids)
            # One step, since threads may insert at the same time.
            node = node._children.get(key) or node._children.setdefault(key, ChatTree(message, node))
            nodes.append(node)
        return nodes

    def _ids(self) -> dict[str, str]:
        """The ids of tool calls from the root down to here, each with its name."""
        said: list[Message] = []
        node: ChatTree | None = self
        while node is not None:
            said += [node.message] if node.message is not None else []
            node = node.parent
        ids: dict[str, str] = {}
        for message in reversed(said):
            _identity(message, ids)
        return ids

    def __iter__(self) -> Iterator[ChatTree]:
        """The nodes below this one, each before its children."""
        pending = self.children[::-1]
        while pending:
            node = pending.pop()
            yield node
            pending += node.children[::-1]

    def __repr__(self) -> str:
        count = sum(not node.children for node in self)
        return f"<ChatTree of {count} conversation{'s' * (count != 1)}>"

    def build_compact_dict(self) -> dict[str, JSON]:
        """The tree as JSON: messages up to the next branching, and the branches in the same form.

        A message is its `role` and the text of its `content`; one that holds more than text has its `parts` too.
        """
        compact: dict[str, JSON] = {}
        pending = [(self, compact)]
        while pending:
            node, data = pending.pop()
            stretch = list(_stretch(node))
            children = stretch[-1].children
            data["messages"] = [_compact(each.message) for each in stretch if each.message is not None]
            branches: list[dict[str, JSON]] = [{} for _ in children]
            data["children"] = branches
            pending += zip(children, branches, strict=True)
        return compact


def get_tracked_chats(calls: Any) -> dict[str, JSON]:
    """The conversations in calls as compact JSON: `ChatTree.of(calls).build_compact_dict()`."""
    return ChatTree.of(calls).build_compact_dict()


def conversation_of(item: Any) -> tuple[Message, ...]:
    """What was said in a call, its answer too, or in a conversation."""
    if isinstance(item, Call):
        return (*item.request.messages, Message("assistant", _answer(item.response)))
    if isinstance(item, Message | str) or not isinstance(messages := getattr(item, "messages", item), Iterable):
        raise TypeError(f"{item!r} is no call and no conversation: give a list of calls, or of lists of messages")
    return to_messages(messages)


def _answer(response: Response) -> tuple[Part, ...]:
    """All that was answered; a model may say nothing and only call tools."""
    if isinstance(response, HTTPResponse) and response.parts:
        return tuple(response.parts)
    said = (TextPart(response.content),) if response.content or not response.tool_calls else ()
    return (*said, *response.tool_calls)


def _identity(message: Message, ids: dict[str, str]) -> object:
    """What equal messages have in common. Ids of tool calls are made anew each time: they count by first appearance."""
    if all(type(part) is TextPart for part in message.parts):
        return message
    data = message.to_json()
    for part in data["parts"]:
        if part["type"] == "blob":
            # Of a recorded one the file may not have been read.
            part["content"] = identified(part["content"])
        if part.get("id") is not None:
            part["id"] = ids.setdefault(part["id"], f"call_{len(ids) + 1}")
    return canonical(data)


def _stretch(node: ChatTree) -> Iterator[ChatTree]:
    """A node and what follows, up to where it branches or ends."""
    yield node
    while len(node.children) == 1:
        (node,) = node.children
        yield node


def _compact(message: Message) -> dict[str, JSON]:
    data = {"role": message.role, "content": message.content}
    if all(type(part) is TextPart for part in message.parts):
        return data
    return {**data, "parts": message.to_json()["parts"]}
