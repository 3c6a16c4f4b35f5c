"""Binary addition: the recurrent network everyone starts with.

Two numbers come in bit by bit, least significant first; the sum comes out. The network has to find the carry by itself
and keep it in its state, after which it adds numbers of any length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, DataTypeError, UsageError, say
from elman.layers import RNN, Dense
from elman.model import Sequential
from elman.ragged import Ragged
from elman.tasks.base import Task, TaskParams
from elman.tasks.network import NetworkData
from elman.tasks.sampling import is_integer
from elman.training.batches import SequenceBatches
from elman.training.history import History
from elman.training.optimizers import SGD
from elman.training.seeds import spawn

__all__ = ["BinaryAdder", "Example"]

# Sums computed at once: all pairs of 7-bit numbers, and 130 MB of states for sums of 64 bits.
_AT_ONCE = 16_384

# Sums that `quantize` measures on.
_SUMS = 1000


class BinaryAdderParams(TaskParams):
    """The arguments of `BinaryAdder`, with their bounds."""

    hidden: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    bits: Annotated[int, msgspec.Meta(ge=1, le=62)]
    examples: Annotated[int, msgspec.Meta(ge=1, le=10**8)]
    lr: Annotated[float, msgspec.Meta(gt=0)]
    random_state: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None


class Example(NamedTuple):
    """What the network makes of an example it has just been trained on.

    Attributes:
        number: how many examples it has been trained on.
        error: Σ |truth − output| over the bits.
        prediction: the bits it gives, most significant first, (bits + 1,).
        truth: the bits of the sum, likewise.
        a: the first number.
        b: the second number.
        answer: the number that `prediction` stands for.
    """

    number: int
    error: float
    prediction: list[int]
    truth: list[int]
    a: int
    b: int
    answer: int


class BinaryAdder(Task):
    """A network that learns to add from examples, one at a time.

    A recurrent layer of sigmoid units, one sigmoid output, squared error and plain gradient descent. All weights start
    evenly spread over [−1, 1], as this lesson has always had it, biases at 0: so all of the seeds 0 to 44 learn all
    sums of 7-bit numbers from 10,000 examples. From the library's own, smaller first weights 9 of the 45 did not.

    Args:
        hidden: units of the recurrent layer.
        bits: the numbers of the examples are below 2 to this power.
        examples: how many random sums to train on.
        lr: the step against the gradient of ½ Σ (truth − output)² over the bits of an example.
        random_state: seed of weights and examples.

    Example:
        >>> adder = BinaryAdder(random_state=0).fit()
        >>> adder.add(100, 27)
        127
        >>> adder.add([2**70, 5], [2**70, 6]) == [2**71, 11]
        True
    """

    task: ClassVar[str] = "addition"
    Params = BinaryAdderParams
    makes_data = True

    def __init__(
        self,
        *,
        hidden: int = 16,
        bits: int = 7,
        examples: int = 10_000,
        lr: float = 0.1,
        random_state: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.bits = bits
        self.examples = examples
        self.lr = lr
        self.random_state = random_state

    def fit(
        self,
        X: None = None,
        y: None = None,
        *,
        every: int = 1000,
        on_example: Callable[[Example], object] | None = None,
    ) -> Self:
        """Train on random sums.

        Args:
            X: ignored, for the examples are drawn; scikit-learn passes it.
            y: likewise.
            every: after how many examples `on_example` is called.
            on_example: is given the last of them.

        Raises:
            UsageError: if an argument is out of range.
        """
        params = self._checked_params()
        if not is_integer(every) or every < 1:
            raise UsageError(say("fit", "every is out of range", expected="an integer >= 1", got=repr(every)))
        every = int(every)  # a small NumPy integer would overflow
        seeds = spawn(params.random_state, where="random_state")
        steps = params.bits + 1
        model = self._new_model(None)
        model.build(2, rng=seeds.init)
        first = {name: w for name, w in model.named_weights().items() if w.ndim == 2}
        model.set_weights(
            model.named_weights() | {name: seeds.init.uniform(-1, 1, w.shape) for name, w in first.items()}
        )
        a, b = seeds.shuffle.integers(0, 2**params.bits, (2, params.examples))
        history = History()
        for start in range(0, params.examples, every):
            part = slice(start, start + every)
            x, truth = _operands(a[part].tolist(), b[part].tolist(), steps), _bits((a + b)[part].tolist(), steps)
            model.fit(x, truth[..., None], batch_size=1, shuffle=False, verbose=0, history=history)
            if on_example is not None:
                output = model.predict(x[-1:])[0, :, 0]
                right, given = truth[-1], output > 0.5
                on_example(
                    Example(
                        number=min(start + every, params.examples),
                        error=float(np.abs(right - output).sum()),
                        prediction=given[::-1].astype(int).tolist(),
                        truth=right[::-1].astype(int).tolist(),
                        a=int(a[part][-1]),
                        b=int(b[part][-1]),
                        answer=_numbers(given[None])[0],
                    )
                )
        self.model_, self.history_ = model, history
        self.training_ = {"examples": params.examples, "loss": float(history.batches[-100:].mean())}
        return self

    def add(self, a: Any, b: Any) -> Any:
        """Ask the network for a + b.

        Args:
            a: an integer >= 0 of any size, or a sequence of them.
            b: likewise, as many.

        Returns:
            What the network takes for the sum: an int, or a list of them.

        Raises:
            DataError: if a number is negative or there are not as many of both.
            DataTypeError: if something is no integer.
            NotFittedError: before `fit`.
        """
        self._check_fitted("add")
        if not isinstance(a, Sequence | np.ndarray) and not isinstance(b, Sequence | np.ndarray):
            return self.add([a], [b])[0]
        first, second = _checked("a", a), _checked("b", b)
        if len(first) != len(second):
            raise DataError(
                say("add", "a and b differ in length", expected=f"{len(first)} numbers in b", got=len(second))
            )
        # One step more than the longer number has bits: the last carry.
        steps = max((n.bit_length() for n in (*first, *second)), default=0) + 1
        answers: list[int] = []
        for start in range(0, len(first), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            output = self.model_.predict(_operands(first[part], second[part], steps), batch_size=_AT_ONCE)
            answers += _numbers(output[..., 0] > 0.5)
        return answers

    def count_right(self, *, bits: int, pairs: int = 10_000) -> int:
        """Count how many sums of random numbers are right, with no further training.

        Args:
            bits: the numbers are below 2 to this power; any size.
            pairs: how many sums.
        """
        rng = spawn(self.random_state, where="random_state").sampling
        n_bytes = -(-bits // 8)
        # From bytes, because NumPy draws no integers beyond 64 bits.
        drawn = [int.from_bytes(rng.bytes(n_bytes), "little") >> (8 * n_bytes - bits) for _ in range(2 * pairs)]
        return self._count(drawn[:pairs], drawn[pairs:])

    def count_right_of_all(self) -> tuple[int, int]:
        """Count how many sums are right among all pairs of the numbers trained on.

        Returns:
            How many are right, and how many there are.

        Raises:
            UsageError: if there are more than 2^24 pairs.
        """
        if self.bits > 12:
            raise UsageError(say("count_right_of_all", "too many pairs", expected="bits <= 12", got=self.bits))
        n_numbers = 2**self.bits
        a, b = np.divmod(np.arange(n_numbers**2), n_numbers)
        return self._count(a.tolist(), b.tolist()), n_numbers**2

    def _count(self, a: list[int], b: list[int]) -> int:
        return sum(x + y == answer for x, y, answer in zip(a, b, self.add(a, b), strict=True))

    def to_network(self, X: None = None, y: None = None, *, steps: int | None = None) -> NetworkData:
        """Give the network itself, and random sums of numbers as long as those trained on, bit by bit.

        Args:
            X: None: nobody needs to bring sums.
            y: likewise.
            steps: as many sums as have about so many bits.

        Raises:
            NotFittedError: before `fit`.
            UsageError: if there is data.
        """
        self._check_fitted("to_network")
        count = _SUMS if steps is None else max(1, min(_SUMS, steps // (self.bits + 1)))
        x, truth = self._sums(X, count, "to_network")
        y_rows = Ragged.from_dense(truth[..., None])
        return NetworkData(self.model_, Ragged.from_dense(x), y_rows, None, None, f"{count:,} random sums")

    def _measuring(self, data: Any) -> SequenceBatches:
        """Return random sums of numbers as long as those trained on: nobody needs to bring any."""
        x, truth = self._sums(data, _SUMS, "quantize")
        return SequenceBatches(Ragged.from_dense(x), truth.reshape(-1, 1), batch_size=_SUMS, per_step=True)

    def _sums(self, data: Any, count: int, where: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw sums: the bits of the numbers (B, T, 2) and of their sums (B, T)."""
        if data is not None:
            cure = "Leave it out: sums are drawn"
            raise UsageError(say(where, "an adder takes no data", got=type(data).__name__, cure=cure))
        rng, steps = spawn(self.random_state, where="random_state").sampling, self.bits + 1
        a, b = rng.integers(0, 2**self.bits, (2, count))
        return _operands(a.tolist(), b.tolist(), steps), _bits((a + b).tolist(), steps)

    def _new_model(self, vocabulary: dict[str, Any] | None) -> Sequential:
        params = self._checked_params()
        recurrent = RNN(params.hidden, activation="sigmoid", return_sequences=True)
        model = Sequential([recurrent, Dense(1, activation="sigmoid")])
        # Our loss is the mean of the squares over the bits, the lesson's is half their sum.
        model.compile(SGD(params.lr * (params.bits + 1) / 2), "mse")
        model.input_size = 2
        return model


