"""Runs the code blocks of a document in order, as a reader would who starts in an empty folder."""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.documentation.blocks import Block, Mismatch, fits, read_blocks

CHECKOUT = Path(__file__).parents[2]
PORT = "8765"  # the port that documents name; a free one takes its place, so that two runs do not meet
SHOWN = frozenset("diff html ini json jsonl makefile markdown text toml yaml".split())
PATIENCE = 300.0  # seconds for a command
START = 30.0  # seconds for what a command in the background is said to print


def run_document(document: Path, scratch: Path) -> dict[int, str]:
    """Run a document's blocks in an empty folder; of those that are not run, the line and the reason.

    Raises Mismatch, with the line of the block, where one fails or prints something else than is written.
    """
    text = document.read_text(encoding="utf-8").replace(PORT, free_port())
    exempted: dict[int, str] = {}
    project = Project(scratch)
    line = 1
    try:
        for block in read_blocks(text):
            line = block.line
            if "not run" in block.notes:
                exempted[line] = block.notes["not run"] or "no reason given"
            else:
                project.perform(block)
        project.run_python()
    except (Mismatch, SyntaxError) as error:
        raise Mismatch(f"block at line {line}: {error}") from None
    finally:
        project.shell.close()
    return exempted


def environment(scratch: Path) -> dict[str, str]:
    """What a reader's shell has: the installed commands, and neither keys nor settings of this machine."""
    return {
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]),
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
        # Two versions of a file within one second would share their byte code.
        "PYTHONDONTWRITEBYTECODE": "1",
        # A terminal shows each line at once, a file only full buffers.
        "PYTHONUNBUFFERED": "1",
        # `pip install` of what is installed succeeds; a name that is not must not be fetched into this environment.
        "PIP_NO_INDEX": "1",
        # Plugins that are installed for this project's own checks and that a reader does not hear of.
        "PYTEST_ADDOPTS": "-p no:langsmith_plugin -p no:randomly -o asyncio_default_fixture_loop_scope=function",
    }


def copy_checkout(folder: Path) -> Path:
    """A copy of this project without what git and the tools keep in it."""
    return shutil.copytree(CHECKOUT, folder, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__"))


class Project:
    """The folder a document is about, a shell in it, and the Python blocks that wait to be run."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.shell = Shell(scratch)
        folder = scratch / "project"
        (folder / "examples").mkdir(parents=True)
        shutil.copy(CHECKOUT / "examples" / "stand_in.py", folder / "examples")
        self.shell.run(f"cd {shlex.quote(str(folder))}")
        self.program: list[str] = []
        self.waiting = False

    def perform(self, block: Block) -> None:
        """Write the block's files, run its commands, or keep its Python for the next `run_python`."""
        if block.language not in {"python", "console", "bash", *SHOWN}:
            raise Mismatch(f"no rule for the language {block.language!r}; plain text is `text`")
        if block.language == "python" and not block.files():
            # On the lines it has in the document, so that a traceback shows those.
            self.program += [""] * (block.line - 1 - len(self.program)) + block.text.splitlines()
            self.waiting = True
            return
        self.run_python()
        for name, content in block.files().items():
            self._write(name, content)
        if block.language in ("console", "bash"):
            self._run_commands(block)

    def run_python(self) -> None:
        """Run all Python blocks so far as one program, if a new one waits."""
        if self.waiting:
            self.waiting = False
            program = self.scratch / "python blocks"
            program.write_text("\n".join(self.program) + "\n", encoding="utf-8")
            self.shell.run(f'PYTHONPATH="$PWD" python {shlex.quote(str(program))}')

    def _write(self, name: str, content: str) -> None:
        if name.endswith(".py"):
            compile(content, name, "exec")
        copy = self.scratch / "file"
        copy.write_text(content, encoding="utf-8")
        target = shlex.quote(name)
        self.shell.run(f"mkdir -p $(dirname {target}) && cp {shlex.quote(str(copy))} {target}")

    def _run_commands(self, block: Block) -> None:
        if "in the checkout" in block.notes:
            copy = self.scratch / "checkout"
            self.shell.run(f"cd {shlex.quote(str(copy if copy.exists() else copy_checkout(copy)))}")
        *steps, (last, output) = block.commands() if block.language == "console" else [(block.text, "")]
        for command, expected in steps:
            self.shell.run(command, expected)
        self.shell.run(last, output, int(block.notes.get("exit status", 0)))
        if "in the checkout" in block.notes:
            self.shell.run('cd "$OLDPWD"')


class Shell:
    """One bash for a whole document: folder, variables and background jobs last from block to block."""

    def __init__(self, scratch: Path) -> None:
        self.folder = scratch / "steps"
        self.folder.mkdir(parents=True)
        self.steps = 0
        self.process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(scratch),
            start_new_session=True,
            text=True,
        )

    def run(self, command: str, expected: str = "", status: int = 0) -> None:
        """Run a command, which must end with `status` and, unless `expected` is empty, print that."""
        self.steps += 1
        step, output, ended = (self.folder / f"{self.steps}.{kind}" for kind in ("sh", "out", "status"))
        step.write_text(command + "\n", encoding="utf-8")
        # Sourced, so that `cd` and `export` last; renamed, so that a status is never read half written.
        source, printed, written, renamed = (shlex.quote(str(path)) for path in (step, output, f"{ended}~", ended))
        line = f". {source} </dev/null >{printed} 2>&1; echo $? >{written}; mv {written} {renamed}\n"
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()
        if not self._wait(ended.exists, PATIENCE):
            raise Mismatch(f"does not end, or ends the shell: {command}\n{_read(output)}")
        if (got := int(ended.read_text())) != status:
            raise Mismatch(f"exit status {got} instead of {status}: {command}\n{_read(output)}")
        if command.endswith("&"):
            self._wait(lambda: fits(_read(output), expected), START)
        if expected and not fits(_read(output), expected):
            sides = expected.splitlines(), _read(output).splitlines()
            difference = "\n".join(difflib.unified_diff(*sides, "written", "printed", lineterm=""))
            raise Mismatch(f"prints something else: {command}\n{difference}")

    def _wait(self, happened: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not happened():
            if self.process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def close(self) -> None:
        """Stop the shell and whatever was started in it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def _read(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")


def free_port() -> str:
    """A port of the loopback interface that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])
