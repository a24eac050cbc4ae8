"""What the first page says: how the paper's rule does, setting by setting, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lcma.harness.results.board import ENOUGH, Group, name_unit
from lcma.harness.results.claims import find_low, find_printed
from lcma.harness.results.statistics import Summary
from lcma.harness.results.verdicts import Verdicts
from lcma.harness.show.board import FEW_IMAGES, has_few_images, judge_low, short_settings
from lcma.harness.show.site.database import SiteDatabase
from lcma.harness.text import format_count, format_number, printable
from lcma.sweeps.measures import BITS_PER_DIM

NAMES = {"realnvp": "RealNVP", "glow": "Glow", "iresnet": "i-ResNet", "resflow": "Residual Flow"}
"""Flows as their papers spell them."""

WORDS = ("better", "worse", "not told apart", "too few seeds")

REASONS = {
    "low-random-local": (
        "Is low better than a random half of each window?",
        {"yes": "low is more than chance", "no": "chance does better"},
    ),
    "low-random-lattice": (
        "Is low better than a random pair of positions that is the same in all windows?",
        {"yes": "low is more than regular", "no": "chance does better"},
    ),
    "low-better-phase": (
        "Is low better than both a checkerboard and its mirror image, which read no map?",
        {"yes": "the map pays", "no": "one of these fixed patterns does better"},
    ),
    "layout": (
        "Are low and high together worse than these two checkerboards together?",
        {"yes": "the shape of patterns by maps costs", "no": "their shape gains"},
    ),
    "ranking": (
        "Is low better than high, the opposite half by the same map?",
        {"yes": "to keep what contributes most helps", "no": "to keep it costs"},
    ),
}
"""Questions that take one part of the rule away, with what answers mean, by the keys of claims."""

SAID = {"supported": "yes", "opposite": "no"}
"""What a decision says of such a question; any other leaves it open."""


@dataclass(frozen=True)
class Setting:
    """`low` minus the flow's own rule in one table of the board, which has the ``number``.

    ``word`` says how it does. ``printed`` is the difference that the paper prints for the flow and
    the set, None where it prints none. ``few`` says that there are few test images.
    """

    number: int
    name: str
    steps: int
    own: str
    found: Summary
    word: str
    sentence: str
    printed: float | None
    few: bool

    @property
    def difference(self) -> str:
        """The difference with its interval."""
        mean = format_number(self.found.mean, 3, sign=True)
        return f"{_sign(mean)} ± {format_number(self.found.half_width, 3)}"

    @property
    def gain(self) -> str | None:
        """The printed difference."""
        return None if self.printed is None else _sign(f"{self.printed:+.2f}")

    @property
    def short_of_printed(self) -> bool:
        """Whether the whole interval is above the printed difference."""
        low = self.found.low
        return self.printed is not None and low is not None and low > self.printed


@dataclass(frozen=True)
class Reason:
    """A question about a part of the rule, with answers and what they mean, and how much it is."""

    key: str
    question: str
    answers: tuple[tuple[str, str], ...]
    share: str


@dataclass(frozen=True)
class SiteAnswer:
    """The answer in a sentence, what goes with it, and what it is of.

    ``low`` and ``high`` are the ends of the scale that all settings are drawn on.
    """

    sentence: str
    more: tuple[str, ...]
    settings: tuple[Setting, ...]
    reasons: tuple[Reason, ...]
    unit: str
    better: str
    low: float
    high: float

    def place(self, value: float) -> float:
        """Return where a difference stands on the scale, from 0 to 100."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


def find_answer(database: SiteDatabase) -> SiteAnswer:
    """Return what a database says of the paper's rule."""
    groups = database.board.groups
    settings = [
        setting
        for number, group in enumerate(groups, start=1)
        if (setting := _find_setting(number, group, database.holdout)) is not None
    ]
    ends = [0.0]
    for one in settings:
        found = one.found
        ends += [end for end in (found.low, found.high, found.mean, one.printed) if end is not None]
    margin = 0.04 * (max(ends) - min(ends)) or 1.0
    direction = groups[0].direction if groups else "lower"
    return SiteAnswer(
        _say(settings, database.facts["measure"], has_results=bool(groups)),
        tuple(_say_more(settings)),
        tuple(settings),
        tuple(_list_reasons(database.verdicts, _say_regularity(groups, database.holdout))),
        name_unit(groups[0].unit) if groups else "",
        "right" if direction == "higher" else "left",
        min(ends) - margin,
        max(ends) + margin,
    )


