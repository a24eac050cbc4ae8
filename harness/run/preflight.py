"""Checks that every machine of a launch can use the place of checkpoints and has the images.

The launching process writes a file to the place, which each machine reads, and reads the file that
each machine writes there. All of them are removed.
"""

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lcma.harness import storage
from lcma.harness.data.verified import find_images
from lcma.harness.place import Place
from lcma.harness.storage import Folder, MissingFileError, StorageError
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError

FOLDER = "probe-"
"""The beginning of the name of a folder of test files."""

OURS = "launch"
"""The name of the launching process's test file."""

SHARED = "give --runs (LCMA_RUNS) a folder that all hosts see, or a URL such as s3://BUCKET/PREFIX"
"""The remedy for a place that is not shared."""


@dataclass(frozen=True)
class Question:
    """A request to a machine to check a folder in the place, and data sets by their hashes."""

    runs: Path | str
    folder: str
    data: Path
    sets: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """A machine's answer: the file that it put into the folder, or the problem in one line."""

    host: str
    file: str = ""
    problem: str = ""


def answer_question(question: Question) -> Answer:
    """Check the place and the data sets from this machine."""
    host = socket.gethostname()
    try:
        place = storage.open_folder(question.runs)
        folder = place.below(question.folder)
        try:
            folder.read(OURS)
        except MissingFileError:
            return Answer(
                host,
                problem=f"host {host} does not see what the launch wrote in {place.name}, which is "
                f"not shared: {SHARED}",
            )
        file = f"{host}-{secrets.token_hex(4)}"
        folder.put(lambda out: out.write(b"here"), lambda digest: file)
    except StorageError as error:
        return Answer(host, problem=f"on host {host}: {error}; or {SHARED}")
    try:
        for name, digest in question.sets.items():
            find_images(name, question.data, digest)
    except UserError as error:
        return Answer(host, file, str(error))
    return Answer(host, file)


def require_machines(
    ask: Callable[[Question], Sequence[Answer]], place: Place, sets: Mapping[str, str]
) -> None:
    """Raise UserError if a machine cannot use the place, or lacks data sets with these hashes."""
    name = FOLDER + secrets.token_hex(8)
    with _probing(place.runs, name) as folder:
        answers = ask(Question(place.runs, name, place.data, sets))
        seen = {file.name for file in folder.files()}
        problems = [one.problem or _check_seen(one, place, seen) for one in answers]
    found = [problem for problem in problems if problem]
    if found:
        more = len(found) - 1
        have = "has" if more == 1 else "have"
        others = f" ({format_count(more, 'more host')} {have} a problem)" if more else ""
        raise UserError(found[0] + others)


def require_here(runs: Path | str) -> None:
    """Raise UserError if this process cannot write and read the place, or no other one sees it."""
    place = storage.open_folder(runs)
    if place.of_one_process:
        raise UserError(
            f"no other process sees {place.name}: give --runs a folder, or a URL such as "
            "s3://BUCKET/PREFIX"
        )
    with _probing(runs, FOLDER + secrets.token_hex(8)) as folder:
        folder.read(OURS)


def _check_seen(one: Answer, place: Place, seen: set[str]) -> str:
    if one.file in seen:
        return ""
    return (
        f"the launch does not see what host {one.host} wrote in "
        f"{storage.open_folder(place.runs).name}, "
        f"which is not shared: {SHARED}"
    )


@contextmanager
def _probing(runs: Path | str, name: str) -> Iterator[Folder]:
    """Provide a folder of that name in the place, with this process's test file, during a block."""
    folder = storage.open_folder(runs).below(name)
    missing = _missing(runs)
    try:
        folder.put(lambda out: out.write(b"here"), lambda digest: OURS)
        yield folder
    finally:
        with suppress(StorageError):
            for file in folder.files():
                folder.remove(file.name)
        folder.remove_if_empty()
        for path in missing:
            storage.open_folder(path).remove_if_empty()


def _missing(runs: Path | str) -> list[Path]:
    """Return the parts of a local folder's path that do not exist, the folder itself first."""
    if isinstance(runs, str):
        return []
    return [path for path in (runs, *runs.parents) if not path.exists()]
