"""In what two trials differ, as a table."""

from collections.abc import Sequence

from lcma.db import JobFacts
from lcma.harness.results.differences import TrialDifference
from lcma.harness.results.trials import describe_trial
from lcma.harness.show.tables import Table, TableColumn
from lcma.harness.text import format_count


def make_difference_table(
    first: JobFacts, second: JobFacts, differences: Sequence[TrialDifference], equal: int
) -> Table:
    """Return a row for each difference; ``equal`` measures are counted below."""
    return Table(
        (
            TableColumn("name"),
            *(TableColumn(name, right=True, places=5) for name in ("A", "B")),
            TableColumn("difference", heading="B - A", kind="number", places=5, sign=True),
        ),
        tuple((one.name, one.first, one.second, one.gap) for one in differences),
        title=f"A: {describe_trial(first)}",
        under=f"B: {describe_trial(second)}",
        notes=(f"{format_count(equal, 'measure')} equal",) if equal else (),
    )
