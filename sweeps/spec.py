"""Sweep files: matrix, seeds, budgets, exclusions and resources."""

import difflib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

from pydantic import BeforeValidator, Field, model_validator

from lcma.sweeps import catalog, factorizations, known_sets, plugins, settings, strict_yaml
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.input_files import require_text, resolve_path
from lcma.sweeps.options import Overrides, parse_budgets, parse_seeds, split_names, to_plain
from lcma.sweeps.sections import Section, Seed, Seeds, validate
from lcma.sweeps.tuning import Tune, check_budget


def _make_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_make_list), Field(min_length=1)]
Steps = Annotated[tuple[Annotated[int, Field(strict=True)], ...], BeforeValidator(_make_list)]
MAX_TIMES = 1000


def _check_times(value: Any) -> Any:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not 0 <= value <= MAX_TIMES:
        raise ValueError(f"give a number of times from 0 to {MAX_TIMES}, not {value!r}")
    return value


def _check_times_or_always(value: Any) -> Any:
    try:
        return value if value == "always" else _check_times(value)
    except ValueError as error:
        raise ValueError(f"{error}, or `always`") from None


Times = Annotated[int, BeforeValidator(_check_times)]
TimesOrAlways = Annotated[int | Literal["always"], BeforeValidator(_check_times_or_always)]


class Matrix(Section):
    """The matrix of a sweep. Every combination is a cell; budgets only multiply rules with maps."""

    flow: Names = Field(description="one or several flows")
    dataset: Names = Field(
        description="prepared sets, such as `cifar10`, `celeba64-float`, `photos8`"
    )
    factorization: Names = Field(
        description="rules; `words` stands for every word, `patterns` for every pattern"
    )
    budget: Steps = Field((), description="steps of the pretraining of maps, on the grid")
    recipe: tuple[dict[str, Any], ...] = Field(
        (),
        max_length=1000,
        description="settings that override the recipe, one entry for each variation (at most "
        "1000)",
    )


class Exclusion(Section):
    """An exclusion, which leaves out every cell that matches all of its keys."""

    flow: Names | None = Field(None, description="one or several")
    dataset: Names | None = Field(None, description="one or several")
    factorization: Names | None = Field(None, description="one or several")
    budget: Steps | None = Field(
        None, description="one or several; rules without a budget match none"
    )
    seed: Annotated[tuple[Seed, ...], BeforeValidator(_make_list)] | None = Field(
        None, description="one or several"
    )

    @model_validator(mode="after")
    def _names_cells(self) -> "Exclusion":
        keys = type(self).model_fields
        if all(getattr(self, key) is None for key in keys):
            raise ValueError(f"without a key it leaves out every cell: give {' or '.join(keys)}")
        return self


class Resources(Section):
    """Resources that a trial needs. They are not part of its id."""

    gpus: float | None = Field(
        None, ge=0, le=1, description="GPUs, fractions allowed; default: those of the profile"
    )
    cpus: float | None = Field(None, gt=0, description="CPU cores; default: the recipe's threads")
    memory_gb: float | None = Field(None, gt=0, description="memory that Ray reserves, in GB")
    hours: float | None = Field(
        None, gt=0, description="wall-clock limit of an attempt; of its share in a stack"
    )
    parallel: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        None,
        description="most trials and segments at once, over all launches of the sweep; a stack "
        "counts as one",
    )
    max_device_hours: float | None = Field(
        None, gt=0, description="most device hours, over all launches of the sweep"
    )


class Failures(Section):
    """Number of automatic retries after each kind of failure. It is not part of an id.

    A trial whose machine was lost or taken away is always run again.
    """

    oom: Times = Field(1, description="out of memory")
    timeout: TimesOrAlways = Field(1, description="`resources.hours` exceeded")
    code_error: Times = Field(0, description="an exception")
    diverged: Times = Field(0, description="a value that is not finite")


class Keep(Section):
    """Files that are kept. It is not part of a trial's id."""

    checkpoints: Literal["none", "last"] = Field("none", description="of a finished trial")
    weights: bool = Field(True, description="of a trial, for samples and evaluations")
    snapshots: Literal["none", "longest", "all"] = Field(
        "longest", description="of a pretraining when all of its budgets are done"
    )


