"""Samples and interpolations of trained flows, side by side across factorizations."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image

from lcma.db import JobFacts, Store
from lcma.harness.files import file_name
from lcma.harness.place import Place
from lcma.harness.results.trials import describe_trial, name_rule
from lcma.harness.run.weights import draw_samples, load_data, load_trained
from lcma.harness.show.pictures import sample_grid
from lcma.harness.show.site.maps import Picture
from lcma.harness.text import printable, short_id
from lcma.harness.train.interpolation import interpolate
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError

MOST = 64
"""Most flows that are drawn: one takes seconds on a CPU."""

COUNT, COLUMNS, STEPS = 36, 6, 9
_PIXELS = 32

Step = Callable[[str], None]
"""Called before each flow with what is drawn."""


@dataclass(frozen=True)
class FlowSheet:
    """Samples of one trained flow, and images between two test images.

    ``problems`` say why there are none.
    """

    job_id: str
    name: str
    samples: Picture | None
    between: Picture | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class SheetGroup:
    """Flows of one recipe on one data set, side by side."""

    title: str
    sheets: tuple[FlowSheet, ...]


@dataclass(frozen=True)
class SheetPage:
    """All that was drawn, with the pictures by file name.

    ``left_out`` counts flows over `MOST`. ``hidden`` are the data sets whose test images, and so
    interpolations between them, are not for a site.
    """

    sides: tuple[SheetGroup, ...]
    files: dict[str, bytes]
    left_out: int
    hidden: tuple[str, ...] = ()

    def find_sheet(self, job_id: str) -> FlowSheet | None:
        """Return the sheet of a job, None where there is none."""
        return next((s for side in self.sides for s in side.sheets if s.job_id == job_id), None)


def draw_sheets(store: Store, place: Place, trials: Sequence[JobFacts], step: Step) -> SheetPage:
    """Draw the flows one by one; one whose weights cannot be read gets the reason instead."""
    files: dict[str, bytes] = {}
    ordered = sorted(trials[:MOST], key=_side)
    contents = Counter(one[:2] for one in {(o.dataset, o.variant, o.data_digest) for o in ordered})
    sides = []
    with tempfile.TemporaryDirectory() as folder:
        for key, some in groupby(ordered, key=_side):
            sheets = [_sheet(store, place, one, Path(folder), files, step) for one in some]
            dataset, variant, flow, recipe, digest = key
            title = f"{flow} on {dataset} ({variant}), recipe {short_id(recipe)}"
            if contents[dataset, variant] > 1:
                title += f", data {short_id(digest)}"
            sides.append(SheetGroup(printable(title), tuple(sheets)))
    hidden = {name for one in ordered if not _may_be_published(name := _set_name(one))}
    return SheetPage(tuple(sides), files, max(0, len(trials) - MOST), tuple(sorted(hidden)))


def _sheet(
    store: Store,
    place: Place,
    one: JobFacts,
    folder: Path,
    files: dict[str, bytes],
    step: Step,
) -> FlowSheet:
    step(describe_trial(one))
    problems = []
    grid = row = None
    name = printable(f"{name_rule(one)}, seed {one.seed}")
    stem = file_name(one.job_id[:16])
    try:
        flow, recipe = load_trained(store, place, one)
    except UserError as error:
        return FlowSheet(one.job_id, name, None, None, (printable(error),))
    scale = max(1, _PIXELS // recipe.model.size)
    drawn = draw_samples(flow, COUNT, seed=0)
    path = sample_grid(drawn, folder / f"{stem}-samples.png", COLUMNS, scale)
    grid = _picture(path, f"{COUNT} samples of {describe_trial(one)}", files)
    if not _may_be_published(_set_name(one)):  # the ends of a row are test images
        return FlowSheet(one.job_id, name, grid, None, ())
    try:
        test = load_data(place, one).part("test").images
        end = len(test) // 2
        found = interpolate(flow, test[0], test[end], STEPS)
        path = sample_grid(found.images, folder / f"{stem}-between.png", STEPS, scale)
        row = _picture(path, f"From test image 0 to {end}: {describe_trial(one)}", files)
    except UserError as error:
        problems.append(printable(error))
    return FlowSheet(one.job_id, name, grid, row, tuple(problems))


def _picture(path: Path, alt: str, files: dict[str, bytes]) -> Picture:
    file = f"images/{path.name}"
    files[file] = path.read_bytes()
    with Image.open(path) as image:
        return Picture(file, printable(alt), image.width, image.height)


def _set_name(one: JobFacts) -> str:
    return known_sets.set_name(one.dataset, one.variant)


def _may_be_published(set_name: str) -> bool:
    facts = known_sets.shipped().get(set_name)
    return facts is not None and facts.may_be_published


def _side(one: JobFacts) -> tuple[str, str, str, str, str]:
    return one.dataset, one.variant, one.flow, one.recipe_id, one.data_digest
