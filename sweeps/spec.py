"""Sweep files: the matrix of what to run, seeds, budgets, exclusions and resources."""

import difflib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

from pydantic import BeforeValidator, Field, model_validator

from lcma.sweeps import catalog, factorizations, known_sets, plugins, settings, strict_yaml
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.input_files import require_text, resolve_path
from lcma.sweeps.options import Overrides, parse_budgets, parse_seeds, split_names
from lcma.sweeps.sections import Section, Seed, Seeds, validate
from lcma.sweeps.tuning import Tune, check_budget


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Steps = Annotated[tuple[Annotated[int, Field(strict=True)], ...], BeforeValidator(_listed)]
MAX_TIMES = 1000


def _times(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 0 <= value <= MAX_TIMES:
        raise ValueError(f"give a number of times from 0 to {MAX_TIMES}, not {value!r}")
    return value


def _times_or_always(value: Any) -> Any:
    try:
        return value if value == "always" else _times(value)
    except ValueError as error:
        raise ValueError(f"{error}, or `always`") from None


def _always(value: Any) -> Any:
    if value != "always":
        raise ValueError(f"it is `always`, not {value!r}: it is no fault of the trial's")
    return value


Times = Annotated[int, BeforeValidator(_times)]
TimesOrAlways = Annotated[int | Literal["always"], BeforeValidator(_times_or_always)]
Always = Annotated[Literal["always"], BeforeValidator(_always)]


class Matrix(Section):
    """The matrix of a sweep: every combination is a cell.

    Budgets multiply the factorizations that read maps alone.
    """

    flow: Names = Field(description="one or several flows")
    dataset: Names = Field(
        description="prepared sets, such as `cifar10`, `celeba64-float`, `photos8`"
    )
    factorization: Names = Field(
        description="rules; `words` stands for every word, `patterns` for every pattern"
    )
    budget: Steps = Field((), description="steps of pretraining behind the maps, on the grid")
    recipe: tuple[dict[str, Any], ...] = Field(
        (), description="settings laid over the recipe, one entry for each variation"
    )


class Exclusion(Section):
    """A rule that leaves out the cells that agree with every key given."""

    flow: Names | None = Field(None, description="one or several")
    dataset: Names | None = Field(None, description="one or several")
    factorization: Names | None = Field(None, description="one or several")
    budget: Steps | None = Field(
        None, description="one or several; rules that read no budget agree with none"
    )
    seed: Annotated[tuple[Seed, ...], BeforeValidator(_listed)] | None = Field(
        None, description="one or several"
    )

    @model_validator(mode="after")
    def _names_cells(self) -> "Exclusion":
        keys = type(self).model_fields
        if all(getattr(self, key) is None for key in keys):
            raise ValueError(f"without a key it leaves out every cell: give {' or '.join(keys)}")
        return self


class Resources(Section):
    """Resources that one trial needs of a node. They never enter an id."""

    gpus: float | None = Field(
        None, ge=0, le=1, description="GPUs, fractions allowed; default: what the profile needs"
    )
    cpus: float | None = Field(None, gt=0, description="CPU cores; default: the recipe's threads")
    memory_gb: float | None = Field(None, gt=0, description="memory that Ray sets aside")
    hours: float | None = Field(
        None, gt=0, description="wall-clock limit of one attempt, in a stack of its share"
    )
    parallel: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        None,
        description="most trials and segments at once, a stack as one, over all launches of the "
        "sweep",
    )
    max_device_hours: float | None = Field(
        None, gt=0, description="most device hours, over all launches of the sweep"
    )


class Failures(Section):
    """Number of automatic retries after each way to fail. It never enters an id."""

    oom: Times = Field(1, description="memory ran out")
    timeout: TimesOrAlways = Field(1, description="`resources.hours` were over")
    code_error: Times = Field(0, description="an exception, or a worker that died by itself")
    diverged: Times = Field(0, description="a value that is not finite")
    preempted: Always = Field("always", description="the machine was taken away with a warning")
    node_lost: Always = Field("always", description="the machine went without a word")


