"""The runner of the documentation tests sees what a document gets wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.documentation.blocks import Mismatch, fits
from tests.documentation.runner import run_document

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="documents are written for the shells of POSIX")
RIGHT = """
# A file, a program and a shell

```python
# pricing/__init__.py
def price(units: int) -> int:
    return 3 * units

# test_pricing.py
from pricing import price

def test_price() -> None:
    assert price(2) == 6
```

```console
$ pytest -q
...
1 passed in ...s
$ export UNITS=4
$ python -c "print(
> 'two lines')"
two lines
```

Python blocks share their names and see the shell's variables.

```python
import os
from pricing import price
total = price(int(os.environ["UNITS"]))
```

```python
assert total == 12
```

<!-- exit status 3 -->
```console
$ python -m http.server --bind 127.0.0.1 8765 &
Serving HTTP on 127.0.0.1 port 8765 ...
$ python -c "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8765').status)"
200
$ kill %1
$ cd pricing
$ python -c "raise SystemExit(3)"
```

<!-- file: settings.json -->
```json
{"units": 5}
```

<!-- not run: no such command -->
```console
$ buy-more-units
```

<!-- in the checkout -->
```console
$ ls pyproject.toml
pyproject.toml
```

```bash
ls
```

```console
$ ls
__init__.py
settings.json
```
"""

WRONG = [
    ("```console\n$ false\n```", "exit status 1 instead of 0: false"),
    ("```console\n$ echo 2\n3\n```", "prints something else: echo 2\n--- written\n+++ printed\n@@ -1 +1 @@\n-3\n+2"),
    ("<!-- exit status 1 -->\n```console\n$ true\n```", "exit status 0 instead of 1"),
    ("```console\n$ exit\n```", "ends the shell"),
    ("```console\nls\n```", "a console block begins with a command"),
    ("text\n\n```python\n\nassert 1 > 2\n```", 'python blocks", line 5'),
    ("```python\nx = 1\n```\n```console\n$ echo\n```\n```python\nassert x == 2\n```", "block at line 8: exit status 1"),
    ("```python\n# broken.py\ndef\n```", "invalid syntax"),
    ("```\nls\n```", "no rule for the language ''"),
    ("```pycon\n>>> 1\n```", "no rule for the language 'pycon'"),
    ("1. First\n\n   ```python\n   1/0\n   ```", "line 3: a fence is ``` at the start of a line"),
]


def document(folder: Path, text: str) -> Path:
    """A document with the given text."""
    path = folder / "document.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_right_document_passes(tmp_path: Path) -> None:
    """Files, programs, a server in the background and the shell's state work together; exemptions are named."""
    exempted = run_document(document(tmp_path, RIGHT), tmp_path / "scratch")
    line = RIGHT.splitlines().index("$ buy-more-units") + 1
    assert exempted == {line: "no such command"}


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:30] for _, message in WRONG])
def test_a_wrong_document_fails(text: str, message: str, tmp_path: Path) -> None:
    """The failure names the block's line and shows what happened."""
    with pytest.raises(Mismatch) as failure:
        run_document(document(tmp_path, text), tmp_path / "scratch")
    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a\nb\n", "a\nb", True),
        ("a  \n\n", "a", True),
        ("a\nb\nc\n", "a\n...", True),
        ("a\nb\nc\n", "...\nc", True),
        ("1 passed in 0.02s\n", "1 passed in ...s", True),
        ("1 failed in 0.02s\n", "1 passed in ...s", False),
        ("a\nb\n", "a", False),
        ("a.b\n", "a?b", False),
    ],
)
def test_three_dots_stand_for_anything(printed: str, expected: str, same: bool) -> None:
    """`...` stands for the rest of a line or for any lines, everything else for itself."""
    assert fits(printed, expected) is same
