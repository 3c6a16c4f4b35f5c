"""Who is here: peers that are not installed are left out, with a word why."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.peers.keras_side import VENV_PYTHON, Keras
from benchmarks.peers.problem import LeftOutError

#: Name -> the modules it needs; the NumPy reference needs none.
NEEDS = {"torch": ("torch",), "onnxruntime": ("onnx", "onnxruntime"), "jax": ("jax", "jaxlib"), "numpy": ()}
PEERS = (*NEEDS, "keras")


@dataclass
class Roll:
    """Who takes part.

    Attributes:
        present: names of those that run in this process.
        absent: name -> why it is not measured.
        keras: the worker, or None.
        versions: of everybody.
    """

    present: tuple[str, ...]
    absent: dict[str, str] = field(default_factory=dict)
    keras: Keras | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def call(cls, wanted: tuple[str, ...] = PEERS, *, threads: int, python: Path = VENV_PYTHON) -> Self:
        """See who of those wanted is installed, and give each the same number of threads.

        Args:
            wanted: of `PEERS`.
            threads: of each.
            python: of the environment with Keras.
        """
        roll = cls(present=())
        for name, modules in NEEDS.items():
            if name not in wanted:
                continue
            if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
                roll.absent[name] = f"not installed ({', '.join(missing)})"
                continue
            roll.present += (name,)
            roll.versions |= {module: importlib.metadata.version(module) for module in modules}
        if "torch" in roll.present:
            import torch

            torch.set_num_threads(threads)
        if "keras" in wanted:
            try:
                roll.keras = Keras(python, threads)
                roll.versions |= roll.keras.versions
            except LeftOutError as reason:
                roll.absent["keras"] = str(reason)
        return roll

    def close(self) -> None:
        """End the worker."""
        if self.keras is not None:
            self.keras.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
