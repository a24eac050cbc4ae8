"""Curves over training that can be compared, as records."""

from dataclasses import dataclass, fields
from typing import Any

from lcma.harness.report.text import printable, short_id

LOST = ("diverged", "failed")
"""States of a training that has no end."""

Points = tuple[tuple[int, float], ...]
"""Steps and values; values are numbers below 1e100."""


@dataclass(frozen=True)
class ChartKey:
    """What is the same for all curves of a picture."""

    dataset: str
    flow: str
    profile: str
    variant: str
    recipe_id: str
    data_digest: str

    @classmethod
    def of(cls, one: Any) -> "ChartKey":
        """Of a record that has these facts."""
        return cls(**{field.name: getattr(one, field.name) for field in fields(cls)})

    @property
    def title(self) -> str:
        """Which flow, on which images."""
        return printable(f"{self.dataset} ({self.variant}), {self.flow}, {self.profile}")

    @property
    def under(self) -> str:
        """What exactly keeps other curves out."""
        return f"data {short_id(self.data_digest)}, recipe {short_id(self.recipe_id)}"


@dataclass(frozen=True)
class LineKey:
    """What is the same for the seeds of a line. A pretraining has no factorization."""

    label: str
    factorization: str | None
    budget: int | None
    map_options: str | None
    conventional: bool

    @property
    def name(self) -> str:
        """For a legend or a table."""
        found = f"{self.label}, conventional" if self.conventional else self.label
        found += "" if self.budget is None else f", budget {self.budget}"
        return printable(found if self.map_options is None else f"{found} {self.map_options}")


@dataclass(frozen=True)
class SeedCurve:
    """The curve of one training. ``subject`` is its trial or pretraining, ``all_points`` how many
    points are stored; ``in_mean`` says whether it is one of those that the mean is taken over."""

    seed: int
    subject: str
    state: str
    step: int
    steps: int
    in_mean: bool
    all_points: int
    points: Points

    @property
    def lost(self) -> bool:
        """Whether it diverged or failed."""
        return self.state in LOST


@dataclass(frozen=True)
class Line:
    """Seeds of one factorization. ``mean`` is over those seeds that are done, or over all that are
    not lost where none is, at the steps that all of them have; empty where there are none."""

    key: LineKey
    mean: Points
    seeds: tuple[SeedCurve, ...]

    @property
    def n(self) -> int:
        """Of how many seeds the mean is."""
        return sum(one.in_mean for one in self.seeds)


@dataclass(frozen=True)
class Panel:
    """One measure: ``name`` as it is stored."""

    name: str
    lines: tuple[Line, ...]

    @property
    def part(self) -> str | None:
        """Of which part of the images bits/dim are, None for another measure."""
        return self.name.removesuffix(_BITS) if self.name.endswith(_BITS) else None

    @property
    def label(self) -> str:
        """With its unit."""
        return (
            printable(self.name).replace("_", " ")
            if self.part is None
            else f"bits/dim, {self.part}"
        )


@dataclass(frozen=True)
class Level:
    """Bits/dim on the test part of something that any flow should beat."""

    name: str
    bits_per_dim: float


@dataclass(frozen=True)
class Chart:
    """What one picture shows; ``notes`` say what is left out and who was lost."""

    key: ChartKey
    steps: int
    panels: tuple[Panel, ...]
    bars: tuple[Level, ...]
    notes: tuple[str, ...]


_BITS = "_bits_per_dim"
