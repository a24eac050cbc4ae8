"""Run the fuzzer: all kinds, some kinds, or one case.

python -m tests.fuzzing [KIND ...]
python -m tests.fuzzing KIND NUMBER
"""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.fuzzing.cases import MAKERS, make
from tests.fuzzing.running import Case, Outcome, Room
from tests.fuzzing.templates import Templates


def run_case(kind: str, number: int, folder: Path, templates: Templates) -> tuple[Case, Outcome]:
    """Make a case in a new room, run it, and remove the room."""
    room = Room(folder / f"{kind}-{number}")
    case = make(kind, number, room, templates)
    outcome = room.run(case)
    room.remove()
    return case, outcome


def run_many(cases: Iterable[tuple[str, int]], folder: Path, templates: Templates) -> list[str]:
    """Run cases with a line every ten seconds, print the counts, and return what failed."""
    counts: Counter[tuple[str, str]] = Counter()
    failed, said = [], time.monotonic()
    for kind, number in cases:
        _, outcome = run_case(kind, number, folder, templates)
        found = (
            "failed"
            if outcome.problems
            else {0: "success", 2: "refused"}.get(outcome.code, "faults")
        )
        counts[kind, found] += 1
        if outcome.problems:
            failed.append(ascii(f"{kind} {number}: {'; '.join(outcome.problems)}")[1:-1])
            print(failed[-1], flush=True)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"{counts.total()} cases, {len(failed)} failed; at {kind} {number}", flush=True)
    print(f"{'kind':16}{'success':>9}{'refused':>9}{'faults':>9}{'failed':>9}")
    for kind in dict.fromkeys(kind for kind, _ in counts):
        numbers = (counts[kind, name] for name in ("success", "refused", "faults", "failed"))
        print(f"{kind:16}" + "".join(f"{number:9}" for number in numbers))
    print(f"{counts.total()} cases, {len(failed)} failed")
    return failed


def main() -> int:
    words = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="lcma-fuzzing-"))
    os.environ["LCMA_CACHE"] = str(folder / "cache")
    try:
        templates = Templates(folder)
        if words[1:] and words[1].isdigit():
            case, outcome = run_case(words[0], int(words[1]), folder, templates)
            print(f"lcma {case.command}\n{dict(case.environment)}\nexit code {outcome.code}")
            print(f"--- stdout\n{outcome.out!a}\n--- stderr\n{outcome.err!a}\n---")
            print("\n".join(outcome.problems) or "as it should be")
            return bool(outcome.problems)
        kinds = words or MAKERS
        cases = [(kind, number) for kind in kinds for number in range(MAKERS[kind][1])]
        cases.sort(key=lambda case: case[1] / MAKERS[case[0]][1])  # all kinds from the beginning
        failed = run_many(cases, folder, templates)
        if failed:
            print(*failed, "Run one alone: python -m tests.fuzzing KIND NUMBER", sep="\n")
        return bool(failed)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
