"""What is wrong with the database of a command that failed unexpectedly."""

from collections.abc import Sequence
from itertools import pairwise

from lcma.harness.place import find_place
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError


def find_fault(arguments: Sequence[str]) -> str | None:
    """Return what is wrong with the database of a command that failed unexpectedly, if anything."""
    from lcma.db import locate
    from lcma.db.integrity import check_integrity

    given = [after for word, after in pairwise(arguments) if word == "--db"]
    given += [word[5:] for word in arguments if word.startswith("--db=")]
    try:
        database = locate(find_place(given[-1] if given else None, None, None).db)
        findings = check_integrity(database).findings
    except UserError:  # there is none, or the command would have said so itself
        return None
    if not findings:
        return None
    faults = format_count(len(findings), "fault")
    return (
        f"{database.name} has {faults}, which `lcma db check` names, such as: {findings[0]}; "
        "go back to a copy of it"
    )
