"""Comparison of nested values to the bit."""

from typing import Any

import numpy as np
from torch import Tensor
from torch.utils import _pytree as pytree


def list_differences(first: Any, second: Any) -> list[str]:
    """Return the places at which two nested values differ by a bit."""
    leaves, others = (dict(pytree.tree_leaves_with_path(value)) for value in (first, second))
    return [
        pytree.keystr(path)
        for path in leaves | others
        if path not in leaves or path not in others or not are_same(leaves[path], others[path])
    ]


def are_same(first: Any, second: Any) -> bool:
    if not isinstance(first, Tensor | np.ndarray):
        return repr(first) == repr(second)
    left, right = (
        value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        for value in (first, second)
    )
    same_kind = left.dtype == right.dtype and left.shape == right.shape
    return bool(same_kind and left.tobytes() == right.tobytes())
