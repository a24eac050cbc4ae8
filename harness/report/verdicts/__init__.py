"""Verdicts on claims, each by the same rule: supported, refuted or undecided at this n and scale.

`read` makes them of what a database holds, `make` of a board; `render` shows them in a terminal,
`as_dict` makes them JSON, `as_markdown` a page.
"""

from lcma.harness.report.verdicts.claims import Claim, Comparison, Scale
from lcma.harness.report.verdicts.collecting import Verdicts, make, read
from lcma.harness.report.verdicts.rule import ENOUGH, Decision, Verdict, decide
from lcma.harness.report.verdicts.showing import as_dict, as_markdown, as_rows, render

__all__ = [
    "ENOUGH",
    "Claim",
    "Comparison",
    "Decision",
    "Scale",
    "Verdict",
    "Verdicts",
    "as_dict",
    "as_markdown",
    "as_rows",
    "decide",
    "make",
    "read",
    "render",
]
