"""How an attempt ends, with all it made: what is committed in one transaction."""

import traceback
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from lcma import db
from lcma.db import Claim, Store
from lcma.sweeps.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What `Store.finish` takes. The metrics are those that the database does not have yet."""

    outcome: db.Outcome
    message: str
    log: str
    first_step: int | None
    last_step: int
    cost: db.Cost
    result: db.Result | None = None
    maps: tuple[db.ContributionMap, ...] = ()
    tables: tuple[db.IndexTable, ...] = ()
    artifacts: tuple[db.Artifact, ...] = ()
    longest_only: bool = False
    metrics: tuple[db.Metric, ...] = ()
    policy: db.Policy | None = None

    def commit(self, store: Store, claim: Claim) -> "Ending | None":
        """Store it; what was stored, None if the claim is no longer good.

        What the database refuses, such as another result under the same key, is stored as the
        `code_error` that it is. Raises UserError as `Store.finish` does.
        """
        try:
            stored = self._finish(store, claim)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is belongs in the attempt's row
            refused = replace(
                self,
                outcome="code_error",
                message="\n".join(filter(None, (self.message, traceback.format_exc(limit=-6)))),
                result=None,
                maps=(),
                tables=(),
                artifacts=(),
            )
            return refused if refused._finish(store, claim) else None
        return self if stored else None

    def noting(self, note: str) -> Self:
        """The same with a note before its message."""
        return replace(self, message="\n".join(filter(None, (note, self.message))))

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """One that was packed. Raises TypeError or KeyError for what is none."""
        policy = content.get("policy")
        parts = {
            "policy": None if policy is None else db.Policy(**policy),
            "cost": db.Cost(**content["cost"]),
            "result": None if content["result"] is None else db.Result(**content["result"]),
            "maps": tuple(_map(one) for one in content["maps"]),
            "tables": tuple(_table(one) for one in content["tables"]),
            "artifacts": tuple(db.Artifact(**one) for one in content["artifacts"]),
            "metrics": tuple(db.Metric(**one) for one in content["metrics"]),
        }
        return cls(**(content | parts))

    def _finish(self, store: Store, claim: Claim) -> bool:
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return store.finish(claim, **given)


def _map(content: dict[str, Any]) -> db.ContributionMap:
    found = content["statistics"]
    statistics = None if found is None else db.MapStatistics(**found)
    return db.ContributionMap(**(content | {"statistics": statistics}))


def _table(content: dict[str, Any]) -> db.IndexTable:
    return db.IndexTable(**(content | {"statistics": db.TableStatistics(**content["statistics"])}))
