"""Checks before the first task of a launch that every machine can do its work.

While it runs, a launch keeps a folder in the place of checkpoints. It writes a file there, which
each machine reads, and reads the file that each machine writes. In the end it removes them.
"""

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lcma import db
from lcma.harness import storage
from lcma.harness.data.verification import find_images
from lcma.harness.place import Place
from lcma.harness.storage import MissingFileError, StorageError, UnreachableError
from lcma.harness.text import format_count
from lcma.harness.version import read_code_version
from lcma.sweeps.errors import UserError

LAUNCH_FILE = "launch"
"""The name of the launching process's test file."""

SHARE_ADVICE = (
    "give --runs (LCMA_RUNS) a folder that all hosts see, or a URL such as s3://BUCKET/PREFIX"
)
"""The remedy for a place that is not shared."""

Code = tuple[str, str | None]
"""The version of the code, and a digest of uncommitted changes."""


@dataclass(frozen=True)
class Question:
    """A request to a machine to check all that the launch's work needs.

    Python's version is not among it: Ray itself refuses nodes and launches with another one.
    """

    place: Place
    folder: str  # of the launch, in the place of checkpoints
    sets: Mapping[str, str]  # by data set the hash of its content
    device: Literal["cpu", "cuda"] = "cpu"
    code: Code | None = None  # None for any


@dataclass(frozen=True)
class Answer:
    """A machine's answer to a question."""

    host: str
    file: str = ""  # that it put into the folder
    problem: str = ""  # in one line
    passing: bool = False  # whether the problem may be over soon, as an unreachable database


def answer_question(question: Question, host: str = "", gpus: int = 0) -> Answer:
    """Check this machine, which the launch calls ``host``.

    With ``gpus`` above 0 the process computes on the first GPUs that it sees. A process that trains
    later must not: it has to set up its libraries before it computes.
    """
    host = host or socket.gethostname()
    try:
        if problem := _check_code(question, host) or _check_devices(question, host, gpus):
            return Answer(host, problem=problem)
        file = _check_place(question, host)
    except _ProblemError as error:
        return Answer(host, problem=str(error))
    except StorageError as error:
        passing = isinstance(error, UnreachableError)
        return Answer(host, problem=f"on host {host}: {error}; or {SHARE_ADVICE}", passing=passing)
    try:
        db.exists(question.place.db)
    except UserError as error:
        passing = isinstance(error, db.Unavailable)
        return Answer(host, file, f"on host {host}: {error}", passing)
    try:
        for name, digest in question.sets.items():
            find_images(name, question.place.data, digest)
    except UserError as error:
        return Answer(host, file, str(error))
    return Answer(host, file)


class Preflight:
    """The checks of a launch, from the first question to `close`.

    Unless ``any_code`` is set, other code than that of this process is a problem.
    """

    def __init__(
        self,
        place: Place,
        sets: Mapping[str, str],
        *,
        device: Literal["cpu", "cuda"] = "cpu",
        any_code: bool = False,
    ) -> None:
        code = None if any_code else read_code_version()
        name = "probe-" + secrets.token_hex(8)
        self.problems: dict[str, str] = {}  # by host, of the machines that were asked
        self.question = Question(place, name, sets, device, code)
        self._place = storage.open_folder(place.runs)
        self._folder = self._place.subfolder(name)
        # Missing folders of a local path, innermost first, which `close` removes again.
        local = [place.runs, *place.runs.parents] if isinstance(place.runs, Path) else []
        self._missing = [path for path in local if not path.exists()]
        try:
            self._folder.put(lambda out: out.write(b"here"), lambda digest: LAUNCH_FILE)
        except BaseException:  # also an interruption
            self.close()
            raise

    def require_machines(self, ask: Callable[[Question], Sequence[Answer]]) -> None:
        """Ask all machines, and keep the problems that are not passing.

        Raises UserError with the first problem if all machines have one, and StorageError.
        """
        answers = ask(self.question)
        files = {file.name for file in self._folder.files()} if answers else set()
        checked = {
            answer.host: answer.problem or self._check_seen(answer, files) for answer in answers
        }
        problems = {host: problem for host, problem in checked.items() if problem}
        if problems and len(problems) == len(checked):
            more = len(problems) - 1
            have = "has" if more == 1 else "have"
            others = f" ({format_count(more, 'more host')} {have} a problem)" if more else ""
            raise UserError(next(iter(problems.values())) + others)
        passing = {answer.host for answer in answers if answer.passing}
        self.problems = {host: why for host, why in problems.items() if host not in passing}

    def close(self) -> None:
        """Remove the files, and the folders that the launch made for them."""
        with suppress(StorageError):
            for file in self._folder.files():
                self._folder.remove(file.name)
        self._folder.remove_if_empty()
        for path in self._missing:
            storage.open_folder(path).remove_if_empty()

    def _check_seen(self, answer: Answer, files: set[str]) -> str:
        if answer.file in files:
            return ""
        return (
            f"the launch does not see what host {answer.host} wrote in {self._place.name}, "
            f"which is not shared: {SHARE_ADVICE}"
        )


def require_here(runs: Path | str) -> None:
    """Raise UserError if this process cannot write and read the place, or no other sees it."""
    place = storage.open_folder(runs)
    if str(runs).startswith("memory:"):
        raise UserError(
            f"no other process sees {place.name}: give --runs a folder, or a URL such as "
            "s3://BUCKET/PREFIX"
        )
    preflight = Preflight(Place("", runs, Path()), {}, any_code=True)
    try:
        place.subfolder(preflight.question.folder).read(LAUNCH_FILE)
    finally:
        preflight.close()


class _ProblemError(Exception):
    """A problem of a machine, in one line."""


def _check_code(question: Question, host: str) -> str:
    if question.code is None or (code := read_code_version()) == question.code:
        return ""
    return (
        f"host {host} has other code, {_describe_code(code)}, than the launch, "
        f"{_describe_code(question.code)}: install the same on every node, or give "
        "--any-code"
    )


def _describe_code(code: Code) -> str:
    version, dirty = code
    return version if dirty is None else f"{version} with changes {dirty}"


def _check_devices(question: Question, host: str, gpus: int) -> str:
    if question.device == "cpu":
        return ""
    import torch

    if torch.cuda.is_available():
        from lcma.harness.train.devices import find_device_fault

        for index in range(min(gpus, torch.cuda.device_count())):
            if problem := find_device_fault(torch.device("cuda", index)):
                return (
                    f"host {host} has a GPU that cannot multiply two matrices, number {index} "
                    f"({problem}): see `nvidia-smi` there, or start its node without that GPU"
                )
        return ""
    built = "is built for CPUs" if torch.version.cuda is None else "finds no device"
    return (
        f"host {host} offers GPUs, and its PyTorch {torch.__version__} {built}: install a build "
        "for its GPUs, and their driver"
    )


def _check_place(question: Question, host: str) -> str:
    """Return the name of the file that this machine wrote. Raises StorageError, _ProblemError."""
    place = storage.open_folder(question.place.runs)
    folder = place.subfolder(question.folder)
    try:
        folder.read(LAUNCH_FILE)
    except MissingFileError:
        raise _ProblemError(
            f"host {host} does not see what the launch wrote in {place.name}, which is not "
            f"shared: {SHARE_ADVICE}"
        ) from None
    file = secrets.token_hex(8)
    folder.put(lambda out: out.write(b"here"), lambda digest: file)
    return file
