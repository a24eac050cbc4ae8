"""Contribution maps and index tables as small pictures, by split and budget."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from lcma.db import ContributionMap, Store
from lcma.harness.files import file_name
from lcma.harness.results.lookup import read_score
from lcma.harness.results.maps import (
    NATS,
    WORDS,
    MapReader,
    MapSet,
    SplitSummary,
    find_unit,
    image_shape,
    list_map_sets,
    list_map_users,
    make_all_tables,
    make_word_tables,
    series_key,
)
from lcma.harness.show.figures import Rgb
from lcma.harness.show.pictures import channel_names, exit_colours, find_exit_splits

MOST = 200
"""Most series of maps that have pages."""


@dataclass(frozen=True)
class MapSeries:
    """The maps of one pretraining by one score: a page, with a set for each budget."""

    page: str
    title: str
    options: str
    sets: tuple[MapSet, ...]

    @property
    def unit(self) -> str:
        """Unit of the maps."""
        return self.sets[0].unit

    @property
    def of_data(self) -> bool:
        """Whether the maps are of the data alone."""
        return self.unit != NATS

    @property
    def budgets(self) -> tuple[int, ...]:
        """Budgets, ascending."""
        return tuple(one.key.budget for one in self.sets)

    @property
    def stem(self) -> str:
        """What the names of its pictures begin with."""
        return self.page.removeprefix("maps/").removesuffix(".html")

    @property
    def thumbnail(self) -> str:
        """The first channel of the map of its longest budget at the first split."""
        return f"images/{self.stem}-b{self.budgets[-1]}-s1-0.png"


@dataclass(frozen=True)
class Picture:
    """A picture beside a page, and what it shows in words. ``zoom`` is a pixel's side."""

    file: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class SplitView:
    """One split at one budget: pictures of the map and of the tables of its words, and numbers.

    There is one picture for each channel. ``least`` and ``most`` are the ends of the colours.
    """

    number: int
    channels: tuple[str, ...]
    maps: tuple[Picture, ...]
    tables: tuple[tuple[str, tuple[Picture, ...]], ...]
    least: float
    most: float
    numbers: SplitSummary


@dataclass(frozen=True)
class BudgetView:
    """All splits at one budget."""

    budget: int
    id: str
    splits: tuple[SplitView, ...]


@dataclass(frozen=True)
class MapPage:
    """A page of maps with the content of its pictures, by file name."""

    series: MapSeries
    budgets: tuple[BudgetView, ...]
    fixed: tuple[tuple[str, tuple[Picture, ...]], ...]
    colours: tuple[tuple[str, str], ...]
    files: dict[str, bytes]


def list_series(store: Store, sweep_id: str | None) -> list[MapSeries]:
    """Return the series that can be drawn, by data set, flow and seed.

    Of a sweep these are the ones that its trials read.
    """
    sets = list_map_sets(store)
    if sweep_id is not None:
        members = {member.trial_id for member in store.memberships(sweep_id=sweep_id)}
        uses = {
            (use.pretraining_id, read_score(use.factorization, use.map_options))
            for use in list_map_users(store)
            if use.id in members
        }
        sets = [s for s in sets if (s.key.pretraining_id, s.key.score) in uses]
    sets.sort(key=lambda one: (*series_key(one), one.key.budget))
    found = []
    for _, some in groupby(sets, key=series_key):
        group = tuple(some)
        key = group[0].key
        name = file_name(
            key.flow,
            key.dataset,
            f"s{key.seed}",
            key.pretraining_id[:8],
            key.data_digest[:8],
            key.score,
        )
        title = f"{group[0].of_pretraining} ({key.variant})"
        found.append(MapSeries(f"maps/{name}.html", title, group[0].options, group))
    return found[:MOST]


