"""A budget curve with everything that belongs to it, as plain records."""

from dataclasses import dataclass
from typing import Literal

from lcma.harness.report.budgets.curve import Fit, Interval

CostOf = Literal["seconds", "images"]


@dataclass(frozen=True)
class CurveKey:
    """What all results of one curve share. ``label`` is the factorization as it is shown."""

    flow: str
    dataset: str
    variant: str
    profile: str
    factorization: str
    label: str
    map_options: str | None
    protocol: str
    precision: str
    steps: int
    data_digest: str
    recipe_id: str
    comparable: str


@dataclass(frozen=True)
class SeedResult:
    """A trained trial of one seed.

    Costs are those of the trial by itself: device seconds (GPU seconds, on a CPU wall-clock
    seconds) and training images, each of its training and of a pretraining of its budget; None
    where not known.
    """

    seed: int
    holdout: float
    test: float
    training_seconds: float | None
    pretraining_seconds: float | None
    training_images: int | None
    pretraining_images: int | None

    @property
    def seconds(self) -> float | None:
        """Of pretraining and training."""
        return _sum(self.training_seconds, self.pretraining_seconds)

    @property
    def images(self) -> int | None:
        """Of pretraining and training."""
        found = _sum(self.training_images, self.pretraining_images)
        return None if found is None else int(found)


@dataclass(frozen=True)
class Row:
    """One budget over its seeds; the conventional factorization where ``budget`` is None.

    ``holdout`` and ``test`` are means in bits/dim, ``deviation`` the sample standard deviation of
    holdout bits/dim, None for one seed. ``from_conventional`` is the difference on holdout,
    paired by seed, with its 95 % t-interval, None for fewer than two pairs. Costs are means over
    seeds of what the trials take by themselves; ``saved`` is how many device seconds sharing the
    pretrainings saved at this budget, over all seeds and all trials in the database that read
    these maps. ``on_front``: no other row is at most as costly and as high, and better in one;
    ``front_seeds`` of ``front_of`` seeds have it on the front of their own results.
    """

    budget: int | None
    results: tuple[SeedResult, ...]
    holdout: float
    deviation: float | None
    test: float
    from_conventional: Interval | None
    pretraining_seconds: float | None
    pretraining_images: float | None
    seconds: float | None
    images: float | None
    saved: float | None
    on_front: bool = False
    knee: bool = False
    front_seeds: int = 0
    front_of: int = 0

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.results)


@dataclass(frozen=True)
class Spread:
    """Mean, least and greatest over seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Stability:
    """The maps of one budget before one split against those of ``longest``, seed by seed.

    ``rank_correlation`` is Spearman's over all dimensions, ``overlap`` the intersection over union
    of what the factorization keeps after the split, ``by_chance`` about that of unrelated tables,
    ``mask_share`` the share of the map that the lattice of channel and position explains,
    ``tied`` the share of windows in which the map does not say which two stay. None where no seed
    has it.
    """

    budget: int
    split: int
    seeds: int
    longest: int
    rank_correlation: Spread | None
    overlap: Spread | None
    by_chance: float
    mask_share: Spread | None
    tied: Spread | None


@dataclass(frozen=True)
class BudgetCurve:
    """How much pretraining is worth buying for one factorization on one recipe and data set.

    ``rows`` by budget; ``conventional`` beside them, None without results. ``cost`` is what the
    front is over. ``notes`` say what to keep in mind.
    """

    key: CurveKey
    rows: tuple[Row, ...]
    conventional: Row | None
    fit: Fit
    cost: CostOf
    stability: tuple[Stability, ...]
    notes: tuple[str, ...]

    def row(self, budget: int) -> Row | None:
        """The row of a budget that was tried."""
        return next((row for row in self.rows if row.budget == budget), None)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
