"""The tables that are kept beside the evidence: summaries over seeds, printed numbers, meanings."""

from sqlalchemy import Double, ForeignKey, Index, Integer, Table, Text

from lcma.db.schema.base import key, metadata, optional, required

cells = Table(
    "cells",
    metadata,
    key("id", Text, "content hash of what its results share: all of them but the seed"),
    required(
        "comparable",
        Text,
        "hash of data set, variant, content, protocol, precision and measure: results that differ "
        "in it are not to be ranked together",
    ),
    required("flow", Text, "name of the flow"),
    required("profile", Text, "profile of the recipe"),
    required("dataset", Text, "name of the data set"),
    required("variant", Text, "variant of the data set"),
    required("data_digest", Text, "the exact data set", ForeignKey("data_sets.digest")),
    required("recipe_id", Text, "the recipe", ForeignKey("recipes.id")),
    required("factorization", Text, "canonical name of the factorization"),
    optional("budget", Integer, "pretraining steps behind the maps, null where no map is used"),
    optional("map_options", Text, "options of the map as JSON, null for the default or no map"),
    required("protocol", Text, "name of the evaluation protocol"),
    required("precision", Text, "number format of the evaluation"),
    required("measure", Text, "what is measured (measure_kinds.name)"),
    required("seeds", Integer, "number of results"),
    required("mean", Double, "mean over seeds, in the measure's unit"),
    required("squared_deviations", Double, "sum over seeds of squared deviations from the mean"),
    required("least", Double, "the least value of a seed"),
    required("greatest", Double, "the greatest value of a seed"),
    optional("deviation", Double, "sample standard deviation over seeds, null for one seed"),
    optional("standard_error", Double, "deviation / sqrt(seeds), null for one seed"),
    Index(None, "dataset", "flow", "protocol", "measure", "mean"),
    Index(None, "recipe_id", "comparable", "mean", "factorization"),
    comment="Measures summed up over seeds of current results, in the transaction that adds one.",
)

measure_kinds = Table(
    "measure_kinds",
    metadata,
    key("name", Text, "name of the measure"),
    required("unit", Text, "its unit"),
    optional("direction", Text, "'lower' or 'higher' is better; null for one that is not ranked"),
    required("meaning", Text, "what it is"),
    comment="What measures are: those of the package, and those of plug-ins that were used.",
)

reference_results = Table(
    "reference_results",
    metadata,
    key("id", Text, "content hash of the other columns but `note`"),
    required("source", Text, "the paper"),
    required("source_table", Text, "number of its table"),
    required("flow", Text, "name of the flow"),
    required("dataset", Text, "name of the data set, with its variant"),
    required("factorization", Text, "name of the factorization as it is asked for"),
    required("bits_per_dim", Double, "bits per dimension as printed"),
    required("part", Text, "part of the data set, as far as the paper says: else 'unspecified'"),
    required("note", Text, "what to keep in mind, may be empty"),
    comment="Numbers that papers print, none of which was measured here.",
)

t_quantiles = Table(
    "t_quantiles",
    metadata,
    key("freedom", Integer, "degrees of freedom, from 1", autoincrement=False),
    required(
        "quantile",
        Double,
        "97.5 % quantile of Student's t: a mean's 95 % interval is it "
        "times the standard error to either side",
    ),
    comment="Quantiles of Student's t, for intervals in SQL.",
)

dictionary = Table(
    "dictionary",
    metadata,
    key("relation", Text, "a view or table"),
    key("position", Integer, "place of the column, from 1; 0 for the view or table itself"),
    required("column", Text, "name of the column, empty for the view or table itself"),
    required("type", Text, "type of the column, or 'view' or 'table'"),
    required("meaning", Text, "what it is, with its unit"),
    comment="What every view, table and column means, for whoever opens the database.",
)
