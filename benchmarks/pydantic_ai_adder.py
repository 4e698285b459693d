"""The adder of the benchmark as pydantic-ai writes it, on its FunctionModel, beside ours: prints the ratio of costs.

Run as a process of its own, where pydantic-ai is installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from measuring import Sample, settle, timed
from pydantic_ai import Agent  # type: ignore[import-not-found]  # it is installed when this runs
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart  # type: ignore[import-not-found]  # so is this
from pydantic_ai.models.function import AgentInfo, FunctionModel  # type: ignore[import-not-found]  # and this
from workload import adder

_NUMBER = re.compile(r"\d+")
_CALLS = 200


def theirs() -> Callable[[int, int], int]:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        total = sum(map(int, _NUMBER.findall(str(messages[-1].parts[-1].content))))
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"response": total})])

    agent = Agent(FunctionModel(answer), output_type=int)
    return lambda a, b: int(agent.run_sync(f"Add {a} and {b}.").output)


def cost(add: Callable[[int, int], int]) -> Sample:
    settle()
    with timed() as watch:
        for number in range(_CALLS):
            assert add(number, 2) == number + 2
    return watch.sample.per(_CALLS)


if __name__ == "__main__":
    ours, peer = adder(), theirs()
    for add in (ours, peer):  # the first calls load modules and fill caches
        cost(add)
    print(f"<said>{json.dumps(cost(peer).cost / cost(ours).cost)}</said>")
