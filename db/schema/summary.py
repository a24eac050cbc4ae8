"""The tables that are kept beside the evidence: what measures are, and quantiles for intervals."""

from sqlalchemy import Double, Integer, Table, Text

from lcma.db.schema.base import key, local, metadata, optional, required

measure_kinds = Table(
    "measure_kinds",
    metadata,
    key("name", Text, "name of the measure"),
    required("unit", Text, "its unit"),
    optional("direction", Text, "'lower' or 'higher' is better; null for one that is not ranked"),
    local("meaning", Text, "what it is"),
    comment="What measures are: those of the package, and those of plug-ins that were used.",
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