class Keep(Section):
    """Files that are kept. It never enters the id of a trial."""

    checkpoints: Literal["none", "last"] = Field("none", description="of a trial that is done")
    weights: bool = Field(True, description="of a trial, for samples and evaluations")
    snapshots: Literal["none", "longest", "all"] = Field(
        "longest", description="of a pretraining all of whose budgets are done"
    )


class Spec(Section):
    """A sweep file. ``recipe`` is laid over every cell's recipe.

    ``plugins`` are Python files with flows and rules of one's own; their code is run.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="under which results are found"
    )
    description: str = Field("", description="for people")
    plugins: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="Python files with rules, flows and measures of your own"
    )
    matrix: Matrix = Field(description="what is compared")
    profile: str = Field(
        "tiny",
        description="recipe to begin with: `tiny`, `small` or `paper`, of RealNVP also `evening`",
    )
    seeds: Seeds = Field((0,), description="a number n for 0 to n - 1, or a list")
    recipe: dict[str, Any] = Field({}, description="settings laid over every cell's recipe")
    exclude: tuple[Exclusion, ...] = Field((), description="cells to leave out")
    resources: Resources = Field(Resources(), description="what a trial needs, and limits")
    failures: Failures = Field(Failures(), description="automatic retries")
    keep: Keep = Field(Keep(), description="which files stay")
    tune: Tune | None = Field(None, description="what `lcma tune` searches")

    @property
    def gpus(self) -> float:
        """GPUs for each trial, as the spec or else its profile says."""
        if self.resources.gpus is not None:
            return self.resources.gpus
        return max(catalog.gpus(flow, self.profile) for flow in self.matrix.flow)

    @property
    def body(self) -> str:
        """Canonical JSON of the spec, with plug-ins by their content."""
        body = self.model_dump(mode="json", exclude={"plugins", "tune"})
        # Keys that came later are left out at their defaults, so that a sweep keeps its id.
        for name in ("hours", "parallel"):
            if body["resources"][name] is None:
                del body["resources"][name]
        del body["resources"]["max_device_hours"]  # raised, it is the same sweep
        if self.failures == Failures():
            del body["failures"]
        if self.keep == Keep():  # sweeps from before there was one keep their ids
            del body["keep"]
        if self.tune is not None:
            body["tune"] = self.tune.identity()
        if self.plugins:
            body["plugins"] = [plugins.load_file(Path(path)).version for path in self.plugins]
        return canonical_json(body)


def load(name_or_path: str) -> Spec:
    """Read a shipped sweep by its name, or a sweep file by its path.

    The plug-ins that it names are loaded, which runs their code.

    Args:
        name_or_path: A name such as `demo`, or a path ending in .yaml or .yml.

    Raises:
        UserError: If the file is missing, is not YAML, is too large, or names anything unknown.

    Example:
        >>> demo = load("demo")
        >>> demo.matrix.flow, demo.seeds, demo.matrix.budget
        (('glow',), (0, 1), (300,))
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        _require_there(path)
        return check(strict_yaml.read(path), str(path), path.parent)
    beside = [
        f"{path}{ending}" for ending in (".yaml", ".yml") if Path(f"{path}{ending}").is_file()
    ]
    if beside and name_or_path not in catalog.shipped_specs():
        raise UserError(f"no sweep named {name_or_path!r}: did you mean {beside[0]!r}?")
    text = catalog.shipped_spec(name_or_path).read_text()
    return check(strict_yaml.parse(text, name_or_path), name_or_path)


def _require_there(path: Path) -> None:
    """Raise UserError with the nearest file beside it or shipped sweep if there is no such file."""
    if os.path.lexists(path):
        return
    beside = {}
    with suppress(OSError):
        beside = {one.stem: str(one) for one in path.parent.glob("*.y*ml")}
    near = difflib.get_close_matches(path.stem, beside, n=1)
    otherwise = suggest(path.stem, catalog.shipped_specs(), "the shipped sweeps are")
    hint = f"did you mean {beside[near[0]]!r}?" if near else otherwise
    raise UserError(f"there is no file {path}: {hint}")