class Spec(Section):
    """A sweep file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="name of the sweep")
    description: str = Field("", description="a sentence for readers")
    plugins: Annotated[tuple[str, ...], BeforeValidator(_make_list)] = Field(
        (), description="Python files with rules, flows and measures of your own; their code runs"
    )
    matrix: Matrix = Field(description="what is compared")
    profile: str = Field(
        "tiny",
        description="profile of recipes: `tiny`, `small` or `paper`; RealNVP also has `evening`",
    )
    seeds: Seeds = Field((0,), description="a number n for 0 to n - 1, or a list")
    recipe: dict[str, Any] = Field({}, description="settings that override the recipe of each cell")
    exclude: tuple[Exclusion, ...] = Field((), description="cells to leave out")
    resources: Resources = Field(Resources(), description="what a trial needs, and limits")
    failures: Failures = Field(Failures(), description="automatic retries")
    keep: Keep = Field(Keep(), description="files that are kept")
    tune: Tune | None = Field(None, description="what `lcma tune` searches")

    @property
    def gpus(self) -> float:
        """GPUs for each trial: those of the spec, or else of its profile."""
        if self.resources.gpus is not None:
            return self.resources.gpus
        return max(catalog.gpus(flow, self.profile) for flow in self.matrix.flow)

    @property
    def body(self) -> str:
        """Canonical JSON of the spec, with the versions of its plug-ins."""
        body = self.model_dump(mode="json", exclude={"plugins", "tune"})
        # Keys that were added later are left out at their defaults, so that a sweep keeps its id.
        for name in ("hours", "parallel"):
            if body["resources"][name] is None:
                del body["resources"][name]
        del body["resources"]["max_device_hours"]  # with a higher limit it is the same sweep
        if self.failures == Failures():
            del body["failures"]
        if self.keep == Keep():
            del body["keep"]
        if self.tune is not None:
            body["tune"] = self.tune.identity()
        if self.plugins:
            # As the sweep was planned: the files may have changed since.
            known = {plugin.path: plugin.version for plugin in plugins.loaded()}
            body["plugins"] = [
                known.get(path) or plugins.load_file(Path(path)).version for path in self.plugins
            ]
        return canonical_json(body)


def load(name_or_path: str) -> Spec:
    """Read a shipped sweep by its name, or a sweep file by its path.

    Its plug-ins are loaded, which runs their code.

    Args:
        name_or_path: A name such as `demo`, or a path that ends in .yaml or .yml.

    Raises:
        UserError: If the file is missing, too large or not YAML, or holds an unknown name or value.

    Example:
        >>> demo = load("demo")
        >>> demo.matrix.flow, demo.seeds, demo.matrix.budget
        (('glow',), (0, 1), (300,))
    """
    path = Path(name_or_path)
    shipped = catalog.shipped_specs()
    if path.suffix in (".yaml", ".yml") or (path.is_file() and name_or_path not in shipped):
        _require_file(path)
        return check(strict_yaml.read(path), str(path), path.parent)
    for file in (f"{path}.yaml", f"{path}.yml"):
        if Path(file).is_file() and name_or_path not in shipped:
            raise UserError(f"no sweep named {name_or_path!r}: did you mean {file!r}?")
    text = catalog.shipped_spec(name_or_path).read_text()
    return check(strict_yaml.parse(text, name_or_path), name_or_path)


def _require_file(path: Path) -> None:
    """Raise UserError with the nearest sweep if the file does not exist."""
    if os.path.lexists(path):
        return
    files = {}
    with suppress(OSError):
        files = {file.stem: str(file) for file in path.parent.glob("*.y*ml")}
    near = difflib.get_close_matches(path.stem, files, n=1)
    shipped = suggest(path.stem, catalog.shipped_specs(), "the shipped sweeps are")
    hint = f"did you mean {files[near[0]]!r}?" if near else shipped
    raise UserError(f"there is no file {path}: {hint}")


def check(content: dict[str, Any], where: str, folder: Path = Path()) -> Spec:
    """Return the spec of a parsed sweep file.

    Installed plug-ins and those of the spec are loaded, which runs their code.

    Args:
        content: Keys and values of the file.
        where: The place that an error names.
        folder: The folder that paths of plug-ins are relative to.

    Raises:
        UserError: If a key, a value or a name is wrong.
    """
    content = to_plain(content)
    section = {key: value for key, value in content.items() if key == "plugins"}
    names = validate(_Plugins, section, where).plugins
    for name in names:
        require_text(name, f"{where}: `plugins`")
    paths = [resolve_path(folder / name) for name in names]
    # Before the rest is checked, which may have names that plug-ins register.
    plugins.load_installed()
    for path in paths:
        plugins.load_file(path)
    spec = validate(Spec, content | {"plugins": tuple(map(str, paths))}, where)
    _check_names(spec, where)
    return spec


class _Plugins(Section):
    plugins: Annotated[tuple[str, ...], BeforeValidator(_make_list)] = ()


def _check_names(spec: Spec, where: str) -> None:
    """Raise UserError for the first unknown name, or budget off the grid, in a spec."""
    sections: list[tuple[str, Matrix | Exclusion]] = [("matrix", spec.matrix)]
    sections += [("exclude", exclusion) for exclusion in spec.exclude]
    for key, section in sections:
        for flow in section.flow or ():
            _check_name(f"{where}: `{key}.flow`", "flow", flow, tuple(catalog.flows()))
        for dataset in section.dataset or ():
            known = tuple(known_sets.known())
            _check_name(f"{where}: `{key}.dataset`", "data set", dataset, known)
        with _name_place(f"{where}: `{key}.factorization`"):
            for name in section.factorization or ():
                if not factorizations.is_wildcard(name):
                    factorizations.normalize(name)
        with _name_place(f"{where}: `{key}.budget`"):
            for budget in section.budget or ():
                check_budget(budget)
    for flow in spec.matrix.flow:
        if profiles := catalog.profiles(flow):
            _check_name(f"{where}: `profile`", f"profile of {flow}", spec.profile, profiles)


def _check_name(place: str, kind: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        hint = f" ({known_sets.OWN_IMAGES})" if kind == "data set" else ""
        raise UserError(f"{place}: unknown {kind} {name!r}: {suggest(name, known)}{hint}")


@contextmanager
def _name_place(place: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


def with_overrides(
    spec: Spec, *, where: str = "command line", **options: Unpack[Overrides]
) -> Spec:
    """Return a spec in which options replace its own settings.

    Args:
        spec: The spec.
        where: The place that an error names.
        options: Settings of the spec. `recipe` overrides every other setting of the recipe.

    Raises:
        UserError: If a value or a name is wrong.
    """
    profile, seeds = options.get("profile"), parse_seeds(options.get("seeds"))
    names = {
        "flow": split_names("flow", options.get("flow")),
        "dataset": split_names("dataset", options.get("dataset")),
        "factorization": split_names("factorization", options.get("factorization")),
        "budget": parse_budgets(options.get("budget")),
    }
    matrix = spec.matrix.model_dump() | {k: v for k, v in names.items() if v is not None}
    recipe, steps = options.get("recipe") or {}, options.get("steps")
    if not isinstance(recipe, Mapping | list | tuple | str):
        raise UserError(f"recipe={recipe!r}: give a mapping, or KEY=VALUE")
    listed = [recipe] if isinstance(recipe, str) else recipe
    above = listed if isinstance(listed, Mapping) else settings.parse(listed)
    if steps is not None:
        above = settings.merge({"training": {"steps": steps}}, above)
    matrix["recipe"] = tuple(settings.merge(overlay, above) for overlay in spec.matrix.recipe)
    content = spec.model_dump() | {
        "matrix": matrix,
        "profile": spec.profile if profile is None else profile,
        "seeds": spec.seeds if seeds is None else seeds,
        "recipe": settings.merge(spec.recipe, above),
    }
    return check(content, where)
