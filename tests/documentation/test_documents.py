"""README, CONTRIBUTING, examples/README and docs/ say what happens: each of their code blocks is run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documentation.blocks import Mismatch
from tests.documentation.runner import CHECKOUT, run_document

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="some documents use `sed -i` as GNU has it")
DOCUMENTS = [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "docs").rglob("*.md")]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "examples/README.md", *sorted(DOCUMENTS)])
def test_code_blocks_do_what_the_document_says(
    document: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Commands succeed and print what is written below them; Python blocks run without an error."""
    failure = ""
    try:
        for line, reason in run_document(CHECKOUT / document, tmp_path).items():
            record_property("block not run", f"{document}:{line}: {reason}")
    except Mismatch as mismatch:
        failure = str(mismatch)
    # Outside of the handler: a reader of the failure needs the document's line, not the runner's.
    if failure:
        pytest.fail(f"{document}, {failure}", pytrace=False)