def check(content: dict[str, Any], where: str, folder: Path = Path()) -> Spec:
    """Return the spec of a parsed sweep file, after checking that all its names are known.

    Installed plug-ins and those that the spec names, relative to ``folder``, are loaded: first, for
    the names that they register.
    """
    listed = {key: value for key, value in content.items() if key == "plugins"}
    named = validate(_Plugins, listed, where).plugins
    for name in named:
        require_text(name, f"{where}: `plugins`")
    paths = [resolve_path(folder / name) for name in named]
    plugins.load_installed()
    for path in paths:
        plugins.load_file(path)
    spec = validate(Spec, content | {"plugins": tuple(map(str, paths))}, where)
    check_names(spec, where)
    return spec


class _Plugins(Section):
    plugins: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()


def check_names(spec: Spec, where: str) -> None:
    """Raise UserError for the first unknown name in a spec."""
    for flow in spec.matrix.flow:
        _known(where, "matrix.flow", "flow", flow, tuple(catalog.flows()))
        if catalog.profiles(flow):
            _known(where, "profile", f"profile of {flow}", spec.profile, catalog.profiles(flow))
    for dataset in spec.matrix.dataset:
        _known(where, "matrix.dataset", "data set", dataset, tuple(known_sets.known()))
    for name in spec.matrix.factorization:
        _factorization(where, "matrix.factorization", name)
    _budgets(where, "matrix.budget", spec.matrix.budget)
    for exclusion in spec.exclude:
        for flow in exclusion.flow or ():
            _known(where, "exclude.flow", "flow", flow, tuple(catalog.flows()))
        for dataset in exclusion.dataset or ():
            _known(where, "exclude.dataset", "data set", dataset, tuple(known_sets.known()))
        for name in exclusion.factorization or ():
            _factorization(where, "exclude.factorization", name)
        _budgets(where, "exclude.budget", exclusion.budget or ())


def with_overrides(
    spec: Spec, *, where: str = "command line", **options: Unpack[Overrides]
) -> Spec:
    """Return a spec with these in place of its own; ``recipe`` goes over every other setting.

    ``where`` is the place that an error names.
    """
    profile, seeds = options.get("profile"), parse_seeds(options.get("seeds"))
    own = {
        "flow": split_names(options.get("flow")),
        "dataset": split_names(options.get("dataset")),
        "factorization": split_names(options.get("factorization")),
        "budget": parse_budgets(options.get("budget")),
    }
    matrix = spec.matrix.model_dump() | {k: v for k, v in own.items() if v is not None}
    recipe, steps = options.get("recipe") or {}, options.get("steps")
    above = recipe if isinstance(recipe, Mapping) else settings.parse(recipe)
    if steps is not None:
        above = settings.merge({"training": {"steps": steps}}, above)
    matrix["recipe"] = tuple(settings.merge(overlay, above) for overlay in spec.matrix.recipe)
    content = spec.model_dump() | {
        "matrix": matrix,
        "profile": profile or spec.profile,
        "seeds": spec.seeds if seeds is None else seeds,
        "recipe": settings.merge(spec.recipe, above),
    }
    return check(content, where)


def _known(where: str, key: str, what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        own = f" ({known_sets.OWN_IMAGES})" if what == "data set" else ""
        raise UserError(f"{where}: `{key}`: unknown {what} {name!r}: {suggest(name, known)}{own}")


def _factorization(where: str, key: str, name: str) -> None:
    if factorizations.is_wildcard(name):
        return
    try:
        factorizations.normalize(name)
    except UserError as error:
        raise UserError(f"{where}: `{key}`: {error}") from None


def _budgets(where: str, key: str, budgets: tuple[int, ...]) -> None:
    for budget in budgets:
        try:
            check_budget(budget)
        except UserError as error:
            raise UserError(f"{where}: `{key}`: {error}") from None
