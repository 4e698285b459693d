"""A git repository, asked by its own command: which files differ between two revisions, and what they hold."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_RANGE = re.compile(r"(?P<old>.*?)(?P<dots>\.{2,3})(?P<new>.*)", re.DOTALL)
_ORDINARY = (b"100644", b"100755")
_AS_DATA = ("-z", "--raw", "--no-renames")
_CASSETTES = ("--", ":(top)*.yaml")
WORKING = ""
_FETCH = ", as in a partial clone: fetch it all with `git fetch --refetch --no-filter`"


class NoRepositoryError(Exception):
    """There is no git, or no repository of it, to look into."""


class UnknownRevisionError(Exception):
    """The repository has no such revision, or lacks what it holds."""


class Changed(NamedTuple):
    """A file that differs, and what it holds on either side, by the object: None where it is missing.

    WORKING stands for what is in the working tree.
    """

    path: str
    old: str | None
    new: str | None


class Revisions(NamedTuple):
    """Two commits to compare, by their hashes; None is the working tree. `name` is what was asked for."""

    name: str
    old: str
    new: str | None


def is_range(name: str) -> bool:
    """Whether a name stands for two revisions, as `main..HEAD` does."""
    return _RANGE.fullmatch(name) is not None


class Repository:
    """The repository around a folder. Raises NoRepositoryError where there is none."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        found = self._git("rev-parse", "--show-toplevel", check=False)
        if not found.returncode:
            self.root = Path(os.fsdecode(found.stdout.removesuffix(b"\n")))
        # A bare one has no working tree, and revisions all the same.
        elif self._git("rev-parse", "--is-bare-repository", check=False).stdout.strip() != b"true":
            raise NoRepositoryError(
                f"git finds no repository to take revisions from ({' '.join(os.fsdecode(found.stderr).split())}): run "
                "this inside of one, or name files or folders that are there"
            )

    def revisions(self, name: str) -> Revisions:
        """The commits that `A..B`, `A...B`, `A..` or `A` stand for. Raises UnknownRevisionError."""
        parts = _RANGE.fullmatch(name)
        if parts is None:
            return Revisions(name, self._commit(name), None)
        ends = parts["old"] or "HEAD", parts["new"] or "HEAD"
        old, new = map(self._commit, ends)
        return Revisions(name, self._ancestor(ends, old, new) if parts["dots"] == "..." else old, new)

    def knows(self, name: str) -> bool:
        """Whether a name is one of a commit."""
        return self._find(name).returncode == 0

    def holds(self, revisions: Revisions, path: str) -> bool:
        """Whether either side has a file or folder at a path, which is relative to the root."""
        if revisions.new is None and os.path.lexists(self.root / path):
            return True
        commits = filter(None, revisions[1:])
        return any(self._git("ls-tree", "-z", commit, "--", path, check=False).stdout for commit in commits)

    def changed(self, revisions: Revisions) -> list[Changed]:
        """The YAML files that differ; of one that was renamed both names."""
        if revisions.new is not None:
            return list(_raw(self._git("diff-tree", "-r", *_AS_DATA, revisions.old, revisions.new, *_CASSETTES).stdout))
        known = {
            file.path: file for file in _raw(self._git("diff-index", *_AS_DATA, revisions.old, *_CASSETTES).stdout)
        }
        untracked = self._git("ls-files", "-z", "--others", "--exclude-standard", *_CASSETTES).stdout
        for path in map(os.fsdecode, filter(None, untracked.split(b"\0"))):
            # Git may know of it no more.
            known[path] = Changed(path, known[path].old if path in known else None, WORKING)
        return list(known.values())

    def contents(self, objects: Iterable[str]) -> Mapping[str, bytes]:
        """What is in objects of the repository, by their hashes. Raises UnknownRevisionError where one is missing."""
        wanted = list(dict.fromkeys(objects))
        done = self._git("cat-file", "--batch", given="".join(f"{name}\n" for name in wanted).encode(), check=False)
        # Some versions of git end at the first object that a partial clone lacks.
        if b"promisor" in done.stderr:
            raise UnknownRevisionError(f"some cassettes are missing here{_FETCH}")
        data = _checked(done, "cat-file").stdout
        found, at = {}, 0
        for name in wanted:
            head, at = data[at : data.index(b"\n", at)], data.index(b"\n", at) + 1
            if head.endswith(b" missing"):
                raise UnknownRevisionError(f"the object {name} is missing here{_FETCH}")
            size = int(head.rpartition(b" ")[2])
            found[name] = data[at : at + size]
            at += size + 1
        return found

    def _commit(self, name: str) -> str:
        found = self._find(name)
        if found.returncode:
            raise UnknownRevisionError(f"git knows no revision {name!r} here{self._cure(name)}")
        return found.stdout.decode().strip()

    def _find(self, name: str) -> subprocess.CompletedProcess[bytes]:
        return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)

    def _cure(self, name: str) -> str:
        if self._is_shallow:
            return (
                ": this clone is shallow. Get the rest with `git fetch --unshallow`, or where GitHub Actions checks it "
                "out, with `fetch-depth: 0`"
            )
        remote = f"origin/{name}"
        if self.knows(remote):
            return f", but there is {remote}: write that"
        return ", and there is no file or folder of that name. To see which there are: git log --oneline --all"

    @property
    def _is_shallow(self) -> bool:
        return self._git("rev-parse", "--is-shallow-repository", check=False).stdout.strip() == b"true"

    def _ancestor(self, names: Sequence[str], old: str, new: str) -> str:
        found = self._git("merge-base", old, new, check=False)
        if found.returncode:
            what = f"{names[0]} and {names[1]} have no commit in common"
            cure = self._cure(names[0]) if self._is_shallow else f": compare them as they are, {names[0]}..{names[1]}"
            raise UnknownRevisionError(what + cure)
        return found.stdout.decode().split()[0]

    def _git(self, *arguments: str, given: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_PATHSPECS")}
        environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"}
        command = ["git", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.root, input=given, capture_output=True, env=environment, check=False
            )
        except FileNotFoundError:
            raise NoRepositoryError(
                "comparing revisions takes the command git, which is not there: install it, or name files or folders"
            ) from None
        return _checked(done, arguments[0]) if check else done


def _checked(done: subprocess.CompletedProcess[bytes], what: str) -> subprocess.CompletedProcess[bytes]:
    if done.returncode:
        said = os.fsdecode(done.stderr).strip() or f"exit status {done.returncode}"
        raise UnknownRevisionError(f"git {what} failed: {said}")
    return done


def _raw(data: bytes) -> Iterator[Changed]:
    """The files in git's raw format, each with the modes and objects of both sides before its path."""
    words = iter(data.split(b"\0"))
    for word in words:
        if word:
            old_mode, new_mode, old, new, _ = word.removeprefix(b":").split(b" ")
            yield Changed(os.fsdecode(next(words)), _object(old_mode, old), _object(new_mode, new))


def _object(mode: bytes, name: bytes) -> str | None:
    """What an ordinary file holds; of links and modules nothing."""
    if mode not in _ORDINARY:
        return None
    return name.decode() if name.strip(b"0") else WORKING
