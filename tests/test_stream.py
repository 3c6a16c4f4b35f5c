"""Streams: a model that goes on step by step says what it says about the whole, to the last bit."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman import layers
from elman.errors import DataError, DataTypeError, ModelFileError, SaveError, UsageError
from elman.ops.core import native
from elman.optimizers import SGD

pytestmark = pytest.mark.skipif(native is None, reason="NumPy's matrix product gives a row other bits when it is alone")

F, V = 5, 11  # features, token ids


def recurrent(kind, *, units=9, **options):
    return kind(units, return_sequences=True, **options)


LSTM, GRU, RNN = layers.LSTM, layers.GRU, layers.RNN
# name -> layers, and whether token ids come in
MODELS = {
    "rnn": (lambda: [recurrent(RNN, activation="relu")], False),
    "lstm": (lambda: [recurrent(LSTM)], False),
    "gru": (lambda: [recurrent(GRU)], False),
    "wide": (lambda: [recurrent(LSTM, units=70)], False),
    "peephole and projection": (lambda: [recurrent(LSTM, peephole=True, projection=4)], False),
    "coupled": (lambda: [recurrent(LSTM, coupled=True, activation="sigmoid")], False),
    "reset before": (lambda: [recurrent(GRU, reset_after=False)], False),
    "layer norm": (lambda: [recurrent(kind, layer_norm=True) for kind in (RNN, LSTM, GRU)], False),
    "noise": (lambda: [recurrent(LSTM, zoneout=0.3, recurrent_dropout=0.5, dropout=0.5, weight_drop=0.5)], False),
    "learned": (lambda: [recurrent(GRU, initial_state="learned"), layers.Residual(recurrent(LSTM))], False),
    "last": (lambda: [recurrent(GRU), layers.LSTM(4), layers.Dense(3, activation="softmax")], False),
    "pooled": (lambda: [recurrent(RNN), layers.Pooling("last"), layers.LayerNorm()], False),
    "around": (lambda: [layers.Residual(recurrent(GRU, units=F)), layers.Residual(layers.Dropout(0.5))], False),
    "row-wise": (lambda: [layers.Dense(6, activation="relu"), layers.LayerNorm(), layers.Dense(2)], False),
    "embedding": (lambda: [layers.Embedding(V, 6), layers.Dropout(0.5), recurrent(LSTM), layers.Dense(V)], True),
    "one-hot": (lambda: [recurrent(GRU), layers.Dense(4, activation="sigmoid")], True),
}  # fmt: skip


def make(name, dtype="float32", **options):
    """Give a model, all of whose weights differ."""
    parts, ids = MODELS[name]
    model = elman.Sequential(parts(), dtype=dtype, **options)
    model.build(V if ids else F, ids=ids, rng=0)
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=weight.shape, scale=0.4) for weight in model.get_weights()])
    return model


def inputs(name, shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, V, shape) if MODELS[name][1] else rng.standard_normal((*shape, F)).astype(np.float32)


def equal(one, other):
    np.testing.assert_array_equal(one, other)


def equal_state(one, other):
    for mine, theirs in zip(one, other, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            equal(a, b)


def whole(model, x):
    """Give what `predict` says at every step of every sequence, (n, T, K)."""
    steps = [model.predict(x[:, : t + 1], verbose=0) for t in range(x.shape[1])]
    return np.stack([out[:, -1] if out.ndim == 3 else out for out in steps], axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_steps_are_the_whole(name, dtype):
    model, x = make(name, dtype), inputs(name, (3, 7))
    expected = whole(model, x)
    many, one = model.stream(batch=3), model.stream()
    for t in range(7):
        equal(many.step(x[:, t]), expected[:, t])
        equal(one.step(x[0, t]), expected[0, t])
    equal_state(many.state, model.predict(x, return_state=True)[1])


@given(data=st.data())
def test_any_cut_gives_the_same_bits(data):
    """Steps and chunks of any lengths, in any order; each sequence at its own pace."""
    name, n = data.draw(st.sampled_from(sorted(MODELS))), data.draw(st.integers(1, 4))
    # A step of all, or so many steps of each.
    moves = data.draw(st.lists(st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n), max_size=6))
    model, x = make(name), inputs(name, (n, 20))
    expected = whole(model, x)
    stream, at = model.stream(n), np.zeros(n, int)
    for move in moves:
        before = at
        if move is None:
            equal(stream.step(x[np.arange(n), at]), expected[np.arange(n), at])
            at = at + 1
            continue
        at = at + move
        pieces = [x[i, before[i] : at[i]] for i in range(n)]
        outs = stream.chunk(pieces)
        for i, out in enumerate(outs):
            if out.ndim == 2:
                equal(out, expected[i, before[i] : at[i]])
            elif at[i] > before[i]:
                equal(out, expected[i, at[i] - 1])


ACTIONS = st.tuples(st.sampled_from(["step", "step", "join", "leave", "reset"]), st.integers(0, 9))


@given(st.lists(ACTIONS, max_size=15))
def test_joining_and_leaving_disturb_nobody(actions):
    model, x = make("layer norm"), inputs("layer norm", (6, 16))
    expected = whole(model, x)
    stream = model.stream(2)
    at = {0: 0, 1: 0}
    for action, k in actions:
        if action == "join":
            at |= dict.fromkeys(stream.join(1 + k % 2), 0)
        elif action == "leave" and at:
            gone = sorted(at)[:: 1 + k]
            stream.leave(gone)
            at = {name: steps for name, steps in at.items() if name not in gone}
        elif action == "reset" and at:
            stream.reset([k % len(at)])
            at[stream.ids[k % len(at)]] = 0
        elif action == "step" and at:
            rows = stream.step(np.array([x[name % 6, at[name]] for name in stream.ids]))
            for name, row in zip(stream.ids, rows, strict=True):
                equal(row, expected[name % 6, at[name]])
                at[name] += 1
        assert list(stream.ids) == sorted(at) and len(stream) == len(at)


def test_ids_are_never_given_twice():
    stream = make("gru").stream(batch=0)
    assert stream.ids == () and stream.join(2) == [0, 1] and stream.join() == [2]
    stream.leave([2, 0])
    assert stream.ids == (1,) and stream.join() == [3]
    stream.leave(np.array([1, 3]))
    assert stream.ids == ()
    assert stream.join() == [4] and stream.step(np.zeros((1, F))).shape == (1, 9)


def test_the_form_of_the_input_is_that_of_the_output():
    model = make("gru")
    stream, x = model.stream(), inputs("gru", (1, 3))
    assert stream.step(x[0, 0]).shape == stream.step([0.5] * F).shape == (9,)
    assert stream.step(x[:, 0]).shape == (1, 9)
    assert stream.chunk(x[0]).shape == stream.chunk(x[0].tolist()).shape == (3, 9)
    assert stream.chunk(x).shape == (1, 3, 9) and [out.shape for out in stream.chunk([x[0]])] == [(3, 9)]
    assert stream.chunk(x[0, :0]).shape == (0, 9)
    ids = make("embedding").stream()
    assert ids.step(3).shape == ids.step(np.int64(3)).shape == (V,)
    assert ids.step([3]).shape == ids.step(np.array([3], np.int8)).shape == (1, V)
    assert ids.chunk([3, 4]).shape == (2, V) and ids.chunk([[3, 4]])[0].shape == (2, V)
    last = make("last").stream()
    assert last.chunk(x[0]).shape == (3,) and last.chunk(x).shape == (1, 3)


def test_numbers_of_every_kind_give_the_same_bits():
    model, x = make("lstm"), np.array([1, -2, 0, 3, 5])
    expected = model.stream().step(x.astype(np.float32))
    wide = np.zeros(2 * F)
    wide[::2] = x
    shifted = np.frombuffer(b"\0" + x.astype(np.float32).tobytes(), np.uint8)[1:].view(np.float32)
    for same in (x, x.astype(np.float64), x.astype(np.float16), x.astype(">f4"), wide[::2], x.tolist(), shifted):
        equal(model.stream().step(same), expected)
    readonly = x.astype(np.float32)
    readonly.flags.writeable = False
    equal(model.stream().step(readonly), expected)


def test_a_model_that_takes_both_takes_both():
    model = elman.Sequential([recurrent(GRU)])
    model.build(V, rng=0)
    ids, numbers = model.stream(2), model.stream(2)
    for pair in ([3, 4], [0, 10], [7, 7]):
        equal(ids.step(pair), numbers.step(np.eye(V)[pair]))
    equal(ids.step(np.eye(V)[[1, 2]]), numbers.step([1, 2]))  # each the other way, and on from where it was
    equal(ids.chunk([[5], [6]]), numbers.chunk(np.eye(V)[[[5], [6]]]))
    alone = model.stream()
    equal(alone.step(4), model.predict(np.array([[4]]))[0, 0])
    assert alone.chunk([1, 2]).shape == alone.chunk(np.eye(V)[[1, 2]]).shape == (2, 9)


def test_state_is_that_of_predict():
    model, x = make("learned"), inputs("learned", (2, 6))
    expected, end = model.predict(x, return_state=True)
    _, between = model.predict(x[:, :4], return_state=True)
    stream = model.stream(2)
    begin = stream.state
    stream.state = between
    equal(stream.chunk(x[:, 4:]), expected[:, 4:])
    equal_state(stream.state, end)
    for part in itertools.chain(*stream.state):
        part[:] = 7  # a copy: what is done to it does nothing to the stream
    equal_state(stream.state, end)
    stream.reset()
    equal_state(stream.state, begin)
    assert stream.state[0][0].any()  # the learned one, not zeros


def test_reset_takes_rows_as_numpy_does():
    model = make("gru")
    stream, x = model.stream(3), inputs("gru", (3, 1))[:, 0]
    fresh = stream.step(x)
    for rows, kept in ((1, [0, 2]), ([0, -1], [1]), ([True, False, True], [1]), ([], [0, 1, 2]), (slice(0, 2), [2])):
        stream.reset()
        stream.step(x)
        expected = model.stream(3)
        expected.step(x)
        again = expected.step(x)
        stream.reset(rows)
        out = stream.step(x)
        equal(out[kept], again[kept])
        gone = [row for row in range(3) if row not in kept]
        equal(out[gone], fresh[gone])


def test_training_beside_it_changes_the_weights_it_uses():
    model, x = make("embedding"), inputs("embedding", (2, 6))
    model.compile(SGD(0.5), "cross_entropy")
    stream = model.stream(2)
    first = stream.step(x[:, 0])
    begin = stream.state
    model.fit(x, x, epochs=2, verbose=0, rng=0)
    expected, _ = model.predict(x[:, 1:2], state=begin, return_state=True)
    out = stream.step(x[:, 1])
    equal(out, expected[:, 0])
    stream.reset()
    assert not np.array_equal(stream.step(x[:, 0]), first)


def test_what_was_given_out_is_never_written_again():
    stream, x = make("lstm").stream(), inputs("lstm", (1, 2))[0]
    out = stream.step(x[0])
    kept = out.copy()
    stream.step(x[1])
    equal(out, kept)


def test_streams_share_nothing_and_run_in_threads():
    """Each thread its own stream, on the same model, with another size of work."""
    model = elman.Sequential([recurrent(LSTM, units=160), layers.Dense(4)])  # large enough to let others run
    model.build(F, ids=False, rng=0)
    x = np.random.default_rng(0).standard_normal((4, 60, F)).astype(np.float32)
    expected = model.predict(x)
    found = {}

    def go(i):
        stream = model.stream()
        found[i] = np.array([stream.step(numbers) for numbers in x[i]])

    threads = [threading.Thread(target=go, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        equal(found[i], expected[i])


def test_two_threads_on_one_stream_are_told():
    """Steps are whole: every call succeeds in its turn or is refused, and nothing else happens."""
    model = elman.Sequential([recurrent(LSTM, units=96)])
    model.build(F, ids=False, rng=0)
    stream = model.stream(16)
    x = np.ones((16, F), np.float32)
    done, refused = [], []

    def go():
        for _ in range(10):
            try:
                stream.step(x)
                done.append(1)
            except UsageError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) + len(refused) == 30
    assert set(refused) <= {
        "step: the stream is in the middle of another call. Give each thread a stream of its own: model.stream()."
    }
    one = model.stream()
    for _ in done:
        expected = one.step(x[0])
    equal(stream.state[0][0][5], expected)


def test_an_interruption_leaves_the_streams_as_they_were(monkeypatch):
    model, x = make("layer norm"), inputs("layer norm", (2, 3))
    stream = model.stream(2)
    stream.step(x[:, 0])
    before = stream.state

    def stopped(ticks, side):
        raise KeyboardInterrupt

    monkeypatch.setattr(stream, "_advances", (*stream._advances[:2], stopped))
    with pytest.raises(KeyboardInterrupt):
        stream.step(x[:, 1])
    equal_state(stream.state, before)


@pytest.mark.parametrize("call", ["step", "reset"])
def test_a_stream_can_be_used_after_an_interruption_at_any_place(call):
    model = make("lstm")
    stream, x = model.stream(), inputs("lstm", (1, 1))[0, 0]
    arguments = (x,) if call == "step" else ()
    armed = False

    def stop(*_):
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for k in range(3000):
            with contextlib.suppress(KeyboardInterrupt):
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 2e-5 + 3e-8 * k)
                while armed:
                    getattr(stream, call)(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    getattr(stream, call)(*arguments)


@pytest.mark.parametrize("call", ["join", "leave", "load", "reset", "state", "ids come"])
def test_a_call_that_is_interrupted_at_any_line_changes_all_or_nothing(call, tmp_path):
    """A signal is handled between two lines, or within calls; one line after the other, each is the last."""
    if call == "ids come":  # numbers before, and now token ids: all is laid out anew
        model = elman.Sequential([layers.GRU(4), layers.Dense(3)])
        model.build(F, rng=0)
        x = np.ones((2, F))
    else:
        model = make("lstm")
        x = inputs("lstm", (2, 1))[:, 0]
    saved = model.stream(3)
    saved.step(np.repeat(x[:1], 3, axis=0))
    saved.save(tmp_path / "state")

    def begun():
        stream = model.stream(2)
        stream.step(x)
        return stream

    def change(stream):
        match call:
            case "join":
                stream.join(2)
            case "leave":
                stream.leave(0)
            case "load":
                stream.load(tmp_path / "state")
            case "reset":
                stream.reset([1])
            case "state":
                stream.state = tuple(tuple(2 * part for part in parts) for parts in before.state)
            case "ids come":
                stream.step(np.array([1, 2]))

    def known(stream):
        parts = [part.tobytes() for layer in stream.state for part in layer]
        return stream.ids, stream._next_id, parts

    before = begun()
    after = begun()
    change(after)
    old, new = known(before), known(after)
    assert old != new
    stops = 0
    files = ("stream.py", "stream_room.py")
    for at in itertools.count(1):
        stream, seen = begun(), 0

        def trace(frame, event, _, at=at):
            nonlocal seen
            if not frame.f_code.co_filename.endswith(files) or frame.f_code.co_name in ("_turn", "state", "step"):
                return None if event == "call" else trace
            if event == "line":
                seen += 1
                if seen == at:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            change(stream)
        except KeyboardInterrupt:
            stops += 1
        finally:
            sys.settrace(None)
        assert known(stream) in (old, new), f"after line {at}"
        if seen < at:
            break
    assert stops > 5
    assert known(stream) == new


def test_saved_and_gone_on_with(tmp_path):
    model, x = make("learned"), inputs("learned", (4, 6))
    stream = model.stream(4)
    stream.chunk(x[:, :3])
    stream.leave(1)
    stream.save(tmp_path / "state")
    stays = [0, 2, 3]
    expected = stream.chunk(x[stays, 3:])
    again = make("learned").stream()
    again.load(tmp_path / "state")
    assert again.ids == (0, 2, 3)
    equal(again.chunk(x[stays, 3:]), expected)
    assert again.join() == [4]
    empty = model.stream(0)
    empty.save(tmp_path / "nobody")
    again.load(tmp_path / "nobody")
    assert again.ids == () and again.join() == [5]


def test_a_layer_that_stands_twice_has_two_states(tmp_path):
    shared = layers.GRU(F, return_sequences=True)
    model = elman.Sequential([shared, layers.Dense(F), shared])
    model.build(F, ids=False, rng=0)
    x = inputs("gru", (1, 4))
    stream = model.stream()
    stream.chunk(x[0, :2])
    stream.save(tmp_path / "state")
    stream.load(tmp_path / "state")
    equal([stream.step(numbers) for numbers in x[0, 2:]], model.predict(x)[0, 2:])


def other(name="gru", **options):
    return make(name, **options).stream()


def saved(folder, name="gru", **options):
    other(name, **options).save(folder / "state")
    return folder / "state"


def set_state(stream, state):
    stream.state = state


# name -> call on a stream of two GRU sequences and on a folder, error, message
MESSAGES = {
    "batch": (lambda s, d: make("gru").stream(-1), UsageError, "batch: this is no count, expected an integer >= 1, got -1."),
    "batch is a truth": (lambda s, d: make("gru").stream(False), UsageError, "batch: this is no count, expected an integer >= 1, got False."),
    "batch is no number": (lambda s, d: make("gru").stream("two"), UsageError, "batch: this is no count, expected an integer >= 1, got 'two'."),
    "not causal": (lambda s, d: refused(layers.Bidirectional(layers.GRU(2))), UsageError, "stream: Bidirectional 'bidirectional' (Bidirectional(GRU)) needs whole sequences, so no state can be carried through it"),
    "mean": (lambda s, d: refused(recurrent(GRU), layers.Pooling("mean")), UsageError, "stream: Pooling 'pooling' (Pooling) needs whole sequences"),
    "repeat": (lambda s, d: refused(layers.GRU(2), layers.RepeatVector(2)), UsageError, "stream: RepeatVector 'repeat_vector' (RepeatVector) needs whole sequences"),
    "one row of two": (lambda s, d: s.step(np.zeros(F)), DataError, "step: x does not fit, expected (2, 5), a row for each stream, got shape (5,)."),
    "features": (lambda s, d: s.step(np.zeros((2, 3))), DataError, "step: x does not fit, expected (2, 5), a row for each stream, got shape (2, 3)."),
    "features of one": (lambda s, d: other().step([1, 2]), DataError, "step: x does not fit, expected (1, 5), a row for each stream, or (5,), got shape (2,)."),
    "NaN": (lambda s, d: s.step([[0] * F, [0, 0, np.nan, 0, 0]]), DataError, "step: input x contains NaN, expected finite numbers, got nan at sequence 1, step 0, feature 2."),
    "infinity": (lambda s, d: s.step(np.full((2, F), np.inf)), DataError, "step: input x contains infinity"),
    "too large": (lambda s, d: s.step(np.full((2, F), 1e300)), DataError, "step: a number is too large for float32"),
    "text": (lambda s, d: s.step([["a"] * F] * 2), DataTypeError, "step: x is text where numbers belong"),
    "complex": (lambda s, d: s.step(np.zeros((2, F), complex)), DataTypeError, "step: Complex data not supported"),
    "None": (lambda s, d: s.step(None), DataError, "step: x does not fit"),
    "rows of several lengths": (lambda s, d: s.step([[1], [1, 2]]), DataError, "step: x is not an array"),
    "masked": (lambda s, d: s.step(np.ma.zeros((2, F))), DataTypeError, "step: x is a masked array"),
    "id": (lambda s, d: other("embedding").step(V), DataError, "step: token id out of range, expected 0 to 10, got 11 at sequence 0, step 0."),
    "negative id": (lambda s, d: other("embedding").step(-1), DataError, "step: token id out of range, expected 0 to 10, got -1"),
    "huge id": (lambda s, d: other("embedding").step(10**30), DataError, "step: x holds no token ids"),
    "id with a point": (lambda s, d: other("embedding").step(1.0), DataError, "step: x holds no token ids, expected integers, got float64. Token ids are integers: pass x.astype(int)."),
    "truth for an id": (lambda s, d: other("embedding").step(True), DataError, "step: x holds no token ids, expected integers, got bool."),
    "nobody": (lambda s, d: make("gru").stream(0).step(np.zeros((0, F))), UsageError, "step: there are no streams, expected at least one. Call join() first."),
    "nobody's chunk": (lambda s, d: make("gru").stream(0).chunk([]), UsageError, "chunk: there are no streams"),
    "chunk for three": (lambda s, d: s.chunk(np.zeros((3, 2, F))), DataError, "chunk: the number of sequences is wrong, expected 2, one for each stream, got 3."),
    "chunk for one": (lambda s, d: s.chunk(np.zeros((2, F))), DataError, "chunk: x has 2 axes"),
    "chunk of NaN": (lambda s, d: other().chunk([[np.nan] * F]), DataError, "chunk: input x contains NaN"),
    "chunk of ids": (lambda s, d: other("embedding").chunk([1, 99]), DataError, "chunk: token id out of range, expected 0 to 10, got 99 at sequence 0, step 1."),
    "state": (lambda s, d: set_state(s, ()), UsageError, "state: state does not fit, expected a tuple over 1 layers"),
    "state of one": (lambda s, d: set_state(s, other().state), UsageError, "state: the state of layer 'gru' is that of 1 sequences, and the stream has 2, expected [(2, 9)], got [(1, 9)]."),
    "state of NaN": (lambda s, d: set_state(s, ((np.full((2, 9), np.nan),),)), DataError, "state: the state of layer 'gru' is not finite"),
    "reset": (lambda s, d: s.reset(2), UsageError, "reset: there are no such rows, expected integers below 2, or a mask of 2, got 2."),
    "reset by half": (lambda s, d: s.reset(0.5), UsageError, "reset: there are no such rows"),
    "join": (lambda s, d: s.join(0), UsageError, "n: this is no count, expected an integer >= 1, got 0."),
    "leave": (lambda s, d: s.leave([1, 7]), UsageError, "leave: there is no such stream, expected ids of streams that are there (see ids), got [7]."),
    "leave by name": (lambda s, d: s.leave("ab"), UsageError, "leave: ids are no integers"),
    "no file": (lambda s, d: s.load(d / "none"), UsageError, "there is no such file"),
    "no folder": (lambda s, d: s.save(d / "none" / "state"), SaveError, "none"),
    "another model": (lambda s, d: s.load(saved(d, name="gru", dtype="float64")), ModelFileError, "has dtype float64, expected float32"),
    "another name": (lambda s, d: s.load(renamed(d)), ModelFileError, "it holds the state of another model, expected 'sequential', got 'weather'."),
    "other layers": (lambda s, d: s.load(saved(d, "lstm")), ModelFileError, "it holds the state of another model named 'sequential', expected gru (GRU, 9), got lstm (LSTM, 9, 9)."),
    "a model file": (lambda s, d: s.load(model_file(d)), ModelFileError, "it holds no state of a stream, but a model. Give a file that Stream.save wrote."),
}  # fmt: skip


def refused(*parts):
    model = elman.Sequential(parts)
    model.build(F, rng=0)
    model.stream()


def renamed(folder):
    model = elman.Sequential([recurrent(GRU)], name="weather")
    model.build(F, rng=0)
    model.stream().save(folder / "state")
    return folder / "state"


def model_file(folder):
    make("gru").save(folder / "m.elman")
    return folder / "m.elman"


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name, tmp_path):
    call, kind, message = MESSAGES[name]
    stream, x = make("gru").stream(2), inputs("gru", (2, 2))
    first = stream.step(x[:, 0])
    before = stream.state
    with pytest.raises(kind) as raised:
        call(stream, tmp_path)
    assert message in str(raised.value)
    equal_state(stream.state, before)  # a call that fails changes nothing
    stream.reset()
    equal(stream.step(x[:, 0]), first)
