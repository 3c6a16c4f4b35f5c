"""ONNX Runtime: the RNN, LSTM and GRU operators of ONNX, forward only."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.answers import Answer
from benchmarks.peers.problem import LeftOutError, Problem, Side
from benchmarks.timing import Local
from elman.cells import CELLS
from elman.cells.gate_orders import ORDERS, reorder

OPSET = 17


def _session(problem: Problem, *, carried: bool) -> onnxruntime.InferenceSession:
    """Build a session of one operator, layout (T, B, I), because onnxruntime refuses the other.

    Args:
        problem: weights and sizes.
        carried: whether the state goes in and comes out; else lengths go in and outputs come out.
    """
    problem.only(*CELLS)
    if problem.dtype != "float32":
        raise LeftOutError("its recurrent operators take float32 only")
    (weights,), point = problem.directions, problem.point
    ours, theirs = ORDERS[problem.cell]["elman"], ORDERS[problem.cell]["onnx"]

    def ordered(array: np.ndarray) -> np.ndarray:
        return reorder(array, ours, theirs)

    recurrent_bias = np.zeros_like(weights["bias"])
    if "bias_hn" in weights:
        recurrent_bias[-point.hidden :] = weights["bias_hn"]
    arrays = {
        "W": ordered(weights["weight_ih"])[None],
        "R": ordered(weights["weight_hh"])[None],
        "B": np.concatenate([ordered(weights["bias"]), ordered(recurrent_bias)])[None],
    }
    states = ("h", "c")[: 2 if problem.cell == "lstm" else 1]
    shape = (point.batch, point.hidden)
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, (None, point.batch, point.input_size))]
    outputs = []
    if carried:
        inputs += [helper.make_tensor_value_info(f"{s}0", TensorProto.FLOAT, (1, *shape)) for s in states]
        outputs += [helper.make_tensor_value_info(f"{s}1", TensorProto.FLOAT, (1, *shape)) for s in states]
    else:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, (point.batch,)))
        outputs.append(helper.make_tensor_value_info("Y", TensorProto.FLOAT, (None, 1, *shape)))
    options = {"linear_before_reset": 1} if problem.cell == "gru" else {}
    node = helper.make_node(
        problem.cell.upper(),
        ["X", "W", "R", "B", *(["", *(f"{s}0" for s in states)] if carried else ["lengths"])],
        ["", *(f"{s}1" for s in states)] if carried else ["Y"],
        hidden_size=point.hidden,
        **options,
    )
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "layer", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads, how.inter_op_num_threads = problem.threads, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), how, providers=["CPUExecutionProvider"])


def layer(problem: Problem) -> Side:
    """Build the operator over a batch, time first; turning x around is not part of the time."""
    session = _session(problem, carried=False)
    feeds = {"X": np.ascontiguousarray(problem.padded.swapaxes(0, 1)), "lengths": problem.lengths.astype(np.int32)}

    def forward() -> list[np.ndarray]:
        return session.run(["Y"], feeds)

    def read(outputs: list[np.ndarray]) -> Answer:
        return Answer(problem.true_steps(outputs[0][:, 0].swapaxes(0, 1)))

    return Side({"forward": Local(forward)}, read)


class Stream:
    """One step after the other, the state handed back in.

    Args:
        problem: of which the weights and sizes are taken.
    """

    def __init__(self, problem: Problem) -> None:
        self.session = _session(problem, carried=True)
        names = [value.name for value in self.session.get_inputs()][1:]
        self.outputs = [f"{name[0]}1" for name in names]
        self.names = names
        self.state: list[Any] = [np.zeros((1, problem.point.batch, problem.point.hidden), np.float32) for _ in names]

    def step(self, x: np.ndarray) -> np.ndarray:
        """Take x (B, I) in, give h (B, H) out."""
        self.state = self.session.run(self.outputs, {"X": x[None], **dict(zip(self.names, self.state, strict=True))})
        return self.state[0][0]
