"""Numbers as JSON takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Give arrays as lists, NumPy's numbers as Python's, and None for what is not finite.

    Args:
        value: an array, a number, or dicts and lists of them.

    Example:
        >>> plain({"curve": np.array([1.0, np.nan]), "n": np.int64(3)})
        {'curve': [1.0, None], 'n': 3}
    """
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