def draw_series(reader: MapReader, one: MapSeries) -> MapPage:
    """Draw the pictures of a series. Raises UserError where maps are damaged or do not fit."""
    files: dict[str, bytes] = {}
    stem = one.stem
    at = [_at_budget(reader, item, stem, files) for item in one.sets]
    last = reader.maps(one.sets[-1])
    shape, splits = image_shape(last), len(last)
    fixed = []
    for number, (name, tables) in enumerate(make_all_tables(last, one.sets[0].key.seed, "")):
        found = find_exit_splits(tables, shape)
        fixed.append((name, _table_pictures(found, splits, f"{stem}-r{number}", name, files)))
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in exit_colours(splits).tolist()]
    words = ["stays", *(f"factored out at split {k + 1}" for k in range(splits))]
    return MapPage(
        series=one,
        budgets=tuple(at),
        fixed=tuple(fixed),
        colours=tuple(zip(words, colours, strict=True)),
        files=files,
    )


def _at_budget(reader: MapReader, one: MapSet, stem: str, files: dict[str, bytes]) -> BudgetView:
    maps = reader.maps(one)
    summaries = reader.summarize(one)
    shape = image_shape(maps)
    names = channel_names(shape[0])
    words = [
        (WORDS[letter], find_exit_splits(make_word_tables(letter, maps), shape))
        for letter in one.letters
    ]
    splits = []
    for item, numbers in zip(maps, summaries, strict=True):
        base = f"{stem}-b{one.key.budget}-s{item.split}"
        least, most = float(item.values.min()), float(item.values.max())
        splits.append(
            SplitView(
                number=item.split,
                channels=names,
                maps=tuple(_map_pictures(item, names, base, files)),
                tables=tuple(
                    (
                        name,
                        _table_pictures(
                            np.where(found <= item.split, found, 0),
                            len(maps),
                            f"{base}-{name}",
                            f"{name}, up to split {item.split}, budget {one.key.budget}",
                            files,
                        ),
                    )
                    for name, found in words
                ),
                least=least,
                most=most,
                numbers=numbers,
            )
        )
    return BudgetView(one.key.budget, one.id, tuple(splits))


def _map_pictures(
    item: ContributionMap, names: Sequence[str], base: str, files: dict[str, bytes]
) -> list[Picture]:
    """Return one picture for each channel; all channels of a split share one scale of colours."""
    values = np.asarray(item.values, dtype=np.float64)
    least, most = float(values.min()), float(values.max())
    scaled = (values - least) / ((most - least) or 1.0)
    found = []
    for channel, name in enumerate(names):
        rgb = colormaps["cividis"](scaled[channel], bytes=True)[..., :3]
        alt = (
            f"Map up to split {item.split}, budget {item.budget}, {name}: "
            f"{float(values[channel].min()):.3g} to {float(values[channel].max()):.3g} "
            f"{find_unit(item.score)}, "
            f"mean {float(values[channel].mean()):.3g}"
        )
        found.append(_picture(rgb, f"{base}-{channel}", alt, files))
    return found


def _table_pictures(
    found: NDArray[np.int64], splits: int, base: str, what: str, files: dict[str, bytes]
) -> tuple[Picture, ...]:
    """Return one picture for each channel, or one where all are alike."""
    colours = exit_colours(splits)
    alike = bool((found == found[:1]).all())
    names = channel_names(found.shape[0])
    pictures = []
    for channel in range(1 if alike else found.shape[0]):
        name = "all channels alike" if alike else names[channel]
        left = 100 * float((found[channel] > 0).mean())
        alt = f"Index table of {what}, {name}: {left:.0f} % are factored out"
        pictures.append(_picture(colours[found[channel]], f"{base}-{channel}", alt, files))
    return tuple(pictures)


def _picture(rgb: Rgb, name: str, alt: str, files: dict[str, bytes]) -> Picture:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(out, format="PNG", optimize=True)
    file = f"images/{name}.png"
    files[file] = out.getvalue()
    return Picture(file, alt, rgb.shape[1], rgb.shape[0])
