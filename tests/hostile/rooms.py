"""Run a command in its own process and folder, and check what it did."""

import gc
import hashlib
import os
import re
import resource
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd  # noqa: F401 - imported once, not in each case

from lcma.harness.cli import main as cli
from lcma.harness.cli import planning  # noqa: F401 - imported once, not in each case

SECONDS, CPU_SECONDS, BYTES = 20, 20, 3 * 2**30
"""Limits of a case: time without computing, CPU time, and memory."""

STARTS = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork", "os.forkpty"}
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate"}
CHANGES |= {"os.chmod", "os.chown", "os.utime", "shutil.rmtree", "sqlite3.connect"}
"""Audit events of Python: programs that start, and files that change."""

ALLOWED = "('git',"
"""The program that may start: git, for the version of the code."""


@dataclass
class Case:
    """A command, or a call in place of it, and what it may do."""

    command: list[str]  # words after `lcma`
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()  # must not be shown or stored
    codes: tuple[int, ...] = (0, 2)  # good exit codes; after 2, nothing may have changed
    call: Callable[[], object] | None = None


class Room:
    """A new folder for one case, which runs in its folder ``here``.

    Code planted in an input makes the file ``ran``. The content of ``forbidden`` must not be
    changed or shown.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.here, self.ran = folder, folder / "here", folder / "ran"
        self.forbidden = folder / "forbidden"
        for name in ("here", "forbidden/runs", "cache", "home", "temporary"):
            (folder / name).mkdir(parents=True)
        for name in ("file", "plugin.py", "x.db", "x.png", "runs/weights.1.00000000.safetensors"):
            (self.forbidden / name).write_text("nobody changes this, or reads it aloud: f0rb1dden")

    def run(self, case: Case) -> list[str]:
        """Run the case in its own process; return descriptions of all problems."""
        before, kept = list_tree(self.here), list_tree(self.forbidden)
        for name in ("out", "err", "events"):
            (self.folder / name).touch()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            self._run_child(case)
        code, peak = _wait(child)
        raw = {name: (self.folder / name).read_bytes() for name in ("out", "err", "events")}
        out, err, events = (text.decode("utf-8", "replace") for text in raw.values())
        problems = judge_text(code, out, err)
        if code not in case.codes:
            problems.append("a hang" if code is None else f"exit code {code}")
        if peak > BYTES:
            problems.append(f"{peak / 2**30:.1f} GiB of memory")
        # To read a log, SQLite makes an index of it if there is none.
        logs = {name[:-4] + "-shm" for name, _ in before if name.endswith("-wal")}
        changed = sorted({name for name, _ in before ^ list_tree(self.here)} - logs)
        if code == 2 and changed:
            problems.append(f"refused, and changed: {', '.join(changed[:3])}")
        if kept != list_tree(self.forbidden):
            problems.append("changed what is outside")
        if names := sorted(path.name for path in (self.folder / "temporary").iterdir()):
            problems.append(f"left in the folder for temporary files: {names[0]}")
        if self.ran.exists():
            problems.append("ran code of the input")
        if "f0rb1dden" in out + err:
            problems.append("showed what is outside")
        problems += sorted(set(events.split("\n")) - {""})
        files = [self.here / name for name in changed]
        stored = b"".join(file.read_bytes() for file in files if file.is_file())
        for secret in case.secrets:
            if secret in out + err or secret.encode() in stored:
                problems.append(f"the secret {secret}")
        return [f"{problem}; {err[-500:]!a}" for problem in problems]

    def _run_child(self, case: Case) -> NoReturn:
        code = 1
        try:
            gc.freeze()  # otherwise the collector copies the pages shared with the parent
            os.setsid()
            os.chdir(self.here)
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(self.folder / name, os.O_WRONLY), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            encoding = case.environment.get("PYTHONIOENCODING", "utf-8")
            sys.stdin = os.fdopen(0)
            sys.stdout = os.fdopen(1, "w", encoding=encoding)
            sys.stderr = os.fdopen(2, "w", encoding=encoding, errors="backslashreplace")
            for name in [name for name in os.environ if name.startswith("LCMA_")]:
                del os.environ[name]
            folders = {"HOME": "home", "LCMA_CACHE": "cache", "TMPDIR": "temporary"}
            folders["TORCHINDUCTOR_CACHE_DIR"] = "cache"  # torchvision makes it on import
            os.environ.update({name: str(self.folder / folder) for name, folder in folders.items()})
            os.environ.update(case.environment)
            tempfile.tempdir = None
            sys.dont_write_bytecode = True  # a module may be imported for the first time here
            if "vl_convert" in sys.modules:  # it would wait for threads, which a fork does not have
                sys.modules["vl_convert"].vegalite_to_svg = _draw_nothing
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
            self._watch()
            code = _call(case)
            gc.collect()  # closes databases, as the end of a program does
        finally:
            if sys.exception() is not None:
                traceback.print_exc()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def _watch(self) -> None:
        """Record programs that start, and changes of files outside the folder."""
        notes = os.open(self.folder / "events", os.O_WRONLY | os.O_APPEND)
        inside = str(self.folder)
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

        def is_outside(path: Any) -> bool:
            if not isinstance(path, str | bytes | os.PathLike) or str(path) == ":memory:":
                return False
            absolute = os.path.normpath(self.here / os.fsdecode(path).removeprefix("file:"))
            # fsspec makes the folder of a file that it writes, which may be /dev/fd.
            return not absolute.startswith((inside, "/proc/self/", "/dev/fd", os.devnull))

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in STARTS and not str(arguments[:1]).startswith(ALLOWED):
                os.write(notes, f"started a program ({event} {arguments[:2]})\n".encode())
            changes = event in CHANGES or (event == "open" and bool(arguments[2] & writing))
            if changes and is_outside(arguments[0]):
                os.write(notes, f"touched {arguments[0]!r} ({event})\n".encode())

        sys.addaudithook(hook)


def _draw_nothing(chart: object) -> str:
    return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def _wait(child: int) -> tuple[int | None, int]:
    """Return the exit code of a child, None for a hang, and its peak memory in bytes."""
    handle, used, hung = os.pidfd_open(child), "", False
    while not (hung or select.select([handle], [], [], SECONDS)[0]):
        before = used
        used = str(Path(f"/proc/{child}/stat").read_text().split()[13:15])
        if hung := used == before:
            os.killpg(child, signal.SIGKILL)
    os.close(handle)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if hung or code == -signal.SIGXCPU else code, usage.ru_maxrss * 1024


def _call(case: Case) -> int:
    try:
        if case.call is not None:
            case.call()
        else:
            cli.main(case.command)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def judge_text(code: int | None, out: str, err: str) -> list[str]:
    """Return descriptions of problems with the output of a command."""
    problems = []
    if code == 2:
        if not (err.startswith("lcma: ") and err.count("\n") == 1 and err.endswith("\n")):
            problems.append("refused, but not in one line")
        if len(err) > 2100:
            problems.append(f"an error of {len(err)} characters")
        if out:
            problems.append("refused, and printed on stdout")
    if "Traceback (most recent call last)" in err:
        problems.append(f"a traceback ({err.strip().splitlines()[-1][:150]})")
    elif warned := re.search(r"^\S+:\d+: (\w*Warning: .{,100})", err, re.M):
        problems.append(f"a warning of a library ({warned[1]})")
    if raw := sorted({c for c in out + err if not c.isprintable() and c not in "\n\t"}):
        problems.append(f"raw characters {raw[:4]}")
    return problems


def list_tree(folder: Path) -> set[tuple[str, str]]:
    """Return the relative paths in a folder, each with its mode and a digest of its content."""
    entries = set()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            content = str(path.readlink()) if path.is_symlink() else ""
            if path.is_file() and not path.is_symlink():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            entries.add((os.path.relpath(path, folder), f"{path.lstat().st_mode} {content}"))
    return entries
