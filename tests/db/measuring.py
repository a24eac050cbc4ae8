"""Results of the measures that every trial has, written as one would read them in a row."""

import dataclasses
from typing import Any

from lcma import db
from tests.stores import read_job

OF_RESULT = ("trial_id", "data_digest", "step", "protocol", "protocol_body", "precision")


def make_result(**columns: Any) -> db.Result:
    """A result from columns of `results`."""
    own = {name: columns.pop(name) for name in OF_RESULT}
    return db.Result(**own, measures=make_measures(**columns))


def make_measures(**columns: Any) -> tuple[db.Measurement, ...]:
    """The measures of these columns; those that are None are left out."""
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
    """The result with other values of measures."""
    measures = tuple(
        dataclasses.replace(one, value=values[one.name]) if one.name in values else one
        for one in result.measures
    )
    known = {one.name for one in result.measures}
    more = tuple(db.Measurement(name, value) for name, value in values.items() if name not in known)
    return dataclasses.replace(result, measures=measures + more)


def left_by(store: db.Store, job_id: str) -> int:
    """The attempt that left the weights that a job has now; 0 if none did."""
    job = read_job(store, job_id)
    return (job and job.done_attempt_id) or 0