def _find_setting(number: int, group: Group, holdout: dict[str, Group]) -> Setting | None:
    judged, row = judge_low(group, holdout), find_low(group, holdout)
    if judged is None or row is None or row.difference is None:
        return None
    flow = NAMES.get(group.flow, group.flow)
    settings = f", {printable(short_settings(group))}" if group.settings else ""
    name = f"{printable(flow)} on {printable(group.set_name)}{settings}"
    printed = find_printed(group) if group.measure == BITS_PER_DIM else None
    return Setting(
        number,
        name,
        group.steps,
        group.reference or "",
        row.difference,
        judged[0],
        judged[1],
        printed,
        has_few_images(group),
    )


def _say(settings: Sequence[Setting], measure: str, *, has_results: bool) -> str:
    if not has_results:
        return "There are no results yet."
    if not settings:
        return "No result here compares low with a flow's own rule on the same seeds."
    counts = Counter(one.word for one in settings)
    if len(settings) == 1:
        return f"{_lead(counts)}. {settings[0].sentence}"
    by = "" if measure == BITS_PER_DIM else f" by {printable(measure)}"
    parts = [f"{word} in {counts[word]}" for word in WORDS if counts[word]]
    first, *rest = parts
    return (
        f"{_lead(counts)}: against each flow's own rule, choosing by contribution (low) is{by} "
        f"{first} of {len(settings)} settings{''.join(f', {part}' for part in rest)}."
    )


def _lead(counts: Mapping[str, int]) -> str:
    judged = sum(counts[word] for word in WORDS[:3])
    if not judged:
        return "Not known yet"
    if counts["better"] == judged:
        return "Yes"
    if not counts["better"]:
        return "No" if counts["worse"] else "Not seen"
    return "Mostly" if 2 * counts["better"] > judged else "Mostly not"


def _say_more(settings: Sequence[Setting]) -> list[str]:
    if not settings:
        return []
    lines = []
    better = [one for one in settings if one.word == "better"]
    if few := sum(one.few for one in better):
        where = f"{few} of the {len(better)} settings" if few < len(better) else _all(few)
        lines.append(f"{where} where low is better had fewer than {FEW_IMAGES:,} test images.")
    printed = [one for one in settings if one.printed is not None]
    if short := sum(one.short_of_printed for one in printed):
        where = f"{short} of {len(printed)} settings" if short < len(printed) else _all(short)
        lines.append(
            f"In {where[0].lower()}{where[1:]} low falls short of the paper's gain for the flow "
            "and the data set."
        )
    steps = sorted({f"{end(one.steps for one in settings):,}" for end in (min, max)}, key=len)
    lines.append(f"The flows here were trained for {' to '.join(steps)} steps.")
    return lines


def _all(count: int) -> str:
    return {1: "The one setting", 2: "Both settings"}.get(count, f"All {count} settings")


def _list_reasons(verdicts: Verdicts, regularity: str) -> list[Reason]:
    found = []
    for key, (question, meanings) in REASONS.items():
        some = [one for one in verdicts.all if one.claim.key == key]
        answers = []
        for said in ("yes", "no", "open"):
            of = [one for one in some if SAID.get(one.decision, "open") == said]
            few = sum(has_few_images(one.claim.cells.group) for one in of)
            on = f" ({few} with few test images)" if few else ""
            if of:
                text = f"{said} in {len(of)} of {len(some)}{on}"
                answers.append((text, meanings.get(said, "")))
        if answers:
            share = regularity if key == "low-random-lattice" else ""
            found.append(Reason(key, question, tuple(answers), share))
    return found


def _say_regularity(groups: Sequence[Group], holdout: Mapping[str, Group]) -> str:
    """Return how much of what `low` gains on chance a regular choice by chance has."""
    shares = []
    few = False
    for group in groups:
        rows = {row.factorization: row.by_seed for row in group.rows if row.map_options is None}
        low = find_low(group, holdout)
        if low is None or not {"random-local", "random-lattice"} <= rows.keys():
            continue
        chance, regular = rows["random-local"], rows["random-lattice"]
        seeds = chance.keys() & regular.keys() & low.by_seed.keys()
        gain, share = (
            sum(chance[seed] - other[seed] for seed in seeds) for other in (low.by_seed, regular)
        )
        if len(seeds) < ENOUGH or gain * share <= 0 or abs(share) > abs(gain):
            return ""  # no part of a whole
        shares.append(100 * share / gain)
        few = few or has_few_images(group)
    if not shares:
        return ""
    ends = sorted({f"{end(shares):.0f}" for end in (min, max)}, key=int)
    images = f", on fewer than {FEW_IMAGES:,} test images" if few else ""
    return (
        f"Such a pair has {' to '.join(ends)} % of what low gains on a random half of each window "
        f"({format_count(len(shares), 'setting')}{images}): that much is regularity."
    )


def _sign(text: str) -> str:
    return text.replace("-", "−")  # noqa: RUF001 - the sign as the other views have it
