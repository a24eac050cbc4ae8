"""Records of what is planned: recipes, data, trials, pretrainings, sweeps and their jobs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from lcma.db.records.content import content_hash, row_of
from lcma.db.records.work import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """A resolved training recipe; `body` is its canonical JSON, `size` the image side in pixels.

    `conventional` is the canonical name of its flow's conventional factorization, None where that
    is not known.
    """

    id: str
    flow: str
    profile: str
    splits: int
    size: int
    steps: int
    body: str
    conventional: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A prepared data set, known by the hash of its pixels; counts are images for each part."""

    digest: str
    name: str
    variant: str
    height: int
    width: int
    channels: int
    train: int
    holdout: int
    test: int
    manifest: str
    created: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Bits/dim on the test part of something that any flow should beat, or why there are none."""

    data_digest: str
    name: str
    bits_per_dim: float | None
    standard_error: float | None
    images: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Versions and hardware with which code ran.

    `dirty` is a digest of uncommitted changes, None for a clean tree; `driver` is the version of
    the GPU's driver, None on a CPU; `flags` are settings that may change the last bits or the
    speed, as JSON.
    """

    code_version: str
    dirty: str | None
    python: str
    torch: str
    platform: str
    device: str
    cpu_capability: str
    packages: str
    driver: str | None = None
    flags: str = "{}"

    @property
    def id(self) -> str:
        """The content hash of all fields."""
        return content_hash("environment", row_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A planned sweep; `spec` is its specification as canonical JSON text."""

    id: str
    name: str
    spec: str
    created: float | None = None


@dataclass(frozen=True, slots=True)
class SweepMember:
    """A trial's place in a sweep, under the name by which the sweep asked for its factorization."""

    sweep_id: str
    trial_id: str
    factorization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingRow:
    """A run with no splits whose contribution maps serve the trials."""

    id: str
    recipe_id: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str = "squeezed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """Recipe + data set + factorization + seed and, for words over L and H, the maps' origin."""

    id: str
    recipe_id: str
    flow: str
    profile: str
    dataset: str
    variant: str
    factorization: str
    seed: int
    budget: int | None = None
    pretraining_id: str | None = None
    map_options: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """A unit of work to register: a trial, or one segment of a pretraining, on one exact data set.

    Make one with `of_trial` or `of_pretraining`. `steps` is the training step at which it is done.
    """

    kind: Kind
    data_digest: str
    steps: int
    pretraining_id: str | None = None
    trial_id: str | None = None
    budget: int | None = None

    @classmethod
    def of_trial(cls, trial_id: str, data_digest: str, *, steps: int) -> Self:
        """Return the job that trains and evaluates one trial."""
        return cls(kind="trial", trial_id=trial_id, data_digest=data_digest, steps=steps)

    @classmethod
    def of_pretraining(cls, pretraining_id: str, data_digest: str, *, budget: int) -> Self:
        """Return the segment of a pretraining that ends at step `budget` and leaves its maps."""
        return cls(
            kind="pretraining",
            pretraining_id=pretraining_id,
            data_digest=data_digest,
            budget=budget,
            steps=budget,
        )

    @property
    def id(self) -> str:
        """The content hash of kind, subject, budget and data."""
        subject = self.pretraining_id if self.kind == "pretraining" else self.trial_id
        return content_hash("job", [self.kind, subject, self.budget, self.data_digest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """All that a plan adds, in one transaction; what is there already is left as it is.

    ``planned`` is the number of jobs of the whole plan where this is one of its `slices`.
    """

    sweeps: tuple[Sweep, ...] = ()
    members: tuple[SweepMember, ...] = ()
    recipes: tuple[RecipeRow, ...] = ()
    data_sets: tuple[DataSet, ...] = ()
    pretrainings: tuple[PretrainingRow, ...] = ()
    trials: tuple[TrialRow, ...] = ()
    jobs: tuple[PlannedJob, ...] = ()
    bars: tuple[Bar, ...] = ()
    planned: int | None = None

    def slices(self, size: int) -> Iterator["Registration"]:
        """Yield parts to be added in this order, each of at most so many trials, members or jobs;
        itself if it has no more than that of each."""
        if max(map(len, (self.trials, self.members, self.jobs))) <= size:
            yield self
            return
        yield replace(self, trials=(), members=(), jobs=(), planned=len(self.jobs))
        for start in range(0, len(self.trials), size):
            yield Registration(trials=self.trials[start : start + size])
        for start in range(0, len(self.members), size):
            yield Registration(members=self.members[start : start + size])
        for start in range(0, len(self.jobs), size):
            yield Registration(jobs=self.jobs[start : start + size])
