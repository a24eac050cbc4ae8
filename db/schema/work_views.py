"""The views of work, cost and instruments: columns and meanings. Their SQL stands in the
migrations."""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Integer, Table, Text

from lcma.db.schema.base import optional, required
from lcma.db.schema.views import budget, map_options, ordered, said, views


def _job(*own: Column[Any]) -> list[Column[Any]]:
    # The columns of a view of jobs.
    return [
        required("kind", Text, "'pretraining' or 'trial'"),
        *said("flow", "dataset", "variant", "profile"),
        optional("factorization", Text, "canonical name, null for a pretraining"),
        optional(
            "budget",
            Integer,
            "pretraining steps behind a trial's maps, null where none is used; or at the end of a "
            "pretraining's segment",
        ),
        map_options(),
        required("seed", Integer, "seed of the trial or pretraining"),
        *own,
        *said("data_digest", "recipe_id"),
        optional("trial_id", Text, "the trial, null for a pretraining"),
        optional("pretraining_id", Text, "the pretraining, null for a trial"),
        optional("attempt_id", Integer, "the last attempt"),
        required("job_id", Text, "the job"),
    ]


def _counts() -> list[Column[Any]]:
    told = {
        "planned": "trials of the cell",
        "done": "those with a result",
        "running": "those that somebody has claimed",
        "pending": "those that may start, now or when their pretraining is done",
        "blocked": "those whose pretraining diverged or failed on the way to their budget",
        "diverged": "those that diverged",
        "failed": "those that failed",
    }
    return [required(name, Integer, meaning) for name, meaning in told.items()]


coverage = Table(
    "coverage",
    views,
    required("sweep", Text, "name of the sweep"),
    *said("flow", "dataset", "variant", "profile"),
    required("asked", Text, "the factorization's name as the sweep asked for it"),
    *said("factorization"),
    budget(),
    map_options(),
    *_counts(),
    optional(
        "why",
        Text,
        "why the first of the missing is missing, the gravest first: how it ended with the last "
        "line of the message, how its pretraining did, where it runs, that it waits for its "
        "pretraining, after which outcome it is to be run again, or that it was not started; null "
        "when nothing is missing",
    ),
    optional("data_digest", Text, "content hash of the exact data set, null without a job"),
    *said("recipe_id"),
    required("sweep_id", Text, "the sweep"),
    comment="What each cell of a sweep has and lacks. The counts from done to failed add up to "
    "planned.",
)

failures = Table(
    "failures",
    views,
    *_job(
        required("state", Text, "'diverged' or 'failed'"),
        required("step", Integer, "training step last reported"),
        required("steps", Integer, "training step at which the job would be done"),
        optional("outcome", Text, "how the last attempt ended"),
        optional("message", Text, "what went wrong, in a line or more"),
        optional("owner", Text, "launch that ran it"),
        optional("host", Text, "machine it ran on"),
        optional("device", Text, "device it ran on, such as 'cpu' or 'cuda:0'"),
        optional("devices", Text, "devices granted to it, null on a CPU"),
        optional("started", Double, "when it started, Unix seconds UTC"),
        optional("ended", Double, "when it ended, Unix seconds UTC"),
        required("updated", Double, "when the job last changed, Unix seconds UTC"),
        optional(
            "decision",
            Text,
            "why it is not run again by itself, such as 'given up: policy oom: 1 used'; null where "
            "nobody said",
        ),
    ),
    comment="Jobs that diverged or failed, with their last attempt.",
)

stale_leases = Table(
    "stale_leases",
    views,
    *_job(
        required("step", Integer, "training step last reported"),
        required("steps", Integer, "training step at which the job is done"),
        required("owner", Text, "launch that holds the job"),
        required("host", Text, "machine it runs on"),
        required("pid", Integer, "process it runs in"),
        required("token", Integer, "number of attempts so far"),
        optional("started", Double, "when the attempt started, Unix seconds UTC"),
        required("lease_until", Double, "when the lease ended, Unix seconds UTC"),
        required("overdue", Double, "seconds since then by the database's clock"),
    ),
    comment="Running jobs whose lease is over: whoever claims one next has it.",
)

costs = Table(
    "costs",
    views,
    *said("flow", "dataset", "variant", "profile", "factorization"),
    budget(),
    map_options(),
    required("seed", Integer, "seed of the trial"),
    required("state", Text, "'pending', 'running', 'done', 'diverged' or 'failed'"),
    required("attempts", Integer, "attempts at the trial, without evaluations"),
    required("unreported", Integer, "those that ended without a report, and count as no time"),
    optional("seconds", Double, "wall-clock seconds of the attempts, lost ones too"),
    optional("cpu_seconds", Double, "CPU seconds of the attempts"),
    optional("gpu_seconds", Double, "GPU seconds of the attempts, null on a CPU"),
    optional("evaluation_seconds", Double, "wall-clock seconds of evaluations of kept weights"),
    optional("images_per_second", Double, "training images per second of the last attempt"),
    optional("peak_memory", BigInteger, "largest peak memory of the attempts in bytes"),
    optional("data_wait", Double, "largest share of steps' time that went on images, 0 to 1"),
    optional(
        "pretraining_seconds",
        Double,
        "wall-clock seconds of the whole pretraining up to the budget, as if no other trial used "
        "it; null without one",
    ),
    optional("pretraining_cpu_seconds", Double, "CPU seconds of the same"),
    optional("pretraining_gpu_seconds", Double, "GPU seconds of the same, null on a CPU"),
    *said("data_digest", "recipe_id"),
    optional("pretraining_id", Text, "pretraining whose maps are used, null where no map is"),
    required("trial_id", Text, "the trial"),
    required("job_id", Text, "its job on this data set"),
    optional("total_seconds", Double, "seconds + pretraining_seconds"),
    optional("total_cpu_seconds", Double, "cpu_seconds + pretraining_cpu_seconds"),
    optional("total_gpu_seconds", Double, "gpu_seconds + pretraining_gpu_seconds"),
    comment="What each trial cost on each exact data set, by itself. Sums over trials count a "
    "shared pretraining once for each; sum attempts for what was spent.",
    info=ordered(
        "dataset", "variant", "flow", "profile", "factorization", "budget", "seed", "job_id"
    ),
)

