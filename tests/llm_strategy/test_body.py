"""Whether a body is missing is told from compiled code; here it is compared with what the source says."""

from __future__ import annotations

import argparse
import ast
import asyncio.events
import concurrent.futures
import inspect
import logging.handlers
import socketserver
import textwrap
import typing
import unittest.case
import xml.sax.handler
from collections.abc import Iterator
from types import EllipsisType, FunctionType, ModuleType

import pytest

from llm_strategy.body import is_unimplemented

MODULES = [argparse, asyncio.events, concurrent.futures._base, inspect, logging, logging.handlers, socketserver, typing]
MODULES += [unittest.case, xml.sax.handler]


def functions(owner: ModuleType | type, module: str) -> Iterator[FunctionType]:
    """The functions that a module defines, those of its classes too."""
    for member in vars(owner).values():
        inner = getattr(member, "__func__", getattr(member, "fget", member))
        if isinstance(inner, type) and inner.__module__ == module and inner is not owner:
            yield from functions(inner, module)
        elif isinstance(inner, FunctionType) and inner.__module__ == module and inner.__name__ != "<lambda>":
            yield inner


def says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def is_missing(function: FunctionType) -> bool:
    """The same by the source. Raises OSError where there is none, as for what dataclasses generate."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    body = definition.body
    while len(body) > 1 and (says_nothing(body[0]) or isinstance(body[0], ast.Pass)):
        body = body[1:]
    first = body[0]
    if isinstance(first, ast.Raise):
        raised = first.exc.func if isinstance(first.exc, ast.Call) else first.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    value = first.value.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None
    return len(body) == 1 and isinstance(value, EllipsisType | str)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_compiled_code_says_what_the_source_says(module: ModuleType) -> None:
    """For all functions of some of Python's own modules, old and new in style."""
    compared = 0
    for function in functions(module, module.__name__):
        if inspect.isgeneratorfunction(function) or getattr(function, "__isabstractmethod__", False):
            continue
        try:
            missing = is_missing(function)
        except OSError:
            continue
        compared += 1
        assert is_unimplemented(function) is missing, function.__qualname__
    assert compared
