"""The MetaData that all tables share, its naming of constraints, and columns."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

VERSION_TABLE = "lcma_alembic_version"
"""Where Alembic notes the revision: a name of our own, as other tools keep `alembic_version`."""

OPTUNA_TABLES = frozenset(
    {
        *("alembic_version", "version_info", "studies", "study_directions"),
        *("study_user_attributes", "study_system_attributes", "trials", "trial_params"),
        *("trial_values", "trial_intermediate_values", "trial_heartbeats"),
        *("trial_user_attributes", "trial_system_attributes"),
    }
)
"""What Optuna's storage makes in the same database. They are Optuna's to make, change and drop."""

REVISION = "0003"
"""The schema's revision."""


def only_optuna(tables: Collection[str]) -> bool:
    """Return whether tables are those of Optuna and no others: studies were made before results."""
    names = frozenset(tables)
    # Other programs have tables called `trials` or `alembic_version` too.
    return {"studies", "version_info"} <= names <= OPTUNA_TABLES


TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that every engine sorts byte by byte, whatever the server's language."""


def _type(kind: type[sa.types.TypeEngine[Any]]) -> Any:
    return TEXT if kind is sa.Text else kind


def required(
    name: str, kind: type[sa.types.TypeEngine[Any]], comment: str, *more: Any, **options: Any
) -> sa.Column[Any]:
    """Return a column that always has a value."""
    return sa.Column(name, _type(kind), *more, nullable=False, comment=comment, **options)


def optional(
    name: str, kind: type[sa.types.TypeEngine[Any]], comment: str, *more: Any
) -> sa.Column[Any]:
    """Return a column that may be null; its comment says when."""
    return sa.Column(name, _type(kind), *more, nullable=True, comment=comment)


def local(
    name: str, kind: type[sa.types.TypeEngine[Any]], comment: str, *, nullable: bool = False
) -> sa.Column[Any]:
    """Return a column that may differ between two databases without making another row of it."""
    info = {"local": True}
    return sa.Column(name, _type(kind), nullable=nullable, comment=comment, info=info)


def private(
    name: str, kind: type[sa.types.TypeEngine[Any]], comment: str, *, nullable: bool = False
) -> sa.Column[Any]:
    """Return a local column that a published database has null, or empty where it cannot be."""
    column = local(name, kind, comment, nullable=nullable)
    column.info["private"] = True
    return column


def thinned(name: str, kind: type[sa.types.TypeEngine[Any]], comment: str) -> sa.Column[Any]:
    """Return a column that a published database leaves out, for its size alone."""
    return private(name, kind, f"{comment}; null where it was published", nullable=True)


def key(
    name: str, kind: type[sa.types.TypeEngine[Any]], comment: str, *more: Any, **options: Any
) -> sa.Column[Any]:
    """Return a column of the primary key."""
    return sa.Column(
        name, _type(kind), *more, primary_key=True, nullable=False, comment=comment, **options
    )


def one_of(column: str, words: tuple[str, ...]) -> sa.CheckConstraint:
    """Return a check that holds a column to a closed list of words."""
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def index_where_known(first: str, *columns: str) -> sa.Index:
    """Return an index of the rows whose first column is not null, so that others cost nothing."""
    where = sa.text(f"{first} IS NOT NULL")
    return sa.Index(None, first, *columns, sqlite_where=where, postgresql_where=where)
