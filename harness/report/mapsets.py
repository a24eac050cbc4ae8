"""Sets of contribution maps: what there is, under which short id, and how one is chosen.

A set holds the maps of one pretraining on one data set at one budget by one score, a map for each
split.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lcma.db import MapKey, Store
from lcma.harness.report.lookup import map_uses, parse_object
from lcma.harness.report.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import MapOptions

USUAL: str = MapOptions.model_fields["score"].default
"""The score that a short id does not name."""

SHORTEST = 8
"""Characters of an id that are shown at least."""

LISTED = 12
"""Sets that an error lists at most."""

_ID = re.compile(
    r"(?P<pretraining>[^@:/]*)(?:@(?P<budget>[0-9]{1,12}))?(?::(?P<score>[^@:/]+))?(?:/(?P<data>[^@:/]+))?"
)


@dataclass(frozen=True)
class MapSet:
    """The maps of one pretraining, data set, budget and score.

    ``id`` is `PRETRAINING@BUDGET[:SCORE][/DATA]`, the two ids shortened. ``masks`` is the order of
    the checkerboard masks, None for a flow without any. ``recipes`` are the ids of the recipe that
    was pretrained and of those whose trials use the pretraining. ``model`` is equal for all
    pretrainings that differ in seed, form, data or budget alone.
    """

    id: str
    key: MapKey
    masks: str | None
    recipes: tuple[str, ...]
    model: str

    @property
    def of_pretraining(self) -> str:
        """Flow, data set and seed."""
        return f"{self.key.flow} on {self.key.dataset}, seed {self.key.seed}"

    @property
    def options(self) -> str:
        """Score, form of the flow without splits, and masks where they are not the usual ones."""
        masks = [f"masks {self.masks}"] if self.masks not in (None, "odd-first") else []
        return ", ".join([f"{self.key.score} score", f"{self.key.nms} NMS", *masks])


def list_map_sets(store: Store) -> list[MapSet]:
    """Every set, by data set, flow, seed, budget and score."""
    keys = store.map_keys()
    users: dict[str, set[str]] = {key.pretraining_id: {key.recipe_id} for key in keys}
    for use in map_uses(store):
        users.setdefault(use.pretraining_id, set()).add(use.recipe_id)
    bodies = store.recipe_bodies(sorted({key.recipe_id for key in keys}))
    recipes = {i: parse_object(body) for i, body in bodies.items()}
    shown = _shortened({key.pretraining_id for key in keys})
    digests = _shortened({key.data_digest for key in keys})
    several = _on_several_data(keys)
    found = []
    for key in keys:
        name = f"{shown[key.pretraining_id]}@{key.budget}"
        name += "" if key.score == USUAL else f":{key.score}"
        name += f"/{digests[key.data_digest]}" if key.pretraining_id in several else ""
        body = recipes.get(key.recipe_id, {})
        parts = {part: body.get(part) for part in ("model", "optimization")}
        found.append(
            MapSet(
                id=name,
                key=key,
                masks=_masks(body),
                recipes=tuple(sorted(users[key.pretraining_id])),
                model=canonical_json(parts) if all(parts.values()) else key.recipe_id,
            )
        )
    return found


def filter_map_sets(
    sets: Sequence[MapSet], recipe: str | None = None, **filters: str | int | None
) -> list[MapSet]:
    """The sets whose key has these values; ``recipe`` is the start of a recipe's id.

    Raises UserError where there is none, naming the option and what there is.
    """
    require_any(sets)
    wanted = {name: value for name, value in filters.items() if value is not None}
    for name, value in wanted.items():
        there = sorted({getattr(one.key, name) for one in sets})
        if value not in there:
            listed = ", ".join(map(str, there))
            raise UserError(
                f"no maps with --{name} {printable(value)}: there are {printable(listed)}"
            )
    if recipe is not None:
        ids = {i for one in sets for i in one.recipes}
        if not recipe or not any(i.startswith(recipe) for i in ids):
            listed = ", ".join(sorted(_shortened(ids).values()))
            raise UserError(f"no maps of a recipe that starts with {printable(recipe)!r}: {listed}")
    found = [
        one
        for one in sets
        if all(getattr(one.key, name) == value for name, value in wanted.items())
        and (recipe is None or any(i.startswith(recipe) for i in one.recipes))
    ]
    if not found:
        raise UserError("no maps meet all of these options at once: leave one out")
    return found


def find_map_set(sets: Sequence[MapSet], asked: str) -> MapSet:
    """The one set with that id.

    Pretraining and data may be shortened to any start that no other has, and a budget or data
    left out where there is one alone; without a score it is the usual one. Raises UserError for
    none or several, naming those there are.
    """
    require_any(sets)
    for one in sets:
        if one.id == asked:
            return one
    parts = _ID.fullmatch(asked)
    found = [one for one in sets if parts and _meets(one.key, parts.groupdict())] if asked else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{len(found)} sets of maps answer to {printable(asked)!r}: give one of {_listed(found)}"
        )
    usual = [one for one in sets if one.key.score == USUAL]
    raise UserError(f"no set of maps {printable(asked)!r}: there are {_listed(usual or sets)}")


def used_by(
    sets: Iterable[MapSet], store: Store, trials: Collection[tuple[str, str]]
) -> list[MapSet]:
    """The sets that these trials, pairs of id and data digest, read."""
    digests: dict[str, set[str]] = {}
    for trial_id, digest in trials:
        digests.setdefault(trial_id, set()).add(digest)
    wanted = {
        (use.pretraining_id, use.budget, use.score, digest)
        for use in map_uses(store)
        for digest in digests.get(use.trial_id, ())
    }
    return [
        one
        for one in sets
        if (one.key.pretraining_id, one.key.budget, one.key.score, one.key.data_digest) in wanted
    ]


def require_any(sets: Sequence[MapSet]) -> None:
    """UserError for a database without maps."""
    if not sets:
        raise UserError(
            "the database has no contribution maps yet: `lcma launch demo` makes some, "
            "`lcma status` shows what is under way"
        )


def _meets(key: MapKey, parts: Mapping[str, str | None]) -> bool:
    budget = parts["budget"]
    return (
        key.pretraining_id.startswith(parts["pretraining"] or "")
        and (budget is None or key.budget == int(budget))
        and key.score == (parts["score"] or USUAL)
        and key.data_digest.startswith(parts["data"] or "")
    )


def _listed(sets: Sequence[MapSet]) -> str:
    text = ", ".join(printable(one.id) for one in sets[:LISTED])
    more = len(sets) - LISTED
    return text if more <= 0 else f"{text} and {more} more, which `lcma maps` lists"


def _masks(body: Mapping[str, Any]) -> str | None:
    model = body.get("model")
    architecture = model.get("architecture") if isinstance(model, dict) else None
    masks = architecture.get("masks") if isinstance(architecture, dict) else None
    return masks if isinstance(masks, str) else None


def _on_several_data(keys: Sequence[MapKey]) -> set[str]:
    digests: dict[str, set[str]] = {}
    for key in keys:
        digests.setdefault(key.pretraining_id, set()).add(key.data_digest)
    return {pretraining for pretraining, on in digests.items() if len(on) > 1}


def _shortened(ids: Collection[str]) -> dict[str, str]:
    """Starts of ids, as short as keeps all of them apart."""
    length = SHORTEST
    while len({i[:length] for i in ids}) < len(ids):
        length += 1
    return {i: i[:length] for i in ids}
