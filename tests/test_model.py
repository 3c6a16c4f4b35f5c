"""Sequential: gradients of whole models, the forms of data, what training and saving promise."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

import elman
from elman import files, layers
from elman.errors import (
    DataError,
    DivergedError,
    ElmanError,
    ModelFileError,
    UsageError,
)
from elman.ops.core import native
from elman.ragged import Ragged
from elman.training import SGD, Adam, Callback, StreamBatches
from elman.training.batches import SequenceBatches
from elman.training.seeds import spawn

LENGTHS = [4, 0, 1, 7, 2]


def make(kind="lstm", *, units=6, outputs=3, per_step=True, depth=1, activation=None, dtype="float64", **compiled):
    """Give a compiled model that is not built."""
    cell = {"rnn": layers.RNN, "lstm": layers.LSTM, "gru": layers.GRU}[kind]
    stack = [cell(units, return_sequences=per_step or i < depth - 1) for i in range(depth)]
    model = elman.Sequential([*stack, layers.Dense(outputs, activation=activation)], dtype=dtype)
    model.compile(**{"optimizer": SGD(0.1), "loss": "mse", **compiled})
    return model


def sequences(rng, lengths=LENGTHS, features=4):
    return [rng.normal(size=(n, features)) for n in lengths]


def perturbed(model, rng):
    """Give every parameter a random value, the biases too: nothing may hide behind a zero."""
    weights = {name: rng.normal(size=w.shape) * 0.5 for name, w in model.named_weights().items()}
    model.set_weights(weights)
    return weights


def bits(a, b):
    np.testing.assert_array_equal(a, b, strict=True)


CASES = {
    "squared error per step": {"loss": "mse", "outputs": 2, "depth": 2},
    "squared error, sigmoid": {"loss": "mse", "outputs": 1, "activation": "sigmoid", "kind": "rnn"},
    "squared error, last state": {"loss": "mse", "outputs": 2, "per_step": False, "kind": "gru"},
    "squared error, softmax": {"loss": "mse", "outputs": 3, "per_step": False, "activation": "softmax"},
    "cross-entropy of logits": {"loss": "cross_entropy", "depth": 2, "kind": "gru"},
    "cross-entropy of softmax": {"loss": "cross_entropy", "activation": "softmax", "per_step": False},
    "one-hot": {"loss": "categorical_crossentropy", "activation": "softmax"},
}


class TestGradients:
    @pytest.mark.mutants
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("case", CASES)
    def test_they_are_the_slopes_of_the_loss(self, rng, case, weighted):
        options = CASES[case]
        model = make(**options)
        x = sequences(rng)
        per_step, k = options.get("per_step", True), options.get("outputs", 3)
        rows = sum(LENGTHS) if per_step else len(LENGTHS)
        if options["loss"] == "mse":
            y = rng.normal(size=(rows, k))
        elif options["loss"] == "cross_entropy":
            y = rng.integers(0, k, rows)
        else:
            y = np.eye(k)[rng.integers(0, k, rows)]
        if per_step:
            y = np.split(y, np.cumsum(LENGTHS)[:-1])
        sample_weight = rng.random(len(LENGTHS)) if weighted else None
        model.build(4, rng=1)
        weights = perturbed(model, rng)
        state = tuple(
            tuple(rng.normal(size=part.shape) for part in parts) for parts in model.predict(x, return_state=True)[1]
        )
        loss, gradients, _ = model.gradients(x, y, state=state, sample_weight=sample_weight)
        assert set(gradients) == set(weights)
        # Along random directions through all parameters at once: central differences in float64 are good to 1e-8.
        for _ in range(3):
            direction = {name: rng.normal(size=w.shape) for name, w in weights.items()}
            losses = []
            for step in (1e-5, -1e-5):
                model.set_weights({name: w + step * direction[name] for name, w in weights.items()})
                losses.append(model.gradients(x, y, state=state, sample_weight=sample_weight)[0])
            slope = sum((gradients[name] * direction[name]).sum() for name in weights)
            assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(slope, rel=1e-6, abs=1e-9)
        assert loss != 0

    def test_a_fused_softmax_is_the_model_with_logits(self, rng):
        x, y = rng.normal(size=(5, 6, 4)), rng.integers(0, 3, 5)
        fused, plain = (make(loss="cross_entropy", activation=a, per_step=False) for a in ("softmax", None))
        fused.build(4, rng=3)
        plain.build(4)
        plain.set_weights(perturbed(fused, rng))
        one, two = fused.gradients(x, y), plain.gradients(x, y)
        assert one[0] == two[0]
        for name in one[1]:
            bits(one[1][name], two[1][name])
        logits = plain.predict(x)
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(fused.predict(x), probability, rtol=1e-12)
        # One step of training changes both alike: the twin that trains is the layer that predicts.
        assert fused.train_on_batch(x, y) == plain.train_on_batch(x, y)
        np.testing.assert_allclose(fused.predict(x).argmax(1), plain.predict(x).argmax(1))
        assert not np.allclose(fused.predict(x), probability)

    def test_weights_are_as_many_copies(self, rng):
        x, y = sequences(rng), rng.normal(size=(len(LENGTHS), 2))
        model = make(outputs=2, per_step=False)
        model.build(4, rng=0)
        perturbed(model, rng)
        counts = [1, 3, 0, 2, 1]
        repeated = np.repeat(np.arange(5), counts)
        weighted = model.gradients(x, y, sample_weight=counts)
        copies = model.gradients([x[i] for i in repeated], y[repeated])
        assert weighted[0] == pytest.approx(copies[0], rel=1e-13)
        for name, gradient in weighted[1].items():
            np.testing.assert_allclose(gradient, copies[1][name], rtol=1e-10, atol=1e-13)

    def test_a_weight_per_sequence_is_that_of_its_steps(self, rng):
        model, x, y = make(), sequences(rng), [rng.normal(size=(n, 3)) for n in LENGTHS]
        model.build(4, rng=0)
        each = rng.random(5)
        one = model.gradients(x, y, sample_weight=each)
        two = model.gradients(x, y, sample_weight=[np.full(n, w) for n, w in zip(LENGTHS, each, strict=True)])
        assert one[0] == two[0] != model.gradients(x, y)[0]
        for name in one[1]:
            bits(one[1][name], two[1][name])

    def test_class_weights_are_weights_of_targets(self, rng):
        x = sequences(rng)
        y = [rng.integers(0, 3, n) for n in LENGTHS]
        one, two = (make(loss="cross_entropy", optimizer=SGD(0.1)) for _ in range(2))
        for model in (one, two):
            model.build(4, rng=0)
        losses = [
            one.train_on_batch(x, y, class_weight={0: 2.0, 2: 0.0}),
            two.train_on_batch(x, y, sample_weight=[np.array([2.0, 1.0, 0.0])[part] for part in y]),
        ]
        assert losses[0] == losses[1]
        bits(one.parameters.flat, two.parameters.flat)

    def test_a_layer_that_stands_twice_gets_both_gradients(self, rng):
        shared = layers.GRU(4, return_sequences=True)
        model = elman.Sequential([shared, shared, layers.Dense(2)], dtype="float64")
        model.compile("sgd", "mse")
        model.build(4, rng=0)
        apart = elman.Sequential(
            [layers.GRU(4, return_sequences=True) for _ in range(2)] + [layers.Dense(2)], dtype="float64"
        )
        apart.compile("sgd", "mse")
        apart.build(4)
        weights = perturbed(model, rng)
        apart.set_weights({**weights, **{k.replace("gru", "gru_2"): w for k, w in weights.items() if "gru" in k}})
        x, y = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 2))
        loss, gradients, _ = model.gradients(x, y)
        loss_apart, each, _ = apart.gradients(x, y)
        assert loss == loss_apart and len(model.get_weights()) == 6
        for name, gradient in gradients.items():
            both = each[name] + (each[name.replace("gru", "gru_2")] if "gru" in name else 0)
            np.testing.assert_allclose(gradient, both, rtol=1e-12, atol=1e-15)


class TestForms:
    """Users get back the form they gave."""

    def model(self, rng, **options):
        model = make(**options)
        model.build(4, rng=0)
        perturbed(model, rng)
        return model

    def test_arrays_lists_ragged_and_lengths_agree(self, rng):
        model, parts = self.model(rng), sequences(rng)
        listed = model.predict(parts)
        assert isinstance(listed, list) and [part.shape for part in listed] == [(n, 3) for n in LENGTHS]
        ragged = model.predict(Ragged.from_list(parts))
        assert isinstance(ragged, Ragged)
        bits(ragged.values, np.concatenate(listed))
        padded = np.full((5, 9, 4), 7.0)
        for row, part in zip(padded, parts, strict=True):
            row[: len(part)] = part
        dense = model.predict(padded, lengths=LENGTHS)
        assert dense.shape == (5, 9, 3)
        for row, part in zip(dense, listed, strict=True):
            bits(row[: len(part)], part)
            assert not row[len(part) :].any()
        array = model.predict(padded)
        assert array.shape == (5, 9, 3) and array.dtype == np.float64

    @pytest.mark.parametrize("per_step", [True, False])
    def test_targets_in_every_form_mean_the_same(self, rng, per_step):
        model = self.model(rng, outputs=1, per_step=per_step)
        parts = sequences(rng)
        padded = np.zeros((5, 7, 4))
        y_padded = rng.normal(size=(5, 7, 1))
        for row, part in zip(padded, parts, strict=True):
            row[: len(part)] = part
        if per_step:
            lists = [row[:n] for row, n in zip(y_padded, LENGTHS, strict=True)]
            forms = [lists, [part[:, 0] for part in lists], y_padded, y_padded[..., 0], Ragged.from_list(lists)]
        else:
            y = y_padded[:, 0]
            forms = [y, y[:, 0], y.tolist(), y[:, 0].tolist()]
        losses = {
            model.evaluate(x, y, lengths=lengths) for y in forms for x, lengths in ((parts, None), (padded, LENGTHS))
        }
        assert len(losses) == 1 and losses.pop() > 0

    def test_padding_and_weights_are_said_alike_wherever_data_comes_in(self, rng):
        model = self.model(rng, loss="cross_entropy", per_step=False)
        padded, y = np.full((5, 9, 4), 7.0), rng.integers(0, 3, 5)
        for row, part in zip(padded, parts := sequences(rng), strict=True):
            row[: len(part)] = part
        said = [{"lengths": LENGTHS}, {"pad_value": 7}]
        weights = {"sample_weight": rng.random(5), "class_weight": {0: 0.5, 2: 3}}
        for call in (model.evaluate, lambda *a, **k: copy.deepcopy(model).train_on_batch(*a, **k)):
            expected = call(parts, y, **weights)
            assert [call(padded, y, **how, **weights) for how in said] == [expected] * 2
            assert expected != call(padded, y, **weights) and expected != call(parts, y)
        loss, gradients, _ = model.gradients(parts, y, **weights)
        for how in said:
            again = model.gradients(padded, y, **how, **weights)
            assert again[0] == loss
            for name, gradient in gradients.items():
                bits(again[1][name], gradient)

    def test_integer_labels_in_every_form_mean_the_same(self, rng):
        model = self.model(rng, loss="cross_entropy")
        x, y = rng.normal(size=(4, 6, 4)), rng.integers(0, 3, (4, 6))
        forms = [y, y.astype(np.int8), y.astype(float), y[..., None], list(y), y.tolist(), np.asfortranarray(y)]
        assert len({model.evaluate(x, form) for form in forms}) == 1
        one_hot = copy.deepcopy(model)
        one_hot.compile("sgd", "categorical_crossentropy")
        assert one_hot.evaluate(x, np.eye(3)[y]) == pytest.approx(model.evaluate(x, y), rel=1e-14)

    def test_token_ids_are_one_hot_numbers(self, rng):
        model = make(per_step=True)
        ids = [rng.integers(0, 7, n) for n in LENGTHS]
        y = [rng.normal(size=(n, 3)) for n in LENGTHS]
        model.fit(
            [np.append(part, 6) for part in ids], [np.append(part, [[0, 0, 0]], 0) for part in y], verbose=0, rng=0
        )
        assert model.input_size == 7 and model.ids is True
        one_hot = [np.eye(7)[part] for part in ids]
        np.testing.assert_allclose(
            np.concatenate(model.predict(ids)), np.concatenate(model.predict(one_hot)), rtol=1e-12
        )
        one, two = model.gradients(ids, y), model.gradients(one_hot, y)
        for name in one[1]:
            np.testing.assert_allclose(one[1][name], two[1][name], rtol=1e-9, atol=1e-13)

    def test_an_embedding_takes_ids(self, rng):
        model = elman.Sequential([layers.Embedding(11, 5), layers.GRU(4), layers.Dense(1)])
        model.compile("adam", "mse")
        ids = rng.integers(0, 11, (20, 6))
        model.fit(ids, rng.normal(size=20), verbose=0, epochs=2)
        assert model.predict(ids).shape == (20, 1)
        with pytest.raises(DataError, match="token id"):
            model.predict(np.full((1, 3), 11))

    def test_an_empty_sequence_gives_what_its_state_gives(self, rng):
        model = self.model(rng, per_step=False)
        parts = sequences(rng, [0, 3])
        out, state = model.predict(parts, return_state=True)
        assert not state[0][0][0].any() and state[0][0][1].any()
        given = tuple(tuple(rng.normal(size=part.shape) for part in s) for s in state)
        _, after = model.predict(parts, state=given, return_state=True)
        bits(after[0][0][0], given[0][0][0])
        bits(out[0], model.named_weights()["dense.bias"])


class TestPredict:
    def model(self, rng, **options):
        model = make(depth=2, dtype="float32", **options)
        model.build(4, rng=0)
        perturbed(model, rng)
        return model

    @pytest.mark.skipif(native is None, reason="the bits are promised by the native core")
    @pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
    def test_any_batch_size_and_any_order_give_the_same_bits(self, rng, kind):
        model, x = self.model(rng, kind=kind), sequences(rng, [4, 0, 1, 7, 2, 9, 3])
        expected = np.concatenate(model.predict(x))
        for batch_size in (1, 2, 5, 100):
            bits(np.concatenate(model.predict(x, batch_size=batch_size)), expected)
        order = rng.permutation(len(x))
        turned = model.predict([x[i] for i in order])
        bits(np.concatenate([turned[i] for i in np.argsort(order)]), expected)

    def test_two_halves_with_state_are_the_whole(self, rng):
        model, x = self.model(rng), rng.normal(size=(3, 10, 4)).astype(np.float32)
        whole, end = model.predict(x, return_state=True)
        first, state = model.predict(x[:, :4], return_state=True, batch_size=2)
        second, last = model.predict(x[:, 4:], state=state, return_state=True, batch_size=1)
        np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)
        for one, two in zip(sum(last, ()), sum(end, ()), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
        assert not np.allclose(model.predict(x[:, 4:]), second)

    def test_step_by_step_is_the_whole(self, rng):
        model, x = self.model(rng), rng.normal(size=(6, 4)).astype(np.float32)
        whole = model.predict(x[None])[0]
        stream = model.stream()
        for t in range(6):
            np.testing.assert_allclose(stream.step(x[t]), whole[t], rtol=1e-5, atol=1e-6)
        with pytest.raises(UsageError, match="state: state does not fit"):
            stream.state = stream.state[:-1]

    def test_what_was_given_out_is_never_written_again(self, rng):
        model, x = self.model(rng), rng.normal(size=(3, 5, 4))
        out, state = model.predict(x, return_state=True)
        kept = out.copy(), [part.copy() for part in sum(state, ())]
        before = [part.copy() for part in sum(state, ())]
        model.predict(rng.normal(size=(3, 5, 4)), state=state)
        model.train_on_batch(rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 3)))
        bits(out, kept[0])
        for part, copied, first in zip(sum(state, ()), kept[1], before, strict=True):
            bits(part, copied)
            bits(part, first)

    def test_it_changes_nothing(self, rng):
        model, x = self.model(rng), rng.normal(size=(3, 5, 4))
        before = {name: id(value) for name, value in vars(model).items()}
        parameters, ticks, config = model.parameters.flat.copy(), model.parameters.clock.ticks, model.config()
        model.predict(x, return_state=True)
        assert {name: id(value) for name, value in vars(model).items()} == before
        assert model.config() == config and model.parameters.clock.ticks == ticks
        bits(model.parameters.flat, parameters)

    def test_many_threads_on_one_model_give_the_same_bits(self, rng):
        model = self.model(rng, units=32)
        inputs = [rng.normal(size=(3 + i, 40 + i, 4)) for i in range(4)]
        expected = [model.predict(x) for x in inputs]
        wrong, start, interval = [], threading.Barrier(4), sys.getswitchinterval()

        def work(i):
            start.wait()
            for _ in range(40):
                if not np.array_equal(model.predict(inputs[i]), expected[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        sys.setswitchinterval(1e-6)  # threads change places within a prediction, not between two
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        finally:
            sys.setswitchinterval(interval)
        assert wrong == [] and not any(thread.is_alive() for thread in threads)


class TestFit:
    def data(self, rng, n=60):
        """Which of the first two steps was greater, asked four steps later."""
        x = rng.normal(size=(n, 6, 1))
        return x, (x[:, 0, 0] > x[:, 1, 0]).astype(int)

    @pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
    def test_it_learns_to_remember(self, rng, kind):
        x, y = self.data(rng, 200)
        model = make(
            kind,
            units=12,
            outputs=2,
            per_step=False,
            dtype="float32",
            loss="cross_entropy",
            optimizer=Adam(0.02),
            metrics=["acc"],
        )
        history = model.fit(x, y, epochs=25, verbose=0, rng=1, validation_split=0.25)
        assert history.history["loss"][0] > 0.5
        assert history.history["val_accuracy"][-1] > 0.85 and history.history["accuracy"][-1] > 0.85
        loss, right = model.evaluate(x, y)
        assert right > 0.85 and model.evaluate(x, y, return_dict=True) == {"loss": loss, "accuracy": right}
        assert (model.predict(x).argmax(1) == y).mean() == pytest.approx(right)

    def test_one_seed_gives_the_same_training_and_another_another(self, rng):
        x, y = self.data(rng)

        def train(seed, **options):
            model = make(outputs=2, per_step=False, loss="cross_entropy", optimizer=Adam(0.01))
            history = model.fit(x, y, epochs=2, batch_size=7, verbose=0, rng=seed, **options)
            return history.batches, model.parameters.flat

        for one, two in zip(train(3), train(3), strict=True):
            bits(one, two)
        assert not np.array_equal(train(3)[0], train(4)[0])
        # Same first weights, another order.
        unshuffled = train(3, shuffle=False)[0]
        assert not np.array_equal(train(3)[0], unshuffled)
        model = make(outputs=2, per_step=False, loss="cross_entropy")
        model.build(1, rng=3)
        first = model.evaluate(x[:7], y[:7])
        assert unshuffled[0] == np.float32(first)

    def test_it_is_the_same_as_steps_by_hand(self, rng):
        x, y = rng.normal(size=(5, 6, 4)), rng.normal(size=(5, 6, 3))
        one, two = (make(optimizer=Adam(0.05), clip=0.1) for _ in range(2))
        one.build(4, rng=0)
        two.build(4, rng=0)
        history = one.fit(x, y, batch_size=2, shuffle=False, epochs=2, verbose=0)
        losses = [two.train_on_batch(x[i : i + 2], y[i : i + 2]) for _ in range(2) for i in (0, 2, 4)]
        np.testing.assert_array_equal(history.batches, np.float32(losses))
        bits(one.parameters.flat, two.parameters.flat)
        # The last batch of an epoch has one sequence of five.
        assert history.history["loss"][0] == pytest.approx((2 * losses[0] + 2 * losses[1] + losses[2]) / 5)

    @pytest.mark.filterwarnings("ignore:loss. no target has a weight")  # the empty sequence alone in a batch
    def test_epoch_losses_count_targets_in_ragged_batches(self, rng):
        x, y = sequences(rng), [rng.normal(size=(n, 3)) for n in LENGTHS]
        model = make(optimizer=SGD(1e-300))
        history = model.fit(x, y, batch_size=2, epochs=1, verbose=0, rng=0)
        each = [((model.predict([a])[0] - b) ** 2).mean(1) for a, b in zip(x, y, strict=True) if len(a)]
        expected = np.concatenate(each).mean()
        assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)
        for batch_size in (1, 2, 3, None):
            assert model.evaluate(x, y, batch_size=batch_size) == pytest.approx(expected, rel=1e-12)

    def test_validation_is_the_end_of_the_data_and_is_not_trained_on(self, rng):
        x, y = self.data(rng)
        options = {"outputs": 2, "per_step": False, "loss": "cross_entropy"}
        one, two = make(**options), make(**options)
        split = one.fit(x, y, epochs=3, verbose=0, rng=0, validation_split=0.25).history
        given = two.fit(x[:45], y[:45], epochs=3, verbose=0, rng=0, validation_data=(x[45:], y[45:])).history
        assert split == given and set(split) == {"loss", "val_loss"}
        assert split["val_loss"][-1] == pytest.approx(one.evaluate(x[45:], y[45:]))

    def test_streams_carry_their_state_from_window_to_window(self, rng):
        ids = rng.integers(0, 5, 101)
        one, two = (make("gru", outputs=5, loss="cross_entropy", depth=2, optimizer=SGD(0.5)) for _ in range(2))
        one.build(5, ids=True, rng=0)
        two.build(5, ids=True, rng=0)
        history = one.fit_batches(StreamBatches(ids, n_streams=4, steps=5), epochs=2, verbose=0)
        x, y = ids[:-1].reshape(4, 25), ids[1:].reshape(4, 25)
        losses = []
        for _ in range(2):
            state = None
            for t in range(0, 25, 5):
                loss, gradients, state = two.gradients(x[:, t : t + 5], y[:, t : t + 5], state=state)
                losses.append(loss)
                weights = two.named_weights()
                two.set_weights({name: w - 0.5 * gradients[name] for name, w in weights.items()})
        np.testing.assert_allclose(history.batches, losses, rtol=1e-6)
        np.testing.assert_allclose(one.parameters.flat, two.parameters.flat, rtol=1e-10, atol=1e-14)
        # One stream in windows of any width is one run over the whole.
        whole = one.evaluate(ids[None, :-1], ids[None, 1:])
        for steps in (100, 7):
            figures = one.evaluate_batches(StreamBatches(ids, n_streams=1, steps=steps))
            assert figures == {"loss": pytest.approx(whole, rel=1e-12), "weight": 100}

    def test_a_second_fit_goes_on_where_the_first_ended(self, rng):
        x, y = self.data(rng)
        one, two = (make(outputs=2, per_step=False, loss="cross_entropy", optimizer=Adam(0.01)) for _ in range(2))
        one.fit(x, y, epochs=4, verbose=0, rng=0, shuffle=False)
        first = two.fit(x, y, epochs=2, verbose=0, rng=0, shuffle=False)
        two.fit(x, y, epochs=2, verbose=0, rng=0, shuffle=False, history=first)
        bits(one.parameters.flat, two.parameters.flat)
        assert first.history == one.history.history

    def test_divergence_puts_the_last_finite_epoch_back(self, rng):
        x, y = rng.normal(size=(20, 30, 4)), rng.normal(size=(20, 30, 3))
        kept = []

        class Keep(Callback):
            def on_epoch_end(self, epoch, logs):
                kept.append(model.get_weights())
                if epoch == 1:
                    model.optimizer.learning_rate = 1e30

        model = make("rnn", dtype="float32", units=8)
        with np.errstate(all="ignore"), pytest.raises(DivergedError, match="those after epoch 2") as caught:
            model.fit(x, y, epochs=9, batch_size=5, verbose=0, rng=0, callbacks=[Keep()])
        assert caught.value.exit_code == 5 and len(kept) == 2
        for now, then in zip(model.get_weights(), kept[-1], strict=True):
            bits(now, then)
        assert np.isfinite(model.predict(x)).all()
        assert len(model.history.epoch) == 2

    def test_a_failed_call_leaves_the_model_as_it_was(self, rng):
        x, y = self.data(rng)
        model = make(outputs=2, per_step=False, loss="cross_entropy")
        for bad in (
            {"y": y + 1},
            {"epochs": 0},
            {"verbose": 7},
            {"callbacks": [print]},
            {"validation_split": 0.999},
            {"validation_data": (x[:, :, [0, 0]], y)},
            {"sample_weight": -np.ones(60)},
            {"rng": "seed"},
            {"history": 5},
        ):
            with pytest.raises(ElmanError):
                model.fit(**{"x": x, "y": y, "verbose": 0, **bad})
            assert not model.built and model.input_size is None and model.history is None
        history = model.fit(x, y, verbose=0)
        weights = model.parameters.flat.copy()
        with pytest.raises(DataError):
            model.fit(x[:, :, [0, 0]], y, verbose=0)
        batches = SequenceBatches(Ragged.from_list(list(x)), y, None, batch_size=9, per_step=False)
        for bad in (
            {"epochs": 0},
            {"verbose": 7},
            {"callbacks": [print]},
            {"history": 5},
            {"rng": "seed"},
        ):
            with pytest.raises(UsageError):
                model.fit_batches(batches, **{"verbose": 0, **bad})
            assert model.history is history
        bits(model.parameters.flat, weights)


# (what is done with the model, x, y), the error, and what its message must say.
X = np.random.default_rng(5).normal(size=(6, 5, 4))
Y = np.random.default_rng(6).integers(0, 3, 6)
H = np.ones((6, 6))  # a state of the first layer of `make`


class TestBadInput:
    def test_row_10_token_ids(self, rng):
        model = make(per_step=False)
        model.fit(rng.integers(0, 9, (6, 5)), np.zeros((6, 3)), verbose=0)
        for ids in ([[0, model.input_size]], [[0, -1]]):
            with pytest.raises(DataError, match=f"token id out of range, expected 0 to {model.input_size - 1}"):
                model.predict(np.array(ids))

    def test_a_state_may_be_lists_of_any_real_numbers(self, rng):
        model = make()
        model.build(4, rng=0)
        expected = model.predict(X, state=((H, H), ()))
        bits(model.predict(X, state=[[H.tolist(), H.astype(int)], []]), expected)

    def test_what_has_one_meaning_is_accepted(self, rng):
        model = make(metrics="acc", per_step=False, dtype=np.float32)
        assert [measure.name for measure in model.metrics] == ["accuracy"] and model.dtype == np.float32
        for share in (0.5, np.float32(0.5), np.float64(0.5)):
            again = make(metrics=["accuracy"], per_step=False, loss="cross_entropy")
            history = again.fit(X, Y, validation_split=share, class_weight={0: np.float32(2), 1: 1}, verbose=0, rng=0)
            assert len(history.history["val_accuracy"]) == 1

    def test_layers_that_do_not_fit_are_named_before_anything_is_built(self, rng):
        model = elman.Sequential([layers.GRU(3), layers.LSTM(2), layers.Dense(1)])
        model.compile("sgd", "mse")
        with pytest.raises(UsageError, match="return_sequences=True"):
            model.fit(X, np.zeros(6), verbose=0)
        assert not model.built

    def test_a_layer_of_another_model_is_refused(self, rng):
        layer = layers.GRU(3)
        first = elman.Sequential([layer, layers.Dense(1)])
        first.build(4, rng=0)
        expected = first.predict(X)
        with pytest.raises(UsageError, match="layer 'gru' belongs to another model"):
            elman.Sequential([layer, layers.Dense(1)]).build(4)
        bits(first.predict(X), expected)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    def test_a_build_that_is_stopped_can_be_done_again(self, rng, monkeypatch, error):
        model, expected = make(), make()
        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr(layers.Dense, "init", lambda *_: (_ for _ in ()).throw(error))
            model.build(4, rng=0)
        assert not model.built and not any(layer.built for layer in model.layers)
        for each in (model, expected):
            each.build(4, rng=0)
        bits(model.parameters.flat, expected.parameters.flat)


class TestKeeping:
    """What is saved, copied or written down comes back to the bit."""

    def trained(self, rng, **options):
        model = make(**{"depth": 2, "per_step": False, "optimizer": Adam(0.01), "clip": 1.0, **options})
        model.fit(X, rng.normal(size=(6, 3)), epochs=2, verbose=0, rng=0)
        return model

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_save_and_load(self, rng, tmp_path, dtype):
        model = self.trained(rng, dtype=dtype, metrics=["accuracy"])
        model.save(tmp_path / "m.elman")
        again = elman.load(tmp_path / "m.elman")
        assert again.config() == model.config()
        bits(again.predict(X), model.predict(X))
        assert list(again.named_weights()) == list(model.named_weights())
        np.testing.assert_allclose(again.history.history["loss"], model.history.history["loss"], rtol=1e-6)
        y = rng.normal(size=(6, 3))
        assert again.evaluate(X, y) == model.evaluate(X, y)
        again.fit(X, y, verbose=0, epochs=2)  # refit after load
        assert not np.array_equal(again.predict(X), model.predict(X))

    def test_a_model_of_token_ids_comes_back(self, rng, tmp_path):
        shared = layers.GRU(4, return_sequences=True)
        model = elman.Sequential([layers.Embedding(9, 4), shared, shared, layers.Dense(9, activation="softmax")])
        model.compile("adam", "cross_entropy")
        ids = rng.integers(0, 9, (5, 7))
        model.fit(ids, ids, verbose=0)
        model.save(tmp_path / "m.elman")
        again = elman.load(tmp_path / "m.elman")
        bits(again.predict(ids), model.predict(ids))
        assert again.layers[1] is again.layers[2]

    @pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_a_copy_goes_on_by_itself_to_the_bit(self, rng, way):
        model, never_copied = (self.trained(np.random.default_rng(7)) for _ in range(2))
        again = way(model)
        y = rng.normal(size=(6, 3))
        bits(again.predict(X), model.predict(X))
        before, history = model.parameters.flat.copy(), model.history.history
        again.fit(X, y, epochs=2, verbose=0, rng=5, history=again.history)
        bits(model.parameters.flat, before)
        assert model.history.history == history
        for each in (model, never_copied):
            each.fit(X, y, epochs=2, verbose=0, rng=5)  # Adam's moments came along, and stayed
        bits(model.parameters.flat, never_copied.parameters.flat)
        bits(again.parameters.flat, never_copied.parameters.flat)
        assert not np.array_equal(model.parameters.flat, before)

    def test_a_model_with_spoilt_weights_can_still_be_copied(self, rng):
        model = self.trained(rng)
        model.parameters.flat[3] = np.inf
        bits(copy.deepcopy(model).parameters.flat, model.parameters.flat)

    def test_an_optimizer_in_two_models_is_refused_and_one_let_go_is_taken_up(self, rng):
        optimizer, y = Adam(0.01), rng.normal(size=(6, 3))
        one, two = (self.trained(rng, optimizer=optimizer) if i == 0 else make(per_step=False) for i in range(2))
        two.compile(optimizer, "mse")
        with pytest.raises(UsageError, match="optimizer 'adam': it belongs to another model"):
            two.fit(X, y, verbose=0)
        one.compile(optimizer, "mse")
        one.fit(X, y, verbose=0)
        assert optimizer.steps == 3
        del one
        two.fit(X, y, verbose=0)
        assert optimizer.steps == 1

    def test_a_model_that_is_not_built_can_be_copied(self):
        model = make()
        again = pickle.loads(pickle.dumps(model))
        assert again.config() == model.config() and not again.built

    def test_config_is_written_down_and_read_back(self, rng):
        model = self.trained(rng, metrics=["accuracy"])
        config = model.config()
        again = elman.Sequential.from_config(config)
        assert again.config() == config and not again.built
        assert again.weight_shapes() == {name: w.shape for name, w in model.named_weights().items()}
        again.load_weights(model.named_weights())
        bits(again.predict(X), model.predict(X))

    @pytest.mark.parametrize(
        "change",
        [
            {"layers": []},
            {"layers": [{"type": "lstm", "units": 10**9}]},
            {"layers": [{"type": "transformer"}]},
            {"layers": [{"shared": "nobody"}]},
            {"layers": [{"type": "lstm", "units": 2, "code": "os.system"}]},
            {"layers": [{"type": "dense", "units": 2}] * 1001},
            {"layers": [{"type": "gru", "units": 2}, {"type": "gru", "units": 2}]},
            {"dtype": "float16"},
            {"input_size": 0},
            {"input_size": 2**60},
            {"compile": {"loss": "mse", "optimizer": {"type": "adam", "learning_rate": -1}}},
            {"compile": {"loss": "mse", "optimizer": {"type": "adam"}, "hook": 1}},
            {"surprise": True},
        ],
    )
    def test_a_config_that_is_not_sane_is_refused(self, rng, change, tmp_path):
        model = self.trained(rng)
        with pytest.raises(UsageError):
            elman.Sequential.from_config({**model.config(), **change})
        meta = files.Meta(version="1", task="model", config={**model.config(), **change})
        files.save(tmp_path / "m.elman", model.named_weights(), meta)
        with pytest.raises(ModelFileError):
            elman.load(tmp_path / "m.elman")

    def test_weights_as_lists_and_by_name(self, rng):
        model = self.trained(rng)
        out = model.predict(X)
        listed, named = model.get_weights(), model.named_weights()
        assert [w.shape for w in listed] == [w.shape for w in named.values()]
        assert list(named)[:4] == ["lstm.weight_ih", "lstm.weight_hh", "lstm.bias", "lstm_2.weight_ih"]
        model.set_weights([w * 2 for w in listed])
        assert not np.allclose(model.predict(X), out)  # packed weights were made anew
        model.set_weights(named)
        bits(model.predict(X), out)
        listed[0][:] = 0  # a copy
        bits(model.predict(X), out)
        with pytest.raises(UsageError, match="set_weights: the number of arrays is wrong, expected 8"):
            model.set_weights(listed[:3])
        with pytest.raises(UsageError, match=r"'dense\.bias' has shape"):
            model.set_weights({**named, "dense.bias": np.zeros(9)})
        with pytest.raises(UsageError, match="the weights do not fit"):
            elman.Sequential.from_config(model.config()).load_weights({})

    def test_names_are_those_of_keras(self):
        model = elman.Sequential(
            [layers.LSTM(1, return_sequences=True) for _ in range(3)]
            + [layers.Dense(1, name="lstm_2"), layers.Dense(1)]
        )
        assert [layer.name for layer in model.layers] == ["lstm", "lstm_3", "lstm_4", "lstm_2", "dense"]

    def test_first_weights_come_from_the_seed(self):
        flats = []
        for seed in (1, 1, spawn(1).init, 2):
            model = make()
            model.build(4, rng=seed)
            flats.append(model.parameters.flat)
        bits(flats[0], flats[1])
        bits(flats[0], flats[2])
        assert not np.array_equal(flats[0], flats[3])

    def test_summary(self, capsys, rng):
        model = elman.Sequential([layers.Embedding(65, 32), layers.LSTM(128), layers.Dense(65)], name="reader")
        model.summary()
        text = capsys.readouterr().out
        assert "not built" not in text and "98,049" not in text
        model.build(65, rng=0)
        model.summary()
        text = capsys.readouterr().out
        rows = [line.split("  ") for line in text.splitlines()]
        for words in (
            ["reader"],
            ["embedding (Embedding)", "(batch, steps, 32)", "2,080"],
            ["lstm (LSTM)", "(batch, 128)", "82,432"],
            ["dense (Dense)", "(batch, 65)", "8,385"],
            ["total, float32", "371.6 kB", "92,897"],
        ):
            assert any(all(word in [cell.strip() for cell in row] for word in words) for row in rows), (words, text)
        assert model.count_params() == 92_897 == sum(w.size for w in model.get_weights())
        make().summary()
        assert "not built" in capsys.readouterr().out