snapshots = Table(
    "snapshots",
    views,
    *said("flow", "dataset", "variant"),
    required("seed", Integer, "seed of the pretraining"),
    *said("nms"),
    required("budget", Integer, "training step at which the segment ends"),
    required("state", Text, "'pending', 'running', 'done', 'diverged' or 'failed'"),
    required("step", Integer, "training step last reported"),
    required("attempts", Integer, "attempts at the segment"),
    optional("seconds", Double, "wall-clock seconds of the segment, lost attempts too"),
    optional("cpu_seconds", Double, "CPU seconds of the segment"),
    optional("gpu_seconds", Double, "GPU seconds of the segment, null on a CPU"),
    optional("total_seconds", Double, "wall-clock seconds of all segments up to this budget"),
    required("maps", Integer, "contribution maps taken at this budget"),
    optional("place", Text, "where its checkpoint is, as HOST:FOLDER or URL; null if none is kept"),
    optional("path", Text, "the checkpoint's path in that folder"),
    optional("bytes", BigInteger, "the checkpoint's length in bytes"),
    optional("digest", Text, "sha256 of the checkpoint"),
    *said("data_digest", "recipe_id"),
    required("pretraining_id", Text, "the pretraining"),
    required("job_id", Text, "the segment's job"),
    comment="Pretrainings, segment by segment: how far, how long, and what is there.",
    info=ordered("dataset", "variant", "flow", "seed", "nms", "pretraining_id", "budget", "job_id"),
)

map_statistics = Table(
    "map_statistics",
    views,
    *said("flow", "dataset", "variant", "data_digest"),
    required("seed", Integer, "seed of the pretraining"),
    *said("nms"),
    required("budget", Integer, "training step at which the map was taken"),
    required("score", Text, "'cumulative', 'normalized' or 'total'"),
    required("split", Integer, "split before which the map is taken, from 1"),
    optional("mask_share", Double, "share of variance in windows that the lattice explains"),
    optional("mask_share_by_chance", Double, "what that is on average for a map with none"),
    optional("standard_error", Double, "root mean square of the entries' standard errors, nats"),
    optional("rank_gap", Double, "median gap between ranks two and three of a window, nats"),
    optional("error_to_gap", Double, "standard_error / rank_gap"),
    optional("unresolved", Double, "share of windows with a gap within two standard errors"),
    optional("tied", Double, "share of windows in which ranks two and three are equal"),
    required("mean_log_det", Double, "scalar that the map sums to, nats per image"),
    required("sum_error", Double, "|sum of the map - mean_log_det| / sum of |map|"),
    required("images", Integer, "number of images averaged over"),
    optional("clusters", Integer, "clusters behind the standard errors, null for none"),
    required("recipe_id", Text, "recipe of the pretraining"),
    required("pretraining_id", Text, "the pretraining"),
    required("digest", Text, "sha256 of the map's values"),
    comment="Contribution maps in numbers, without the arrays. See contribution_maps.",
)

table_statistics = Table(
    "table_statistics",
    views,
    *said("flow", "profile", "dataset", "variant", "data_digest", "factorization"),
    budget(),
    map_options(),
    required("seed", Integer, "seed of the trial"),
    required("split", Integer, "the split, from 1"),
    required("iou_even", Double, "overlap of what stays with checkerboard-even; 1/3 by chance"),
    required("iou_odd", Double, "overlap of what stays with checkerboard-odd; 1/3 by chance"),
    required("purity", Double, "share of windows with the most common pattern"),
    required("channel_purity", Double, "the same for each channel apart, averaged"),
    optional("mask_share", Double, "share of the map's variance that the lattice explains"),
    optional("mask_share_by_chance", Double, "what that is on average for a map with none"),
    optional("tied", Double, "share of windows in which ranks two and three are equal"),
    optional("agreement", Double, "overlap between the tables of two halves of the data"),
    optional(
        "iou_other_seeds", Double, "mean overlap with the tables of other seeds, null for none"
    ),
    optional(
        "iou_other_budgets", Double, "mean overlap with the tables of other budgets, null for none"
    ),
    required("recipe_id", Text, "recipe of the trial"),
    required("trial_id", Text, "the trial"),
    required("digest", Text, "sha256 of the split's permutation"),
    comment="Index tables in numbers, with how far seeds and budgets agree. See index_tables.",
)
