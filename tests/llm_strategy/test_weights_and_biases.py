"""`tracing.wandb`: a trace in a run of Weights & Biases, logged offline and read back from the run's file."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.llm_strategy.programs import ROOT, output, run

PROGRAM = """
    import wandb
    from llm_strategy import tracing
    from tests.llm_strategy.traced import add, retried

    with wandb.init(project="shop", settings=wandb.Settings(x_disable_stats=True)) as run:
        with tracing.wandb(run, name="essay", capture_content={content}):
            with tracing.span("improve", key="sk-proj-" + "Ab3" * 16):
                retried(1)
            add(1, 2)
"""


def logged(tmp_path: Path, content: bool) -> list[dict[str, Any]]:
    """The outermost spans that a program logs."""
    folders = {name: str(tmp_path) for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
    output(PROGRAM.format(content=content), cwd=ROOT, WANDB_MODE="offline", WANDB_SILENT="true", **folders)
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for data in records(file.read_bytes()):
        items = Record.FromString(data).history.item
        values = {tuple(item.nested_key) or (item.key,): json.loads(item.value_json) for item in items}
        if ("essay", "_type") in values:
            assert values["essay", "_type"] == "wb_trace_tree"
            found.append(json.loads(values["essay", "root_span_dumps"]))
    return found


def records(data: bytes) -> Iterator[bytes]:
    """The records of a run's file, which is a log as LevelDB has it, behind a header of seven bytes."""
    at, record = 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield record
            record = b""


def outline(span: dict[str, Any]) -> list[Any]:
    return [span["name"], span["span_kind"], span["status_code"], *map(outline, span["child_spans"] or [])]


def test_each_outermost_step_is_a_trace_of_the_run(tmp_path: Path) -> None:
    """Spans are nested with their kinds and errors; content stays on the machine, and secrets do in any case."""
    improve, add = logged(tmp_path, content=False)
    call = ["scripted", "LLM", "SUCCESS"]
    assert outline(improve) == [
        "improve", "CHAIN", "SUCCESS",
        ["retried", "CHAIN", "SUCCESS", ["attempt 1", "CHAIN", "ERROR", call], ["attempt 2", "CHAIN", "SUCCESS", call]],
    ]  # fmt: skip
    assert outline(add) == ["add", "CHAIN", "SUCCESS", ["attempt 1", "CHAIN", "SUCCESS", call]]
    written = json.dumps([improve, add])
    assert "sk-proj-" not in written
    assert "Give a number" not in written
    assert improve["end_time_ms"] >= improve["start_time_ms"]


def test_content_is_logged_when_asked_for(tmp_path: Path) -> None:
    """With `capture_content` arguments and messages are the inputs of spans, results and answers their outputs."""
    improve, add = logged(tmp_path, content=True)
    assert add["results"] == [
        {"inputs": {"arguments": ["a = 1", "b = 2"]}, "outputs": {"result": '{"return_value": 3}'}}
    ]
    call = add["child_spans"][0]["child_spans"][0]
    assert "Add." in json.dumps(call["results"][0]["inputs"]["messages"])
    assert "sk-proj-" not in json.dumps(improve)


def test_what_is_missing_is_said() -> None:
    """Without the package the error names the extra, without a run it says to begin one."""
    done = run("import sys; sys.modules['wandb'] = None\nfrom llm_strategy import tracing\ntracing.wandb().__enter__()")
    assert 'pip install "llm-strategy[wandb]"' in done.stderr
    done = run("from llm_strategy import tracing\ntracing.wandb().__enter__()")
    assert "RuntimeError: there is no run to log the trace to: call wandb.init() first" in done.stderr
