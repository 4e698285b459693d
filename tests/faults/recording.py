"""A program that records, in every way in which files are written, and what is to hold afterwards."""

from __future__ import annotations

RECORDING = '''
import json, os, sys, tempfile
from pathlib import Path
from llm_strategy import CassetteError, CassetteMiss, ScriptedModel, Session, llm_strategy, use_cassette
from llm_strategy.cli import main
from typing import Annotated
from llm_strategy import Media

def answer(request):
    number = request.messages[-1].content.partition("number = ")[2].split()[0]
    return '{"return_value": %s}' % number

MODEL = ScriptedModel(answer, name="test:echo", recorded=True)

@llm_strategy(MODEL)
def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError

@llm_strategy(MODEL)
def look(number: int, picture: Annotated[bytes, Media("image/png")]) -> int:
    """Say the number."""
    raise NotImplementedError

def record(*numbers, mode="new"):
    with use_cassette("x.yaml", mode):
        return [echo(number) for number in numbers]

def replay(*numbers):
    return record(*numbers, mode="replay") == [*numbers]

def session(mode, *numbers):
    session = Session(".", mode=mode)
    opened = session.open(Path("x.yaml").absolute(), owner="test_x.py::test_x")
    session.enter(opened)
    passed = False
    try:
        for number in numbers:
            echo(number)
        passed = True
    finally:
        session.leave(opened)
        try:
            session.close(opened, passed=passed)
        finally:
            session.finish()

def accept():
    from llm_strategy.cassette.verification import accept
    path = Path("x.yaml").absolute()
    text = path.read_bytes()
    path.write_bytes(text.replace(b'digest: "0', b'digest: "1').replace(b'"return_value": 2', b'"return_value":  2'))
    accept(path)

def picture(mode="new"):
    with use_cassette("x.yaml", mode):
        return look(5, bytes(3000)) == 5
'''

ACTIONS = {
    "append": ("record(1, 2, 3)", "record(4)", "replay(1, 2, 3, 4)"),
    "record the first call": ("", "record(4)", "replay(4)"),
    "arrange": ("record(1, 2, 3)", "record(3, 4, 1)", "replay(3, 4, 1, 2)"),
    "adopt": ("record(1, 2, 3)", "record(3, 4, mode='all')", "replay(1, 2, 3, 4)"),
    "commit": ("record(1, 2, 3)", "session('all', 3, 4)", "replay(3, 4)"),
    "prune": ("record(1, 2, 3)", "session('new', 3)", "replay(3)"),
    "prune all": ("record(1, 2, 3)", "session('new')", "not Path('x.yaml').exists()"),
    "accept": ("record(1, 2, 3)", "accept()", "replay(1, 2, 3)"),
    "blob": ("record(1, 2, 3)", "picture()", "replay(1, 2, 3) and picture('replay')"),
}
"""What is there before, what is done while a system call fails, and what holds once it was done again."""
