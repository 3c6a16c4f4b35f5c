"""The only room in which scikit-learn is imported: what its users expect of an estimator beyond methods.

Nothing here is needed to fit or predict. Where scikit-learn is loaded, errors and warnings are also its own kinds.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Literal

from elman.errors import NotFittedError

__all__ = ["conversion_warning", "not_fitted_error", "tags"]


def tags(kind: Literal["classifier", "regressor"] | None, *, multi_output: bool = False) -> Any:
    """Give the tags by which scikit-learn knows an estimator; it asks, so it is there.

    Args:
        kind: of estimator; None for one whose targets are sequences.
        multi_output: whether y may have several columns.
    """
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True, multi_output=multi_output),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(two_d_array=kind is not None, three_d_array=True),
    )


def not_fitted_error() -> type[NotFittedError]:
    """Give the error for what is not fitted yet: also scikit-learn's, where that is loaded."""
    return _joined_error() if "sklearn.exceptions" in sys.modules else NotFittedError


@functools.cache
def _joined_error() -> type[NotFittedError]:
    from sklearn.exceptions import NotFittedError as Theirs

    class JoinedNotFittedError(NotFittedError, Theirs):  # type: ignore[misc]  # scikit-learn has no types
        """An estimator was asked before it was fitted."""

        def __reduce__(self) -> tuple[object, ...]:
            return _again, (str(self),)  # a class made here has no name by which a copy could find it

    JoinedNotFittedError.__name__ = JoinedNotFittedError.__qualname__ = "NotFittedError"
    return JoinedNotFittedError


def _again(message: str) -> NotFittedError:
    """Make the error anew, in the process that a copy of it came to."""
    return not_fitted_error()(message)


def conversion_warning() -> type[UserWarning]:
    """Give the warning for a y that was made flat: scikit-learn's, where that is loaded."""
    if "sklearn.exceptions" not in sys.modules:
        return UserWarning
    from sklearn.exceptions import DataConversionWarning

    return DataConversionWarning  # type: ignore[no-any-return]  # scikit-learn has no types
