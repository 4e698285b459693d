"""The public names of llm-strategy 2.2.0: `python -m tests.documentation.heritage llm_strategy-2.2.0-py3-none-any.whl`.

Writes heritage.json beside this file. The wheel is read and not imported: it needs versions of pydantic and LangChain that
cannot be installed beside this library's.
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

NAMES = Path(__file__).with_name("heritage.json")
# What a user writes without writing its name.
OPERATORS = frozenset("__add__ __call__ __del__ __getitem__ __matmul__ __setitem__".split())


def names_of(wheel: Path) -> list[str]:
    """Modules, and what stands in them and in their classes; neither tests nor what begins with an underscore."""
    found: list[str] = []
    with zipfile.ZipFile(wheel) as archive:
        for path in sorted(name for name in archive.namelist() if name.endswith(".py") and "/tests/" not in name):
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            tree = ast.parse(archive.read(path))
            found += [module, *(f"{module}.{name}" for name in _members(tree))]
    return found


def _members(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        yield from filter(_is_public, _defined(node))
        if isinstance(node, ast.ClassDef) and _is_public(node.name):
            yield from (f"{node.name}.{name}" for name in _members(node))


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets, value=value) if not _is_type_variable(value):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in ("ParamSpec", "TypeVar")


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in OPERATORS


if __name__ == "__main__":
    (given,) = sys.argv[1:]
    NAMES.write_text(json.dumps(names_of(Path(given)), indent=1) + "\n", encoding="utf-8")
