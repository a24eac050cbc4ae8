"""Report of a self-test, for a person and for a program."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.harness.selftest.campaign import CampaignOutcome
from lcma.harness.selftest.comparison import SHOWN
from lcma.harness.selftest.kills import Kill
from lcma.harness.selftest.schedule import BOUNDARIES, STEP
from lcma.harness.tables import Table, TableColumn, render_table


def render_outcome(outcome: CampaignOutcome) -> RenderableType:
    """Return the report for a person."""
    return Group(
        render_table(_boundaries(outcome.kills), compact=True),
        Text(),
        render_table(_others(outcome.kills), compact=True),
        Text(),
        Text(describe_outcome(outcome)),
    )


def describe_outcome(outcome: CampaignOutcome) -> str:
    """Return a few lines that say how a self-test ended."""
    what = ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in outcome.counts.items()
    )
    lines = [
        f"{len(outcome.kills)} kills in {outcome.rounds} runs of the sweep, which took "
        f"{outcome.launches} launches and {outcome.seconds:.0f} s.",
    ]
    training = [kill for kill in outcome.kills if kill.between_checkpoints]
    if training:
        reached = _range([kill.trained for kill in training if kill.trained is not None])
        lines.append(
            f"{len(training)} of them hit a training between two checkpoints, at steps {reached}."
        )
    if outcome.unmet:
        lines.append(f"There was no occasion for {', '.join(sorted(set(outcome.unmet)))}.")
    if outcome.equal:
        lines.append(
            f"EQUAL: each run left what the undisturbed one did, to the bit ({what}); none is "
            "missing, none there twice, each job was brought to its end by one attempt."
        )
    else:
        number = len(outcome.differences)
        lines.append(f"NOT EQUAL: {number} {'difference' if number == 1 else 'differences'}")
        lines += [f"  {line}" for line in outcome.differences[:SHOWN]]
        if number > SHOWN:
            lines.append(f"  and {number - SHOWN} more")
    return "\n".join(lines)


def outcome_as_dict(outcome: CampaignOutcome) -> dict[str, Any]:
    """Return the report for a program."""
    met = Counter(kill.target for kill in outcome.kills)
    return {
        "equal": outcome.equal,
        "differences": outcome.differences,
        "compared": outcome.counts,
        "rounds": outcome.rounds,
        "launches": outcome.launches,
        "unmet": outcome.unmet,
        "seconds": outcome.seconds,
        "boundaries": {
            moment: {when: met[f"{moment}.{when}"] for when in ("before", "after")}
            for moment in (*BOUNDARIES, STEP)
        },
        "between_checkpoints": sum(kill.between_checkpoints for kill in outcome.kills),
        "who": Counter(kill.who for kill in outcome.kills),
        "kills": [asdict(kill) for kill in outcome.kills],
    }


def _boundaries(kills: Sequence[Kill]) -> Table:
    numbers = ("before", "after", "worker", "driver")
    rows = []
    for moment in (*BOUNDARIES, STEP):
        these = [kill for kill in kills if kill.moment == moment]
        counts = (sum(name in (kill.when, kill.who) for kill in these) for name in numbers)
        rows.append((moment, *counts, *_states(these)))
    return _table("boundary", numbers, rows)


def _others(kills: Sequence[Kill]) -> Table:
    rows = []
    found = sorted({(kill.who, kill.how) for kill in kills if not kill.when})
    for who, how in found:
        these = [k for k in kills if not k.when and (k.who, k.how) == (who, how)]
        rows.append((f"{who} {how}", len(these), *_states(these)))
    return _table("at any moment", ("times",), rows)


def _table(first: str, numbers: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Table:
    columns = (
        TableColumn(first),
        *(TableColumn(name, kind="number") for name in numbers),
        *map(TableColumn, ("states", "steps", "tokens")),
    )
    return Table(columns, tuple(rows))


def _states(kills: Sequence[Kill]) -> tuple[str, str, str]:
    states = Counter(k.state for k in kills if k.state is not None)
    several = [k.jobs for k in kills if k.jobs]
    words = [f"{state} {number}" for state, number in states.most_common()]
    if several:
        done = [jobs["done"] for jobs in several]
        words.append(f"{_range(done)} of {sum(several[0].values())} done")
    return (
        ", ".join(words),
        _range([k.step if k.trained is None else k.trained for k in kills if k.step is not None]),
        _range([k.token for k in kills if k.token is not None]),
    )


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
