"""What a claim is made of: comparisons by seed, each of which it says to be below zero."""

from dataclasses import dataclass, field

from lcma.harness.report.ranking import Group
from lcma.sweeps import catalog, known_sets

MARGIN = 0.01
"""Bits/dim within which a difference is none that matters."""

ALONE, CHOICE = "alone", "choice"


@dataclass(frozen=True)
class Comparison:
    """Differences by seed, which the claim says to be below zero on average."""

    name: str
    by_seed: dict[int, float] = field(hash=False)


@dataclass(frozen=True)
class Scale:
    """On which models a claim is tested.

    ``steps`` are those of the longest training. ``whole`` says whether the images are known to be
    those of a whole data set.
    """

    dataset: str
    variant: str
    data_digest: str
    flow: str
    recipe_id: str
    protocol: str
    precision: str
    profile: str
    splits: int
    steps: int
    settings: str
    budget: int | None
    whole: bool

    @property
    def set_name(self) -> str:
        """The name under which the data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def published(self) -> bool:
        """Whether the recipe is that of the flow's publication."""
        return catalog.is_published(self.flow, self.set_name, self.profile)


@dataclass(frozen=True)
class Claim:
    """A statement on one scale, true if and only if all its comparisons are below zero.

    ``key`` names it for programs. ``source`` is the paper's table, or "ours". Differences within
    ``margin`` of zero do not matter; None where no difference is too small. ``printed`` is the
    first comparison by the paper's numbers. ``family`` says with which claims of the same data,
    flow and recipe it shares Holm's correction. ``cleared`` says whether all the models clear the
    bars of the data set, None where no bars are known. ``lost`` counts trials of these cells that
    diverged or failed. ``sweep`` is the shipped sweep that tests it, ``sets`` are
    options that it needs besides those of the scale, and ``lengths`` the training steps, where
    several are held against each other. ``members`` are the scales of a claim over several flows or
    data sets, of which ``scale`` is the longest trained.
    """

    key: str
    source: str
    text: str
    scale: Scale
    comparisons: tuple[Comparison, ...]
    unit: str = "bits/dim"
    margin: float | None = MARGIN
    printed: float | None = None
    family: str = ALONE
    cleared: bool | None = None
    lost: int = 0
    sweep: str = "words"
    sets: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    members: tuple[Scale, ...] = ()


def scale_of(group: Group, budget: int | None) -> Scale:
    """The scale of a group of the board."""
    return Scale(
        dataset=group.dataset,
        variant=group.variant,
        data_digest=group.data_digest,
        flow=group.flow,
        recipe_id=group.recipe_id,
        protocol=group.protocol,
        precision=group.precision,
        profile=group.profile,
        splits=group.splits,
        steps=group.steps,
        settings=group.settings,
        budget=budget,
        whole=group.whole,
    )
