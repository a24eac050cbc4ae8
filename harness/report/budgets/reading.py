"""Budget curves of what a database holds, whoever put it there."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from lcma.db import ContributionMap, MapKey, Store
from lcma.harness.report import lookup, mapping, ranking
from lcma.harness.report.budgets import rows as making
from lcma.harness.report.budgets.curve import fit
from lcma.harness.report.budgets.design import Measured
from lcma.harness.report.budgets.records import BudgetCurve, CostOf, CurveKey, SeedResult, Stability
from lcma.harness.report.budgets.stability import stability
from lcma.harness.report.choices import require_results
from lcma.harness.report.text import plain
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError

Record = Mapping[str, Any]
Job = tuple[str, str]
"""A trial and the digest of its data."""

_KEY = tuple(field.name for field in fields(CurveKey) if field.name != "label")


def read(
    store: Store,
    *,
    sweep_id: str | None = None,
    factorization: str | None = None,
    share: float = 0.99,
    cost: CostOf = "seconds",
    **where: str,
) -> list[BudgetCurve]:
    """The curves of all results with a pretraining, of one sweep or of all.

    The conventional results beside them are those of the whole database. ``where`` names columns
    of `trial_results`: flow, dataset, profile. Raises UserError where nothing meets what is asked
    for, naming what there is.
    """
    records = _records(store.results(sweep_id=sweep_id, **where))
    _require_known(store, sweep_id, records, where)
    groups: dict[CurveKey, list[Record]] = defaultdict(list)
    for record in records:
        if record["budget"] is not None:
            groups[_key(record)].append(record)
    chosen = _choose(groups, factorization)
    if not chosen:
        raise UserError(
            "no result here used a pretraining: launch low at several budgets, such as "
            "`lcma launch words --budget 0,100,1000`"
        )
    base = _Base(store, chosen, groups)
    return [base.curve(key, groups[key], share, cost) for key in chosen]


class _Base:
    """What several curves read of one store, read once."""

    def __init__(
        self, store: Store, keys: Sequence[CurveKey], groups: Mapping[CurveKey, Sequence[Record]]
    ) -> None:
        self._store = store
        recipes = sorted({key.recipe_id for key in keys})
        asked, shipped = store.conventional_factorizations(), catalog.flows()
        self._own = {
            key.recipe_id: asked.get(key.recipe_id) or shipped.get(key.flow) for key in keys
        }
        self._batch = {i: _batch(body) for i, body in store.recipe_bodies(recipes).items()}
        names = sorted({name for name in self._own.values() if name is not None})
        found = store.results(recipe_id=recipes, factorization=[*names, "none"])
        self._others = _records(found)
        pretrainings = sorted(
            {r["pretraining_id"] for key in keys for r in groups[key] if r["pretraining_id"]}
        )
        self._mine = set(pretrainings)
        uses = _records(store.view("costs", pretraining_id=pretrainings))
        alone = _records(store.view("costs", recipe_id=recipes, factorization=[*names, "none"]))
        self._costs: dict[Job, Record] = {
            (c["trial_id"], c["data_digest"]): c for c in (*alone, *uses)
        }
        self._uses = [c for c in uses if c["state"] == "done"]
        self._segments = _records(store.view("snapshots", pretraining_id=pretrainings))
        self._keys = [k for k in store.map_keys() if k.pretraining_id in self._mine]

    def curve(
        self, key: CurveKey, records: Sequence[Record], share: float, cost: CostOf
    ) -> BudgetCurve:
        by_budget: dict[int, list[SeedResult]] = defaultdict(list)
        lost = 0
        for record in records:
            if math.isfinite(record["holdout_bits_per_dim"]):
                by_budget[record["budget"]].append(self._result(record))
            else:
                lost += 1
        name = self._own[key.recipe_id]
        conventional = [
            self._result(r)
            for r in self._others
            if r["factorization"] == name
            and r["budget"] is None
            and (r["recipe_id"], r["comparable"]) == (key.recipe_id, key.comparable)
            and math.isfinite(r["holdout_bits_per_dim"])
        ]
        own = {r["pretraining_id"] for r in records}
        rows, beside, over = making.make(
            by_budget, conventional, self._saved(own, key.data_digest), cost
        )
        measured = [
            Measured(one.seed, row.budget, one.holdout)
            for row in rows
            for one in row.results
            if row.budget is not None
        ]
        stable = self._stability(key, own)
        used = [*records, *(r for r in self._others if r["factorization"] == name)]
        devices = sorted({r["device"] for r in used if r["recipe_id"] == key.recipe_id})
        return BudgetCurve(
            key=key,
            rows=rows,
            conventional=beside,
            fit=fit(measured, share),
            cost=over,
            stability=tuple(stable),
            notes=tuple(making.notes(rows, over, cost, stable, devices, lost)),
        )

    def _result(self, record: Record) -> SeedResult:
        cost = self._costs.get((record["trial_id"], record["data_digest"]), {})
        batch = self._batch.get(record["recipe_id"])
        trained = _device(cost, "")
        before = _device(cost, "pretraining_")
        budget = record["budget"] or 0
        return SeedResult(
            seed=record["seed"],
            holdout=record["holdout_bits_per_dim"],
            test=record["bits_per_dim"],
            training_seconds=trained,
            pretraining_seconds=0.0 if record["budget"] is None else before,
            training_images=None if batch is None else batch * record["steps"],
            pretraining_images=None if batch is None else batch * budget,
        )

    def _saved(self, own: set[Any], digest: str) -> dict[int, float | None]:
        """By budget: what all trials with these maps would have pretrained, less what was."""
        alone: dict[int, list[float | None]] = defaultdict(list)
        for use in self._uses:
            if use["pretraining_id"] in own and use["data_digest"] == digest:
                alone[use["budget"]].append(_device(use, "pretraining_"))
        spent: dict[int, list[float | None]] = defaultdict(list)
        for segment in self._segments:
            if segment["pretraining_id"] in own and segment["data_digest"] == digest:
                spent[segment["budget"]].append(_device(segment, ""))
        return {
            budget: making.difference(values, spent[budget]) for budget, values in alone.items()
        }

    def _stability(self, key: CurveKey, own: set[Any]) -> list[Stability]:
        score = str(lookup.content(key.map_options or "{}").get("score", "cumulative"))
        by_seed: dict[int, dict[int, list[ContributionMap]]] = defaultdict(dict)
        wanted = [
            k
            for k in self._keys
            if k.pretraining_id in own and (k.score, k.data_digest) == (score, key.data_digest)
        ]
        for one in wanted:
            by_seed[one.seed][one.budget] = self._maps(one)
        return stability(by_seed, key.factorization)

    def _maps(self, key: MapKey) -> list[ContributionMap]:
        chosen = {n: getattr(key, n) for n in ("pretraining_id", "data_digest", "budget", "score")}
        found: list[ContributionMap] = [*self._store.maps(**chosen)]
        mapping.require_fit(found, f"{key.pretraining_id}@{key.budget}")
        return found


def _require_known(
    store: Store, sweep_id: str | None, records: Sequence[Record], where: Mapping[str, str]
) -> None:
    if records:
        return
    if not store.has_results(sweep_id=sweep_id):
        of = "the sweep" if sweep_id is not None else "the database"
        raise UserError(
            f"{of} has no results yet: `lcma status` shows what is under way, "
            "`lcma launch demo` makes some"
        )
    require_results(store, sweep_id, where)


def _choose(groups: Mapping[CurveKey, object], asked: str | None) -> list[CurveKey]:
    keys = sorted(groups, key=lambda key: [str(value) for value in asdict(key).values()])
    if asked is None:
        return keys
    present = {key.factorization for key in keys}
    name = asked if asked in present else factorizations.normalize(asked)
    if name in ("conventional", "checkerboard", *factorizations.FIXED):
        raise UserError(
            f"{name} uses no pretraining, so there is no budget curve of it: give a word such as "
            "low; conventional is the base line of every curve"
        )
    found = [key for key in keys if name in (key.factorization, key.label.split(" ")[0])]
    if keys and not found:
        known = ", ".join(sorted({key.label for key in keys}))
        raise UserError(f"no results of {plain(name)} here: there are {plain(known)}")
    return found


def _key(record: Record) -> CurveKey:
    shared = {name: record[name] for name in _KEY}
    return CurveKey(label=ranking.label(record["factorization"]), **shared)


def _device(cost: Record, of: str) -> float | None:
    """GPU seconds, on a CPU wall-clock seconds."""
    gpu, wall = cost.get(f"{of}gpu_seconds"), cost.get(f"{of}seconds")
    return wall if gpu is None else gpu


def _batch(body: str) -> int | None:
    optimization = lookup.content(body).get("optimization")
    batch = optimization.get("batch") if isinstance(optimization, dict) else None
    return batch if isinstance(batch, int) and batch > 0 else None


def _records(frame: Any) -> list[Record]:
    """Rows with None for what is missing."""
    missing = frame.isna()
    values = frame.astype(object).where(~missing, None)
    return [dict(row) for row in values.to_dict("records")]
