"""What a schedule is, and how it is checked and written down."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from elman.training.checks import check_count, check_number

__all__ = ["Schedule"]


class Schedule:
    """Base of the schedules; a subclass is a frozen dataclass with a name and `__call__`."""

    name: ClassVar[str]

    def __call__(self, step: int) -> float:
        """Give the rate of the step that comes after `step` others.

        Args:
            step: >= 0.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Give the JSON form: {"type": "cosine", …}; `get` is its inverse."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {"type": self.name, **{name: _plain(value) for name, value in values.items()}}

    def _rate(self, name: str) -> None:
        """Check a field that is a rate."""
        self._keep(name, check_number(self._where, name, getattr(self, name), open_low=True))

    def _steps(self, name: str) -> None:
        """Check a field that is a number of steps."""
        check_count(f"{self._where}, {name}", getattr(self, name))
        self._keep(name, int(getattr(self, name)))

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everyone else

    @property
    def _where(self) -> str:
        return f"schedule '{self.name}'"


def _plain(value: Any) -> Any:
    """Give a field as a value that JSON knows."""
    if isinstance(value, Schedule):
        return value.config()
    return list(value) if isinstance(value, tuple) else value
