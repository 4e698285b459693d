"""Whether a function's body is missing, told from its compiled code, which is there without any source.

What is compared with is compiled by the running interpreter, so that no version's opcodes are listed
here: a missing body is what `raise NotImplementedError`, `...` and a lone docstring compile to.
"""

from __future__ import annotations

import dis
import inspect
import sys
import textwrap
from ast import Constant, Expr, parse
from collections.abc import Iterator
from functools import cache
from types import CodeType, EllipsisType, FunctionType
from typing import NamedTuple

_RAISING = "raise NotImplementedError"
_MISSING = ["...", '"""Doc."""', '"""Doc."""; ...', "\n ...", '\n """Doc."""', '\n """Doc."""\n ...']
_PRESENT = ["pass", "return", '"""Doc."""; pass', "\n pass", "\n return"]
_PRESENT += ['\n """Doc."""\n pass', '\n """Doc."""\n return']
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])
# What says nothing by itself: an emptied line, and the upper bytes of the next argument.
_SILENT = {dis.opmap["NOP"], dis.opmap["EXTENDED_ARG"]}


def is_unimplemented(function: FunctionType) -> bool:
    """Whether the body is missing: abstract, `raise NotImplementedError`, `...`, or only a docstring.

    `pass` is a body. The exception may have arguments and a cause. Decided from the compiled code;
    the source is read only where `...` and `pass` compile to the same.
    """
    if getattr(function, "__isabstractmethod__", False):
        return True
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return False
    body = _Body.of(function.__code__)
    if _only_raises(body, _compiled(_RAISING, _is_coroutine(function.__code__))):
        return True
    judged = _judged(_is_coroutine(function.__code__)).get(body.shape, frozenset([False]))
    return _by_source(function) if len(judged) > 1 else next(iter(judged))


def _is_coroutine(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_COROUTINE)


class _Body(NamedTuple):
    """The instructions of a function's statements, and what surrounds them: depth and kind of each handler."""

    steps: tuple[dis.Instruction, ...]
    handlers: frozenset[tuple[int, bool]]

    @classmethod
    def of(cls, code: CodeType) -> _Body:
        compiled = dis.Bytecode(code)
        steps = iter([step for step in compiled if step.opcode not in _SILENT])
        # Cells, free variables and the coroutine are made before the frame is resumed for the first time.
        next(step for step in steps if step.opname == "RESUME")
        entries = compiled.exception_entries  # type: ignore[attr-defined]  # typeshed lacks it
        return cls(tuple(steps), frozenset((entry.depth, entry.lasti) for entry in entries if entry.depth == 0))

    @property
    def shape(self) -> tuple[object, ...]:
        """What the body does, and how wide the source of its end is: `...` is narrower than `pass`."""
        at = self.steps[0].positions
        width = None if at is None or at.col_offset is None else (at.end_col_offset or 0) - at.col_offset
        if sys.flags.optimize >= 2:
            # A stripped docstring leaves what `pass` leaves, as wide as the docstring was.
            width = None
        return tuple((step.opcode, step.argval) for step in self.steps), self.handlers, width


def _only_raises(body: _Body, reference: _Body) -> bool:
    """Whether the body is one statement, which raises the exception that the reference raises.

    An expression, however long, leaves the exception's class on the stack until it is raised; where
    the stack is empty before, another statement has ended.
    """
    load, raising = reference.steps[:2]
    first = body.steps[0]
    if (first.opcode, first.argval) != (load.opcode, load.argval) or body.handlers != reference.handlers:
        return False
    for step, depth in _depths(body.steps):
        if step.opcode == raising.opcode:
            return True
        if depth <= 0 or (depth == 1 and isinstance(step.argval, tuple)):
            # Nothing is left, or one instruction has named it and taken it up again: `error = ...; raise error`.
            return False
    return False


def _depths(steps: tuple[dis.Instruction, ...]) -> Iterator[tuple[dis.Instruction, int]]:
    """Each instruction and how much is on the stack after it, in the order in which they stand."""
    depth = 0
    at_targets: dict[int, int] = {}
    for step in steps:
        depth = at_targets.get(step.offset, depth)
        if step.opcode in _JUMPS:
            at_targets[step.argval] = depth + dis.stack_effect(step.opcode, step.arg, jump=True)
        depth += dis.stack_effect(step.opcode, step.arg, jump=False)
        yield step, depth


@cache
def _compiled(body: str, coroutine: bool) -> _Body:
    """What a body compiles to, on the interpreter that is running and as it was told to compile."""
    keyword = "async def" if coroutine else "def"
    module = compile(f"{keyword} reference(): {body}", "<reference>", "exec")
    return _Body.of(next(constant for constant in module.co_consts if isinstance(constant, CodeType)))


@cache
def _judged(coroutine: bool) -> dict[tuple[object, ...], frozenset[bool]]:
    """The shapes of bodies that return nothing, and whether those that have it are missing."""
    judged: dict[tuple[object, ...], frozenset[bool]] = {}
    for bodies, missing in ((_MISSING, True), (_PRESENT, False)):
        for body in bodies:
            shape = _compiled(body, coroutine).shape
            judged[shape] = judged.get(shape, frozenset()) | {missing}
    return judged


def _by_source(function: FunctionType) -> bool:
    """Whether the source says `...` or nothing; without it, whoever promises a value does not mean `pass`."""
    try:
        definition = parse(textwrap.dedent(inspect.getsource(function))).body[0]
        last = definition.body[-1]  # type: ignore[attr-defined]  # a definition has a body; what has none raises
    except (OSError, SyntaxError, AttributeError, IndexError, TypeError):
        return function.__doc__ is not None or function.__annotations__.get("return") not in (None, "None")
    return (
        isinstance(last, Expr) and isinstance(last.value, Constant) and isinstance(last.value.value, EllipsisType | str)
    )
