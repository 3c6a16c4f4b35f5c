"""Keras in a process and an environment of its own: builds what `peers/keras_side.py` asks for, runs and times it.

Run by that environment's Python as `python keras_worker.py PIPE THREADS`; it needs nothing of elman. Requests come over
the pipe, an inherited descriptor; when the pipe ends, so does the worker. Times are taken here, so that the pipe costs
nothing.
"""

import os
import sys
import time
import traceback
from multiprocessing.connection import Connection

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import keras
import tensorflow as tf

RECURRENT = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


class Worker:
    """What was built last, as calls by name."""

    def __init__(self):
        self.calls = {}

    def build_layer(self, *, cell, units, dtype, weights, x, dy):
        """Build one layer, its outputs and the gradients of its weights as compiled functions."""
        layer = RECURRENT[cell](units, return_sequences=True, dtype=dtype)
        x, dy = tf.constant(x), tf.constant(dy)
        layer.build(x.shape)
        layer.set_weights(weights)

        @tf.function
        def forward():
            return layer(x)

        @tf.function
        def both():
            with tf.GradientTape() as tape:
                y = layer(x)
            return y, tape.gradient(y, layer.trainable_weights, output_gradients=dy)

        self.calls = {"forward": forward, "forward+backward": both}

    def build_program(
        self, *, cell, n_layers, units, outputs, per_step, loss, options, weights, x, y, batch_size, epochs
    ):
        """Build and compile a model as one would write it in Keras; return the loss of the first batch."""
        parts = [
            RECURRENT[cell](units, return_sequences=per_step or k + 1 < n_layers, **options) for k in range(n_layers)
        ]
        model = keras.Sequential([*parts, keras.layers.Dense(outputs)])
        losses = {"mse": "mse", "cross_entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
        model.compile(loss=losses[loss], optimizer="adam")
        model.build((None, *x.shape[1:]))
        model.set_weights(weights)
        self.calls = {"fit": lambda: model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0) and None}
        return float(model.test_on_batch(x[:batch_size], y[:batch_size]))

    def call(self, *, name):
        """Run one call; return what it gives as arrays."""
        result = self.calls[name]()
        return tf.nest.map_structure(lambda part: part.numpy() if tf.is_tensor(part) else None, result)

    def seconds(self, *, name, calls):
        """Run so many calls; return the seconds per call."""
        function = self.calls[name]
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls


def main(pipe: int, threads: int) -> None:
    """Answer until the other side is gone."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    worker = Worker()
    with Connection(pipe) as other:
        other.send((True, {"keras": keras.__version__, "tensorflow": tf.__version__}))
        while True:
            try:
                what, options = other.recv()
            except EOFError:
                return
            try:
                answer = True, getattr(worker, what)(**options)
            except Exception:
                answer = False, traceback.format_exc()
            other.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
