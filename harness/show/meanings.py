"""What the statistics at the heads of tables mean, in words for people."""

from collections.abc import Mapping

from lcma.harness.results.board import ENOUGH
from lcma.harness.text import printable
from lcma.sweeps.measures import BITS_PER_DIM, MeasureKind

MEANINGS: Mapping[str, tuple[str, str]] = {
    "budget": (
        "budget",
        "Training steps of the pretraining from which the rule's map was taken; none for a rule "
        "that reads no map.",
    ),
    "difference": (
        "difference",
        "Mean over seeds of one row minus another, on the leaderboard minus the row marked *. "
        "Seeds that both have are subtracted in pairs, as was fixed before any result: they share "
        "weights at the start, images and noise. That is valid whether or not their results rise "
        "and fall together over seeds; in the reference they hardly do, so that it narrows the "
        "intervals little.",
    ),
    "interval": (
        "± 95 %",
        "Half of the 95 % t-interval of the mean difference. Of many rows some have an interval "
        "without zero by chance: `lcma verdicts` allows for that.",
    ),
    "plot": (
        "plot of differences",
        "The band is the 95 % t-interval of the difference, the dots are single seeds, the thick "
        "line is their mean, the dashed line is zero.",
    ),
    "than": (
        "than *",
        "Better or worse than the row marked *, by the 95 % interval of the difference; or not "
        f"told apart from it. Nothing with fewer than {ENOUGH} pairs. It is of this pair alone: "
        "`lcma verdicts` judges claims on several.",
    ),
    "paper": (
        "paper",
        "What papers printed for such a row, in bits/dim. Their training is longer.",
    ),
    "n": (
        "n",
        f"Seeds with a result. Nothing is decided with fewer than {ENOUGH}.",
    ),
    "sd": ("sd", "Sample standard deviation of the results over seeds."),
    "p": (
        "p",
        "Two-sided p of the exact sign-flip test: how often random signs of the differences by "
        "seed give a mean as far from zero. With n seeds it is 2 / 2^n at least.",
    ),
    "holm": (
        "Holm",
        "Two-sided p of the paired t-test after Holm's correction over all pairs of the table "
        f"with {ENOUGH} common seeds or more. Below 0.05 the two are told apart.",
    ),
    "detectable": (
        "could show",
        "The smallest true difference that so many seeds, as scattered as these, would have shown "
        "with a power of 80 % (paired t, 5 %, two-sided).",
    ),
    "error": (
        "standard error",
        "Standard error of one trial's number over the test images. It says nothing about seeds.",
    ),
    "front": (
        "front",
        "On the Pareto front: no other row is at most as costly and as good, and better in one. At "
        "the knee more cost begins to gain less.",
    ),
    "correlation": (
        "rank correlation",
        "Spearman's correlation of the map with that of the longest budget, over all dimensions, "
        "mean over seeds.",
    ),
    "overlap": (
        "overlap",
        "Intersection over union of what the rule keeps after the split, by this map and by that "
        "of the longest budget.",
    ),
    "chance": ("by chance", "About the overlap of unrelated tables."),
    "masks": (
        "mask share",
        "Share of the map's variance within windows that one pattern, the same in every window, "
        "explains.",
    ),
    "tied": (
        "tied",
        "Share of windows in which the map does not say which two dimensions stay.",
    ),
}
"""By their keys, heads and meanings of columns."""


def explain_measure(kind: MeasureKind) -> str:
    """Return what a measure is, its unit, and which values are better."""
    name = "bits/dim" if kind.name == BITS_PER_DIM else printable(kind.name)
    better = "" if kind.direction is None else f"; {kind.direction} is better"
    return f"{name}: {printable(kind.meaning)}, in {printable(kind.unit)}{better}."
