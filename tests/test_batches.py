"""What training runs over: every sequence once, every transition once, views where promised."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError, UsageError
from elman.ragged import Ragged
from elman.training import batches as batches_module
from elman.training.batches import SequenceBatches, part_of
from elman.training.streams import StreamBatches


def ragged(lengths, seed=0, features=3):
    return Ragged(np.random.default_rng(seed).normal(size=(sum(lengths), features)), lengths)


def rows_of(x, target, weights, per_step):
    """Give each sequence with its rows of the target and the weights, as bytes that can be compared and sorted."""
    ends = x.offsets if per_step else np.arange(len(x) + 1)
    rows = target.split() if isinstance(target, Ragged) else [target[ends[i] : ends[i + 1]] for i in range(len(x))]
    each = [weights[ends[i] : ends[i + 1]] for i in range(len(x))]
    return [(a.tobytes(), b.tobytes(), c.tobytes()) for a, b, c in zip(x.split(), rows, each, strict=True)]


lengths_lists = st.lists(st.integers(0, 5), min_size=1, max_size=9).filter(sum)


@given(
    lengths=st.one_of(lengths_lists, st.integers(1, 9).map(lambda n: [4] * n)),
    batch_size=st.integers(1, 11),
    target_form=st.sampled_from(["per step", "per sequence", "labels"]),
    shuffled=st.booleans(),
    bucketed=st.booleans(),
    budget=st.one_of(st.none(), st.integers(5, 14)),
    bounded=st.booleans(),
    gathered=st.sampled_from([1, 20, 65_536]),
)
def test_every_sequence_comes_once_with_its_own_rows(
    lengths, batch_size, target_form, shuffled, bucketed, budget, bounded, gathered
):
    x = ragged(lengths)
    rng = np.random.default_rng(1)
    per_step = target_form == "per step"
    n_rows = x.n_steps if per_step else len(x)
    target, weights = rng.normal(size=(n_rows, 2)), rng.random(n_rows)
    if target_form == "labels":
        of_each = rng.integers(0, 4, len(x))
        target = Ragged(rng.integers(0, 99, of_each.sum()), of_each)
    batches = SequenceBatches(
        x,
        target,
        weights,
        batch_size=batch_size if bounded or budget is None else None,
        per_step=per_step,
        shuffle=rng if shuffled else None,
        bucket_by_length=bucketed,
        token_budget=budget,
    )
    given_back = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "GATHER", gathered)
        every = list(batches)
    assert len(batches) == len(every)
    sizes = []
    for batch in every:
        assert batch.reset_state and len(batch.x) > 0
        sizes.append(len(batch.x))
        assert budget is None or batch.x.n_steps <= budget
        again = Ragged(batch.x.values, batch.x.lengths)  # checks lengths against values
        np.testing.assert_array_equal(batch.x.offsets, again.offsets)
        assert batch.x.uniform == again.uniform
        given_back += rows_of(batch.x, batch.target, batch.weights, per_step)
    assert (budget is not None and not bounded) or max(sizes) <= batch_size
    if budget is None:
        assert len(every) == -(-len(lengths) // batch_size) and sorted(sizes)[1:] == [batch_size] * (len(sizes) - 1)
    expected = rows_of(x, target, weights, per_step)
    if not shuffled and bucketed:
        assert [len(row[0]) for row in given_back] == sorted(len(row[0]) for row in expected)
    if shuffled or bucketed:
        given_back, expected = sorted(given_back), sorted(expected)
    assert given_back == expected


def test_a_bucket_holds_similar_lengths_and_other_ones_every_epoch():
    lengths = np.random.default_rng(0).integers(1, 400, 900)
    x, target = ragged(lengths, features=1), np.arange(900)

    def epochs(seed, **options):
        shuffle = np.random.default_rng(seed)
        batches = SequenceBatches(x, target, batch_size=8, per_step=False, shuffle=shuffle, **options)
        return [[(batch.x.lengths, batch.target.tolist()) for batch in batches] for _ in range(2)]

    def spread(epoch):
        return np.mean([lengths.max() - lengths.min() for lengths, _ in epoch])

    one, two = epochs(1, bucket_by_length=True)
    assert spread(one) < spread(epochs(1)[0]) / 20
    assert {frozenset(rows) for _, rows in one} != {frozenset(rows) for _, rows in two}
    longest = [lengths.max() for lengths, _ in one]
    assert longest != sorted(longest)  # the batches are shuffled too
    again = epochs(1, bucket_by_length=True)
    assert [rows for _, rows in again[1]] == [rows for _, rows in two]
    assert [rows for _, rows in epochs(2, bucket_by_length=True)[0]] != [rows for _, rows in one]


def test_pools_are_small_where_there_are_many_sequences(monkeypatch):
    # Sorted within 3 batches of 4 only: a pool holds short and long ones.
    monkeypatch.setattr(batches_module, "POOL", 3)
    x = ragged(list(range(1, 49)), features=1)
    batches = SequenceBatches(
        x, np.arange(48), batch_size=4, per_step=False, shuffle=np.random.default_rng(0), bucket_by_length=True
    )
    spreads = [batch.x.lengths.max() - batch.x.lengths.min() for batch in batches]
    assert 4 < np.mean(spreads) < 30


def test_a_budget_is_filled():
    lengths = [5, 4, 1, 9, 10, 1, 1, 1, 0, 0]
    batches = SequenceBatches(ragged(lengths), np.arange(10), per_step=False, token_budget=10)
    assert [batch.target.tolist() for batch in batches] == [[0, 1, 2], [3], [4], [5, 6, 7, 8, 9]]
    assert len(batches) == 4 and batches.most_sequences == 1
    batches = SequenceBatches(ragged(lengths), np.arange(10), per_step=False, token_budget=10, batch_size=2)
    assert [batch.target.tolist() for batch in batches] == [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9]]


def test_only_the_first_batch_of_an_epoch_begins_anew_where_state_is_carried():
    x, target = ragged([3] * 12), np.arange(12)
    batches = SequenceBatches(x, target, batch_size=4, per_step=False, carry_state=True)
    assert batches.carries_state
    for _ in range(2):
        assert [(batch.reset_state, batch.target.tolist()) for batch in batches] == [
            (True, [0, 1, 2, 3]),
            (False, [4, 5, 6, 7]),
            (False, [8, 9, 10, 11]),
        ]


@pytest.mark.parametrize(("batch_size", "shuffled"), [(1, False), (4, False), (1, True)])
@pytest.mark.parametrize("lengths", [[5] * 10, [1, 0, 4, 2, 2, 3, 1, 5, 0, 2]])
def test_batches_in_order_or_of_one_are_views(rng, lengths, batch_size, shuffled):
    x = ragged(lengths)
    target = rng.normal(size=(x.n_steps, 1))
    batches = SequenceBatches(x, target, batch_size=batch_size, per_step=True, shuffle=rng if shuffled else None)
    for batch in batches:
        assert batch.weights is None
        if batch.x.n_steps:
            assert np.shares_memory(batch.x.values, x.values) and np.shares_memory(batch.target, target)


def test_every_epoch_has_its_own_order_and_a_seed_repeats_them():
    x, target = ragged([2] * 30), np.arange(30.0)[:, None]

    def orders(seed):
        batches = SequenceBatches(x, target, batch_size=7, per_step=False, shuffle=np.random.default_rng(seed))
        return [[row for batch in batches for row in batch.target[:, 0].tolist()] for _ in range(3)]

    first = orders(1)
    assert first == orders(1) != orders(2)
    assert len({tuple(order) for order in first}) == 3
    assert all(sorted(order) == list(range(30)) for order in first)


def test_part_of_gives_views_with_their_own_offsets():
    x = ragged([3, 0, 2, 4])
    part = part_of(x, 1, 3)
    assert part.lengths.tolist() == [0, 2] and part.offsets.tolist() == [0, 0, 2]
    assert np.shares_memory(part.values, x.values)
    np.testing.assert_array_equal(part.values, x.values[3:5])


@given(n=st.integers(2, 200), n_streams=st.integers(1, 12), steps=st.integers(1, 30))
def test_streams_use_every_transition_once_and_carry_on(n, n_streams, steps):
    n_streams = min(n_streams, n - 1)
    ids = np.arange(n, dtype=np.uint16) * 3  # all different, so a token tells where it stood
    batches = StreamBatches(ids, n_streams=n_streams, steps=steps)
    windows = list(batches)
    assert len(windows) == len(batches)
    streams = [[] for _ in range(n_streams)]
    for number, batch in enumerate(windows):
        assert batch.reset_state == (number == 0)
        assert len(batch.x) == n_streams and batch.weights is None
        assert batch.x.values.dtype == batch.target.dtype == np.int64
        assert batch.x.n_steps > 0
        Ragged(batch.x.values, batch.x.lengths)
        assert batch.x.lengths.max() - batch.x.lengths.min() <= 1
        limit = steps if number < len(windows) - 1 or steps == 1 else steps + 1
        assert batch.x.lengths.max() <= limit
        np.testing.assert_array_equal(batch.target, batch.x.values + 3)  # the token after it
        for stream, part in zip(streams, batch.x.split(), strict=True):
            stream += part.tolist()
    lengths = [len(stream) for stream in streams]
    assert max(lengths) - min(lengths) <= 1
    # Laid end to end the streams are the whole text but for its last token: contiguous, none dropped, none twice.
    assert list(itertools.chain(*streams)) == ids[:-1].tolist()
    assert batches.n_items == n - 1


def test_a_single_step_left_over_joins_the_window_before():
    lengths = [int(batch.x.lengths.max()) for batch in StreamBatches(np.arange(22), n_streams=2, steps=5)]
    assert lengths == [5, 6]  # 21 transitions, streams of 11 and 10
    assert [len(b.target) for b in StreamBatches(np.arange(22), n_streams=2, steps=5)] == [10, 11]
    assert [len(b.target) for b in StreamBatches(np.arange(4), n_streams=1, steps=1)] == [1, 1, 1]


def test_one_stream_of_int64_is_a_view():
    ids = np.arange(50)
    for batch in StreamBatches(ids, n_streams=1, steps=20):
        assert np.shares_memory(batch.x.values, ids) and np.shares_memory(batch.target, ids)


def cut(**options):
    return SequenceBatches(ragged([2, 6, 3]), np.zeros(3), **{"batch_size": 2, "per_step": False, **options})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: StreamBatches(np.arange(1), n_streams=1, steps=5), DataError, "1 tokens are too few for 1 streams"),
        (lambda: StreamBatches(np.arange(5), n_streams=5, steps=5), DataError, "expected at least 6"),
        (lambda: StreamBatches(np.zeros(5), n_streams=1, steps=5), DataError, r"expected \(N,\) integers"),
        (lambda: StreamBatches(np.arange(5), n_streams=0, steps=5), UsageError, "n_streams: this is no count"),
        (lambda: StreamBatches(np.arange(5), n_streams=1, steps=2.0), UsageError, "steps: this is no count"),
        (
            lambda: SequenceBatches(ragged([1]), np.zeros((1, 1)), batch_size=0, per_step=True),
            UsageError,
            "batch_size: this is no count, expected an integer >= 1, got 0",
        ),
        (
            lambda: SequenceBatches(ragged([1]), np.zeros((1, 1)), batch_size=True, per_step=True),
            UsageError,
            "batch_size",
        ),
        (lambda: cut(batch_size=None), UsageError, "batch_size: this is no count, .*, got None"),
        (lambda: cut(token_budget=0), UsageError, "token_budget: this is no count"),
        (
            lambda: cut(token_budget=4),
            DataError,
            "fit: sequence 1 alone is longer than token_budget, expected at most 4 steps, got 6. Raise token_budget",
        ),
        (lambda: cut(bucket_by_length=1), UsageError, "bucket_by_length is neither True nor False, got 1"),
        (
            lambda: cut(carry_state=True),
            DataError,
            "3 sequences do not divide into batches of 2 that carry their state, .*, got 1 left over. "
            "Leave out 1 of them, or take a batch_size that divides 3",
        ),
        (
            lambda: cut(carry_state=True, token_budget=10, bucket_by_length=True),
            UsageError,
            "carry_state does not go with bucket_by_length and token_budget. .* the order has to stay",
        ),
        (lambda: cut(carry_state=True, shuffle=np.random.default_rng(0)), UsageError, "does not go with shuffle"),
    ],
)
def test_wrong_counts_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_buckets_of_single_sequences_come_in_random_order(rng):
    x = Ragged(np.arange(465.0)[:, None], np.arange(1, 31))
    batches = SequenceBatches(
        x, np.zeros((30, 1)), batch_size=1, per_step=False, bucket_by_length=True, shuffle=np.random.default_rng(0)
    )
    lengths = [int(batch.x.lengths[0]) for batch in batches]
    assert sorted(lengths) == list(range(1, 31)) != lengths
    assert lengths != [int(batch.x.lengths[0]) for batch in batches]
