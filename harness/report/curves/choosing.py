"""Which trainings a person means: sweeps, ids, and filters."""

from collections.abc import Iterable, Mapping, Sequence

from lcma.db import Store, Training
from lcma.harness.report import lookup
from lcma.harness.report.ranking import label
from lcma.harness.report.text import plain
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError

PRETRAINING = "pretraining"


def trainings(
    store: Store, names: Sequence[str], sweep: str | None, *, pretrainings: bool
) -> list[Training]:
    """The trainings with curves that are named, of the newest sweep where nothing is.

    A name is that of a sweep, or the first characters of the id of a sweep, trial, pretraining or
    job. Pretrainings of a sweep come where they are asked for. Raises UserError for a name that
    nothing has, and where nothing has a curve yet.
    """
    if names and sweep is not None:
        raise UserError("names and --sweep exclude each other: leave one out")
    found: dict[str, Training] = {}
    asked: list[str | None] = [*names] if names else [sweep]
    for name in asked:
        jobs = _jobs(store, name) if names and name is not None else None
        if jobs is not None:
            some = store.trainings(job_ids=jobs)
            hint = f"`lcma logs {name}` says what was done"
        else:
            chosen = lookup.find_sweep(store, name)
            some = store.trainings(sweep_id=chosen.id)
            some = [one for one in some if pretrainings or one.kind != PRETRAINING]
            newest = "newest " if name is None else ""
            name, hint = f"the {newest}sweep {chosen.name}", "`lcma status` shows how far it is"
        if not some:
            raise UserError(f"no curve yet of {plain(name)}: {hint}")
        found |= {one.job_id: one for one in some}
    return list(found.values())


def only(
    found: Sequence[Training],
    *,
    budget: int | None,
    named: Sequence[str],
    conventional: Mapping[str, str],
    **where: str | None,
) -> list[Training]:
    """Those with these values. With ``named`` factorizations, under any of their names, those and
    the conventional; with a budget, also what needs none.

    Raises UserError where nothing is left, naming the option and what there is.
    """
    for option, value in where.items():
        if value is not None:
            there = sorted({str(getattr(one, option)) for one in found})
            found = [one for one in found if getattr(one, option) == value]
            _require(found, option, value, there)
    if budget is not None:
        trials = [one for one in found if one.kind == "trial"]
        known = sorted({one.budget for one in trials if one.budget is not None})
        trials = [one for one in trials if one.budget == budget]
        _require(trials, "budget", str(budget), [str(one) for one in known])
        found = [one for one in found if one.budget in (None, budget) or one.kind != "trial"]
    if named:
        there = sorted({label_of(one) for one in found})
        present = {one.factorization for one in found} | {PRETRAINING}
        asked = {n if n in present else factorizations.normalize(n) for n in named}
        wanted = [one for one in found if asked & _names(one, conventional)]
        _require(wanted, "factorization", ", ".join(sorted(asked)), there)
        shared = {(one.recipe_id, one.data_digest) for one in wanted}
        found = [
            one
            for one in found
            if (one.recipe_id, one.data_digest) in shared
            and (asked & _names(one, conventional) or is_conventional(one, conventional))
        ]
    return list(found)


def conventional_by_recipe(store: Store, found: Iterable[Training]) -> dict[str, str]:
    """What was, or is by default, run as the conventional factorization of each recipe."""
    asked, shipped = store.conventional_factorizations(), catalog.flows()
    names = {one.recipe_id: asked.get(one.recipe_id) or shipped.get(one.flow) for one in found}
    return {recipe: name for recipe, name in names.items() if name is not None}


def is_conventional(one: Training, conventional: Mapping[str, str]) -> bool:
    """Whether a training is one of the conventional factorization."""
    return one.factorization is not None and one.factorization == conventional.get(one.recipe_id)


def label_of(one: Training) -> str:
    """A factorization's name for people, or that of a pretraining."""
    if one.factorization is not None:
        return label(one.factorization)
    return PRETRAINING if one.nms == "squeezed" else f"{PRETRAINING} ({one.nms})"


def _jobs(store: Store, name: str) -> list[str] | None:
    """The jobs of the trial, pretraining or job whose id starts so; None for a sweep."""
    sweeps = store.sweeps()
    if any(name in (one.name, one.id) for one in sweeps):
        return None
    if name and name.isprintable() and store.find_jobs(name):
        return [job.job_id for job in lookup.jobs_of(store, name)]
    if name and any(one.id.startswith(name) for one in sweeps):
        return None
    known = ", ".join(sorted({one.name for one in sweeps})) or "no sweep"
    raise UserError(
        f"nothing is called {plain(name)!r}: the database has {plain(known)}, and `lcma status` "
        "shows the ids of trials and pretrainings"
    )


def _names(one: Training, conventional: Mapping[str, str]) -> set[str]:
    """Under which a person may ask for it."""
    found = {label_of(one).split(" ")[0]}
    if one.factorization is not None:
        found.add(one.factorization)
    if one.factorization == "checkerboard-even":
        found.add("checkerboard")
    if is_conventional(one, conventional):
        found.add("conventional")
    return found


def _require(found: Sequence[Training], option: str, value: str, there: Sequence[str]) -> None:
    if not found:
        known = ", ".join(there) or "none"
        raise UserError(f"no curves with --{option} {plain(value)}: there are {plain(known)}")
