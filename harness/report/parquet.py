"""Rows as a Parquet file, the same bytes for the same rows."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lcma.db import QueryResult
from lcma.db.schema import views
from lcma.harness.report.text import printable

if TYPE_CHECKING:
    import pyarrow as pa


def parquet_of_rows(found: QueryResult) -> bytes:
    """The file. A column's type is that of the views' column of its name, else that of its values;
    text is as in the other forms, without control characters."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(zip(*found.rows, strict=True)) or [()] * len(found.columns)
    arrays = [_array(n, values) for n, values in zip(found.columns, columns, strict=True)]
    table = pa.Table.from_arrays(arrays, names=[printable(name) for name in found.columns])
    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _array(name: str, values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.array(values, type=_declared(name))
    if kinds <= {int, bool} and all(abs(v) < 2**63 for v in values if v is not None):
        return pa.array(values, type=pa.int64())
    if kinds == {float}:
        return pa.array(values, type=pa.float64())
    if kinds == {int, float}:
        return pa.array([None if v is None else float(v) for v in values], type=pa.float64())
    if kinds == {bytes}:
        return pa.array(values, type=pa.binary())
    known: dict[Any, str] = {}
    texts = [
        None if v is None else known.get(v) or known.setdefault(v, printable(v)) for v in values
    ]
    return pa.array(texts, type=pa.string())


def _declared(name: str) -> "pa.DataType":
    """The type of a column without any value."""
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    for view in views.tables.values():
        if name in view.c:
            return types[view.c[name].type.python_type]
    return pa.string()