def _checked(name: str, numbers: Any) -> list[int]:
    """Return integers >= 0 as Python's own, of any size."""
    if isinstance(numbers, np.ndarray) and numbers.ndim != 1:
        expected = "an integer or a sequence of integers"
        raise DataTypeError(say("add", f"{name} is no row of numbers", expected=expected, got=f"shape {numbers.shape}"))
    items = numbers if isinstance(numbers, Sequence | np.ndarray) else [numbers]
    for index, number in enumerate(items):
        if not is_integer(number):
            raise DataTypeError(say("add", f"{name}[{index}] is no integer", got=repr(number)))
        if number < 0:
            raise DataError(say("add", f"{name}[{index}] is negative", expected="0 or more", got=number))
    return [int(number) for number in items]


def _operands(a: list[int], b: list[int], steps: int) -> NDArray[np.float32]:
    """Return the bits of two numbers side by side (B, steps, 2), least significant first."""
    return np.stack([_bits(a, steps), _bits(b, steps)], axis=-1)


def _bits(numbers: list[int], steps: int) -> NDArray[np.float32]:
    """Return the bits of numbers (B, steps), least significant first."""
    n_bytes = -(-steps // 8)
    raw = b"".join(number.to_bytes(n_bytes, "little") for number in numbers)
    table = np.frombuffer(raw, np.uint8).reshape(len(numbers), n_bytes)
    return np.unpackbits(table, axis=1, count=steps, bitorder="little").astype(np.float32)


def _numbers(bits: NDArray[np.bool_]) -> list[int]:
    """Return the numbers whose bits (B, steps) are given, least significant first."""
    return [int.from_bytes(row.tobytes(), "little") for row in np.packbits(bits, axis=1, bitorder="little")]
