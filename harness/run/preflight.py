"""Whether all machines of a launch can use the place of its checkpoints, and have its images.

The launching process puts a file there, which each machine reads, and reads what each puts there.
Nothing of it stays.
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
from lcma.sweeps.errors import UserError

FOLDER = "probe-"
"""How the folder of one look at a place begins."""

OURS = "launch"
"""The file of the launching process in it."""

SHARED = "give --runs (LCMA_RUNS) a folder that all hosts see, or a URL such as s3://BUCKET/PREFIX"


@dataclass(frozen=True)
class Question:
    """What a machine is asked: the place, the folder in it, and the data sets with their hashes."""

    runs: Path | str
    folder: str
    data: Path
    sets: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What a machine says: the file that it put into the folder, or the problem in one line."""

    host: str
    file: str = ""
    problem: str = ""


def answer_question(question: Question) -> Answer:
    """What this machine says."""
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
    """UserError where a machine cannot use the place, or has not all the sets of these hashes."""
    name = FOLDER + secrets.token_hex(8)
    with _probing(place.runs, name) as folder:
        answers = ask(Question(place.runs, name, place.data, sets))
        seen = {file.name for file in folder.files()}
        problems = [one.problem or _unseen(one, place, seen) for one in answers]
    said = [problem for problem in problems if problem]
    if said:
        others = f" ({len(said) - 1} more hosts have a problem)" if len(said) > 1 else ""
        raise UserError(said[0] + others)


def require_here(runs: Path | str) -> None:
    """UserError where this process cannot write and read the place, or alone sees it."""
    place = storage.open_folder(runs)
    if place.of_one_process:
        raise UserError(
            f"no other process sees {place.name}: give --runs a folder, or a URL such as "
            "s3://BUCKET/PREFIX"
        )
    with _probing(runs, FOLDER + secrets.token_hex(8)) as folder:
        folder.read(OURS)


def _unseen(one: Answer, place: Place, seen: set[str]) -> str:
    if one.file in seen:
        return ""
    return (
        f"the launch does not see what host {one.host} wrote in "
        f"{storage.open_folder(place.runs).name}, "
        f"which is not shared: {SHARED}"
    )


@contextmanager
def _probing(runs: Path | str, name: str) -> Iterator[Folder]:
    """The folder of that name in the place, with a file of this process, while a block runs."""
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
    """What of a local folder's path is not there, the folder itself first."""
    if isinstance(runs, str):
        return []
    return [path for path in (runs, *runs.parents) if not path.exists()]
