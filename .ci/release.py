"""Whether a version may be released, and what its release says: `python .ci/release.py check v3.0.0` or `notes v3.0.0`.

Needs nothing but Python. `make release-check` and .github/workflows/release.yml run it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """The exit status; a tag is left out where nothing is to be tagged yet."""
    command, *rest = arguments or [""]
    version = declared_version()
    tag = rest[0] if rest else f"v{version}"
    if command == "notes" and (notes := section(tag.removeprefix("v"))):
        sys.stdout.write(notes + "\n")
        return 0
    if command not in ("check", "notes") or len(rest) > 1:
        sys.stderr.write("usage: python .ci/release.py check|notes [TAG]\n")
        return 2
    objections = list(objections_to(tag, version))
    sys.stderr.writelines(f"{objection}\n" for objection in objections)
    return 1 if objections else 0


def objections_to(tag: str, version: str) -> Iterator[str]:
    """Why a tag is no release of what is checked out, each with what to do."""
    if tag != f"v{version}":
        yield f"The tag {tag} is not that of the version in the code: change __version__ there, or tag v{version}"
    if not section(version):
        yield f'docs/changelog.md says nothing about {version}: write it under the heading "## {version}"'
    built = sorted(path.name for path in (CHECKOUT / "dist").glob("*") if path.suffix in (".whl", ".gz"))
    wanted = [f"llm_strategy-{version}-py3-none-any.whl", f"llm_strategy-{version}.tar.gz"]
    if built and built != wanted:
        yield f"dist/ holds {', '.join(built)} instead of {', '.join(wanted)}: remove it, and build again"


def declared_version() -> str:
    """The one in the code, read and not imported: no dependency need be installed."""
    text = (CHECKOUT / "llm_strategy" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def section(version: str) -> str:
    """What the changelog says about a version, below its heading."""
    text = (CHECKOUT / "docs" / "changelog.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version)}(?: [^\n]*)?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return ""
    # Its links start in docs/, which a release does not.
    docs = f"https://github.com/blackhc/llm-strategy/blob/v{version}/docs/"
    return re.sub(r"\]\((?!https?://)", f"]({docs}", found[1].strip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
