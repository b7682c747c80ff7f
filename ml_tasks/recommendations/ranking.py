"""The first of each group, and the largest of each row: ties go to the smaller number."""

from __future__ import annotations

import numpy as np


def places(groups: np.ndarray) -> np.ndarray:
    """Place of each entry in its group, from 0.

    Args:
        groups: Number of the group, ascending, shape (n,).

    Example:
        >>> places(np.array([4, 4, 4, 7, 7])).tolist()
        [0, 1, 2, 0, 1]
    """
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def is_largest(values: np.ndarray, count: int, axis: int) -> np.ndarray:
    """Whether a value is among the `count` largest along an axis, of two dimensions.

    Args:
        values: Without NaN.
        count: At least 1.
        axis: 1 for the largest of each row, 0 of each column.

    Example:
        >>> is_largest(np.array([[1.0, 3.0, 3.0, 3.0]]), count=2, axis=1).tolist()
        [[False, True, True, False]]
    """
    if values.shape[axis] <= count:
        return np.ones(values.shape, dtype=bool)
    last = [values.shape[axis] - count]
    least = np.take(np.partition(values, last[0], axis=axis), last, axis=axis)
    above, equal = values > least, values == least
    free = count - np.count_nonzero(above, axis=axis, keepdims=True)
    return above | (equal & (np.cumsum(equal, axis=axis, dtype=np.int32) <= free))
