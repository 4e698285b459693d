"""Real answers of providers that call tools are understood, and what is sent back has the form that they took.

They lie beside the checkout, in `../shared/recordings`, and are no part of this project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI

from llm_strategy import OpenAIModel, llm_strategy, use_cassette
from tests.llm_strategy.loopback import Loopback, Reply

FOLDER = Path(__file__).parents[3] / "shared/recordings/test_openai"

if not FOLDER.is_dir():
    pytest.skip(
        f"there are no recordings in {FOLDER}: real answers that call tools are not read", allow_module_level=True
    )


def interactions(name: str) -> list[Any]:
    recorded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    found: list[Any] = recorded["interactions"]
    return found


def get_capital(country: str) -> str:
    """Tell the capital."""
    return {"UK": "London"}[country]


def get_current_time() -> str:
    """Get the current time."""
    return "Noon"


def without_id(message: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.items() if value is not None and name != "tool_call_id"}
    functions = [call["function"] for call in kept.pop("tool_calls", ())]
    return {**kept, "calls": [(one["name"], json.loads(one["arguments"])) for one in functions]}


def test_a_streamed_call_of_openai(tmp_path: Path) -> None:
    """Its arguments come in pieces, then the answer does; another library has sent back the same."""
    recorded = interactions("test_run_stream_sync_streams_real_model")
    bodies = [each["response"]["body"]["string"].encode() for each in recorded]
    replies = [Reply(chunks=[body], headers={"X-As-It-Is": "yes"}) for body in bodies]
    with Loopback(*replies) as server, use_cassette(tmp_path / "c.yaml", mode="new") as cassette:

        @llm_strategy(OpenAI(base_url=server.url, api_key="any"), name="gpt-4o-mini", tools=[get_capital])
        def tell(question: str) -> Iterator[str]:
            """Tell."""
            raise NotImplementedError

        assert "".join(tell("a")) == "The capital of the UK is London."
        sent = server.bodies[1]
    theirs = recorded[1]["request"]["parsed_body"]
    assert list(map(without_id, sent["messages"][2:])) == list(map(without_id, theirs["messages"][1:]))
    assert sent["tools"][0]["function"]["parameters"] == theirs["tools"][0]["function"]["parameters"]
    assert [call.response.finish_reason for call in cassette.calls] == ["tool_call", "stop"]
    assert all(call.response.usage is not None for call in cassette.calls)


def test_calls_without_ids(tmp_path: Path) -> None:
    """Gemini's server for clients of OpenAI gives none; what goes back has one all the same."""
    recorded = interactions("test_compatible_api_with_tool_calls_without_id")
    with Loopback(*(Reply(each["response"]["parsed_body"]) for each in recorded)) as server:
        model = OpenAIModel("gemini", client=OpenAI(base_url=server.url, api_key="any"))

        @llm_strategy(model, tools=[get_current_time], retries=0)
        def tell(question: str) -> str:
            """Tell."""
            raise NotImplementedError

        with use_cassette(tmp_path / "c.yaml", mode="new"), pytest.raises(ValueError, match="The current time is Noon"):
            tell("What is the current time?")
        assistant, result = server.bodies[1]["messages"][2:]
    assert assistant["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"
    theirs = recorded[1]["request"]["parsed_body"]["messages"][1:]
    assert [without_id(assistant), without_id(result)] == list(map(without_id, theirs))
