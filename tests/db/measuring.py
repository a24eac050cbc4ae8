"""Results written as columns of the view `results`."""

import dataclasses
from typing import Any

from lcma import db
from tests.stores import read_job

RESULT_FIELDS = ("trial_id", "data_digest", "step", "protocol", "protocol_body", "precision")


def make_result(**columns: Any) -> db.Result:
    """Return a result from columns of `results`."""
    fields = {name: columns.pop(name) for name in RESULT_FIELDS}
    return db.Result(**fields, measures=make_measures(**columns))


def make_measures(**columns: Any) -> tuple[db.Measurement, ...]:
    """Return the measures of these columns, without those that are None."""
    images, clusters = columns.pop("images", None), columns.pop("clusters", None)
    bound_images = columns.pop("bound_images", None)
    errors = {
        "bits_per_dim": columns.pop("standard_error", None),
        "holdout_bits_per_dim": columns.pop("holdout_standard_error", None),
        "series_bias": columns.pop("series_bias_standard_error", None),
    }
    over = {"bits_per_dim": images, "bound_bits_per_dim": bound_images}
    return tuple(
        db.Measurement(
            name,
            value,
            standard_error=errors.get(name),
            images=over.get(name),
            clusters=clusters if name == "bits_per_dim" else None,
        )
        for name, value in columns.items()
        if value is not None
    )


def change(result: db.Result, **values: float) -> db.Result:
    """Return the result with other or more values of measures."""
    measures = {measure.name: measure for measure in result.measures}
    for name, value in values.items():
        former = measures.get(name, db.Measurement(name, value))
        measures[name] = dataclasses.replace(former, value=value)
    return dataclasses.replace(result, measures=tuple(measures.values()))


def find_done_attempt(store: db.Store, job_id: str) -> str:
    """Return the attempt that left a job's current weights, '' if none did."""
    return read_job(store, job_id).done_attempt_id or ""
