"""The benchmark itself: what it counts, that it notices wrong answers, and that a small run goes through."""

import importlib.util
import json
import runpy
import sys
import threading
import time
from argparse import Namespace
from itertools import islice

import msgspec
import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

import elman
from benchmarks import answers, bench, ceilings, memory, pages, plan, report, results, summary, timing, training
from benchmarks.grid import GRID, NAMED, POINTS, Point, affordable, cost
from benchmarks.layer import Layer
from benchmarks.peers import Problem, elman_side
from benchmarks.peers.keras_side import from_keras, keras_weights
from benchmarks.peers.problem import LeftOutError
from benchmarks.peers.roll import Roll
from benchmarks.results import Ceiling, Key, Row, Timed
from benchmarks.streaming import contestants as open_streams
from benchmarks.timing import Budget, Local, Timing, alternate
from elman.cells import CELLS
from elman.cells.gate_orders import ORDERS, reorder

TINY = Point(3, 4, 2, 5, "a test")
HASTE = Budget(seconds=0.0, slice_seconds=1e-4, rounds=1, settle=0.0)


@pytest.fixture(autouse=True)
def threads_are_left_alone():
    """Give everybody back the threads they had."""
    torch = sys.modules.get("torch")
    before = elman.show_config()["threads"], torch.get_num_threads() if torch else None
    yield
    elman.set_threads(before[0])
    if torch:
        torch.set_num_threads(before[1])


def needs(module):
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


# --- what a point costs ----------------------------------------------------------------------------------------------


def test_operations_of_a_forward_pass_are_those_of_its_products():
    # Per step of each of the 3 sequences: a (20, 2) and a (20, 5) matrix by a vector, a product and a sum each.
    assert cost("lstm", TINY, "forward").flops == 3 * 4 * (2 * 20 * 2 + 2 * 20 * 5)


def test_operations_of_both_passes_add_dw_dr_and_the_way_back_through_r():
    forward = 3 * 4 * (2 * 15 * 2 + 2 * 15 * 5)
    backward = 3 * 4 * (2 * 15 * 2 + 2 * 15 * 5 + 2 * 15 * 5)
    assert cost("gru", TINY, "forward+backward").flops == forward + backward


def test_ragged_points_cost_what_their_steps_cost_and_two_directions_twice_as_much():
    point = POINTS["ragged100"]
    steps = int(point.lengths().sum())
    assert steps < point.batch * point.steps
    assert cost("rnn", point, "forward").flops == 2 * 128 * (64 + 128) * steps
    assert cost("bilstm", point, "forward").flops == 2 * cost("lstm", point, "forward").flops


def test_bytes_are_every_array_once_and_r_again_at_every_later_step():
    found = cost("rnn", TINY, "forward", "float64")
    assert found.once == 8 * (12 * 2 + 5 * 2 + 5 + 25 + 12 * 5)  # x, W, b, R, y
    assert found.again == 8 * 25 * 3
    assert found.bytes == found.once + found.again


def test_points_beyond_a_hundred_gflop_are_left_out_for_the_cell_that_is_too_dear():
    point = GRID["b64-t1000-h256"]
    assert cost("rnn", point, "forward+backward").flops == 64_000 * (10 * 256 * 256)
    assert affordable("rnn", point) and not affordable("lstm", point)


def test_the_machine_cannot_be_faster_than_its_arithmetic_and_its_memory():
    ceiling = Ceiling("float32", 1, "start", {"numpy": 50.0, "elman": 40.0}, {"1000000": 2e9, "64000000": 1e9})
    found = ceilings.least_us(cost("rnn", TINY, "forward", "float32"), ceiling, peak_gflops=50.0)
    assert found["arithmetic"] == pytest.approx(840 / 50e9 * 1e6, abs=1e-3)  # as many digits as are written down
    assert found["memory"] == pytest.approx((124 + 75) * 4 / 2e9 * 1e6, abs=1e-3)
    assert ceilings.read_speed(ceiling, 1e9) == 1e9
    assert ceilings.fastest(ceiling) == "numpy"


# --- answers are compared before anything is timed -------------------------------------------------------------------


def both(problem, side):
    return side.read(side.passes["forward+backward"]())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", list(CELLS))
def test_elman_and_the_reference_agree(cell, dtype):
    problem = Problem(cell, TINY._replace(steps=20, ragged=True), dtype=dtype, threads=1)
    found = both(problem, elman_side.elman(problem))
    answers.compare("elman", found, both(problem, elman_side.numpy_reference(problem)), dtype=dtype)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_weights_in_another_gate_order_are_noticed(cell):
    problem = Problem(cell, TINY, dtype="float32", threads=1)
    expected = both(problem, elman_side.numpy_reference(problem))
    ours, theirs = ORDERS[cell]["elman"], ORDERS[cell]["onnx"]
    (weights,) = problem.directions
    problem.directions = [weights | {"weight_hh": reorder(weights["weight_hh"], ours, theirs)}]
    found = both(problem, elman_side.elman(problem))
    with pytest.raises(AssertionError, match=r"mixed y: the answers differ by .* tolerance 1e-05"):
        answers.compare("mixed", found, expected, dtype="float32")


def test_a_gradient_that_is_off_or_missing_is_noticed():
    problem = Problem("gru", TINY, dtype="float64", threads=1)
    right = both(problem, elman_side.numpy_reference(problem))
    off = {name: gradient.copy() for name, gradient in right.grads.items()}
    off["layer.bias_hn"][0] *= 1 + 1e-9
    with pytest.raises(AssertionError, match=r"d_layer\.bias_hn"):
        answers.compare("off", right._replace(grads=off), right, dtype="float64")
    off.pop("layer.bias_hn")
    with pytest.raises(AssertionError, match="gradients"):
        answers.compare("off", right._replace(grads=off), right, dtype="float64")
    with pytest.raises(AssertionError, match="shapes"):
        answers.compare("off", right._replace(y=right.y[:-1]), right, dtype="float64")


@pytest.mark.parametrize("cell", list(CELLS))
def test_weights_go_to_keras_and_gradients_come_back_in_our_order(cell):
    (weights,) = Problem(cell, TINY, dtype="float64", threads=1).directions
    back = from_keras(cell, keras_weights(cell, weights))
    assert back.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(("peer", "module"), [("torch", "torch"), ("onnxruntime", "onnx"), ("jax", "jax")])
@pytest.mark.parametrize("cell", list(CELLS))
def test_each_peer_that_is_here_gives_the_same_answers(cell, peer, module):
    pytest.importorskip(module, reason=f"{module} is not installed")
    point = TINY._replace(steps=20, ragged=True)
    with Roll.call((peer, "numpy"), threads=1) as roll:  # Layer raises if they differ
        layer = Layer(cell, point, roll, dtype="float32", threads=1, flops=0)
    assert peer in layer.contestants["forward"]
    assert (peer in layer.contestants["forward+backward"]) == (peer != "onnxruntime")


@needs("torch")
def test_padded_bidirectional_layers_of_torch_are_known_to_compute_something_else():
    with Roll.call(("torch",), threads=1) as roll:
        layer = Layer("bilstm", POINTS["ragged100"]._replace(hidden=8), roll, dtype="float32", threads=1, flops=0)
    assert set(layer.notes) == {"torch"}


def test_streams_of_everybody_here_agree_with_the_reference_step_by_step():
    with Roll.call(("numpy", "keras"), threads=1, python=ROOT / "nowhere") as roll:
        found, left_out = open_streams("lstm", TINY._replace(steps=1), roll, dtype="float64", threads=1)
    assert set(found) == {"elman", "numpy"}
    assert "no environment with Keras" in left_out["keras"]


def test_a_cell_that_a_peer_cannot_do_is_left_out_with_a_reason():
    with pytest.raises(LeftOutError, match="bilstm"):
        elman_side.numpy_reference(Problem("bilstm", TINY, dtype="float32", threads=1))


@needs("torch")
@pytest.mark.parametrize("cell", list(CELLS))
def test_programs_have_the_same_losses_before_and_after_a_step(cell):
    program = training.Program((4, 3, 7), cell, 5, 7, "cross_entropy", 2, n_layers=2, per_step=True, ids=True)
    with Roll.call(("torch",), threads=1) as roll:
        found, left_out = training.contestants(program, roll)
    assert set(found) == {"elman", "torch"}
    assert not left_out
    assert program.steps == 2
    found["torch"]()


@needs("torch")
def test_programs_with_other_weights_are_noticed(monkeypatch):
    program = training.Program((4, 3, 2), "gru", 5, 1, "mse", 2)
    draw = training.elman_program

    def scaled(given):
        model, fit = draw(given)
        model.set_weights({name: array * 1.001 for name, array in model.named_weights().items()})
        return model, fit

    monkeypatch.setattr(training, "elman_program", scaled)
    with (
        Roll.call(("torch",), threads=1) as roll,
        pytest.raises(AssertionError, match="the same weights, other losses"),
    ):
        training.contestants(program, roll)


@pytest.mark.skipif(not memory.CLEAR.exists(), reason="resident memory is read from /proc")
def test_memory_is_measured_in_a_process_of_its_own(monkeypatch):
    monkeypatch.chdir(ROOT)
    point = NAMED["mid"]
    tape = 4 * point.batch * point.steps * (4 + 1) * point.hidden  # bytes of the gates and the cell state in float32
    assert memory.measure("elman", "lstm", "mid", threads=1) > tape


# --- timing ----------------------------------------------------------------------------------------------------------


def test_ratios_are_taken_within_the_rounds_that_both_have():
    ours, theirs = Timing((1.0, 10.0, 1.0)), Timing((3.0, 30.0, np.nan))
    assert theirs.over(ours) == 3.0
    assert ours.median == 1.0
    assert theirs.per(3).rounds[:2] == (1.0, 10.0)


def test_who_is_far_behind_is_measured_in_three_rounds_only():
    class Paced:
        def __init__(self, pace):
            self.pace = pace

        def __call__(self):
            return None

        def seconds(self, calls):
            return self.pace

    budget = Budget(seconds=np.inf, slice_seconds=0.0, rounds=6, settle=0.0)
    found = alternate({"elman": Paced(1.0), "torch": Paced(2.0), "numpy": Paced(9.0)}, budget)
    assert {who: int(np.isfinite(timing.rounds).sum()) for who, timing in found.items()} == {
        "elman": 6,
        "torch": 6,
        "numpy": 3,
    }
    assert found["numpy"].over(found["elman"]) == 9.0


def test_calls_are_repeated_to_fill_a_slice():
    found = alternate({"elman": Local(lambda: None)}, Budget(seconds=0.01, slice_seconds=1e-3, rounds=4, settle=0.0))
    assert found["elman"].calls > 10


# --- what is written down, and what is said about it -----------------------------------------------------------------


def row(point, cell, times, **options):
    """Make a row of a forward pass from names and microseconds."""
    timed = {who: Timed(median_us=us, q1_us=us, q3_us=us, rounds=3, calls=1) for who, us in times.items()}
    ratios = {who: us / times["elman"] for who, us in times.items() if who != "elman"}
    return Row(*Key("forward", point, cell, "float32", 2), 1, 1, 1, 1, 1, times=timed, times_elman=ratios, **options)


def a_report(*rows):
    made = results.new_report({"arguments": ""})
    made.rows = list(rows)
    return made


def test_the_geometric_mean_is_over_the_best_peer_of_each_point():
    made = a_report(
        row("mid", "lstm", {"elman": 10.0, "torch": 20.0, "jax": 90.0, "elman, equal lengths": 1.0}),
        row("large", "lstm", {"elman": 10.0, "torch": 900.0, "jax": 80.0}),
        row("small", "lstm", {"elman": 10.0, "torch": 5.0}, notes={"torch": "computes something else"}),
    )
    assert summary.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert [summary.lead(each) for each in made.rows] == [2.0, 8.0, None]
    (line,) = summary.means(made).rows
    assert line[1:6] == ["lstm", "2", "4.00×", "2.00×", "0"]


def test_points_where_somebody_else_is_faster_are_listed():
    slow = row("mid", "rnn", {"elman": 10.0, "torch": 9.0}, of_peak={"elman": 0.81, "torch": 0.9})
    (line,) = summary.behind(a_report(slow, row("large", "rnn", {"elman": 1.0, "torch": 2.0}))).rows
    assert (line[1], *line[5:]) == ("mid", "torch", "0.90×", "81%", "90%")


def test_shares_of_the_limits():
    each = row("mid", "rnn", {"elman": 10.0}, least_us={"arithmetic": 5.0, "memory": 8.0})
    assert summary.of_roof(each) == pytest.approx(0.8)
    ragged = row("ragged", "rnn", {"elman": 11.0, "elman, equal lengths": 10.0})
    assert summary.per_step_over_equal(ragged) == pytest.approx(1.1)
    rounded = row("mid", "rnn", {"elman": 10.0, "elman, bfloat16": 4.0, "torch": 20.0})
    (line,) = summary.formats(a_report(ragged, rounded)).rows
    assert line[-2:] == ["", "2.50×"]


def test_a_report_is_read_as_it_was_written_and_refused_if_it_does_not_fit(tmp_path):
    made, path = a_report(row("mid", "rnn", {"elman": 1.0, "torch": 2.0})), tmp_path / "run.json"
    results.write(path, made)
    assert results.read(path) == made
    fields = json.loads(path.read_text())
    for change in ({"rows": [fields["rows"][0] | {"speed": 1}]}, {"rows": [fields["rows"][0] | {"threads": 0}]}):
        path.write_text(json.dumps(fields | change))
        with pytest.raises(msgspec.ValidationError):
            results.read(path)
    path.write_text(json.dumps(fields | {"format": 2}))
    with pytest.raises(ValueError, match="format 2, expected 1"):
        results.read(path)


def test_a_run_of_other_sources_is_not_continued():
    made = a_report()
    assert results.why_not_continue(made, made) is None
    assert "commit" in results.why_not_continue(made, msgspec.structs.replace(made, commit="another"))


def test_the_page_shows_every_table_of_the_published_run(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert pages.page() == pages.NOTHING_YET
    fast = row("mid", "rnn", {"elman": 8.0, "jax": 2.0}, flops=1e6, of_peak={"elman": 0.5, "jax": 0.8})
    results.write(tmp_path / "published-bench-2026-01-02.json", a_report(fast))
    page = pages.page()
    assert "published-bench-2026-01-02.json" in page
    assert "| forward | mid | rnn | float32 | 2 | jax | 0.25× | 50% | 80% |" in page
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    runpy.run_path(str(ROOT / "docs" / "figures" / "benchmarks.py"))
    (number,) = pyplot.get_fignums()
    pyplot.figure(number).canvas.draw()
    pyplot.close(number)
    assert set(NAMED) <= {line.split("|")[1].strip() for line in pages.point_table().splitlines()}
    table = summary.Table("t", ("a", "b"), [["1", "2"]])
    assert report.markdown(table) == "| a | b |\n|---|---:|\n| 1 | 2 |"


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_the_plan_has_every_cell_point_and_measure():
    jobs = plan.everything(2)
    assert len(jobs) == len(set(jobs))
    assert {job.measure for job in jobs} == set(plan.MEASURES)
    named = {(j.cell, j.dtype, j.threads) for j in jobs if j.measure == "layers" and j.point == "large"}
    assert named == {(cell, dtype, threads) for cell in CELLS for dtype in plan.DTYPES for threads in (1, 2)}
    assert {job.measure for job in plan.quick(2)} == set(plan.MEASURES)
    assert {job.threads for job in plan.quick(2)} == {2}


def test_filters_choose_within_a_kind_and_cross_between_kinds():
    jobs = plan.everything(2)
    found = plan.select(jobs, only=("lstm", "gru", "layers"), points=("mid", "large"), threads=(2,))
    assert {(job.cell, job.point) for job in found} == {(c, p) for c in ("lstm", "gru") for p in ("mid", "large")}
    assert {(job.measure, job.threads) for job in found} == {("layers", 2)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "lsmt"], "--only: lsmt is unknown, expected of rnn, lstm"),
        (["--points", "huge"], "--points: huge is unknown"),
        (["--peers", "caffe"], "--peers: caffe is unknown"),
        (["--threads", "0"], "--threads: 0 is out of range"),
        (["--only", "memory", "--points", "adder"], "nothing is left to measure"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert bench.main(options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@needs("torch")
def test_a_run_of_one_small_point_goes_through_and_can_be_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    options = ["--points", "adder", "--only", "layers,rnn,float32", "--threads", "1", "--peers", "torch,numpy"]
    options = [*options, "--seconds", "0"]
    parsed = bench.parser().parse_args([*options, "--child", "1"])
    path = tmp_path / "bench.json"
    bench.begin(path, resume=False, settings={})
    monkeypatch.setattr(bench, "FULL", HASTE)
    monkeypatch.setattr(ceilings, "PRODUCT_SIZE", 64)
    monkeypatch.setattr(ceilings, "READ_SIDES", (64,))
    assert bench.measure(parsed, path) == 0
    done = results.read(path)
    assert [each.key.measure for each in done.rows] == ["forward", "forward+backward"]
    for each in done.rows:
        assert set(each.times) == {"elman", "torch", "numpy"}
        assert each.times_elman["torch"] > 0 and each.left_out == {"torch packed": "all sequences are equally long"}
        assert set(each.of_peak) == set(each.times)
        assert each.least_us["arithmetic"] > 0
    assert [ceiling.when for ceiling in done.ceilings] == ["start", "end"]
    bench.begin(path, resume=True, settings={})
    assert bench.measure(parsed, path) == 0
    assert results.read(path).rows == done.rows
    assert summary.tables(done)


def test_a_rest_lasts_until_threads_of_the_process_are_idle():
    working = threading.Event()
    end = time.perf_counter() + 0.15

    def spin():
        working.set()
        while time.perf_counter() < end:
            pass

    spinner = threading.Thread(target=spin)
    spinner.start()
    working.wait()
    timing.rest(0.01)
    assert time.perf_counter() >= end
    spinner.join()
    began = time.perf_counter()
    timing.rest(0.0)
    assert time.perf_counter() - began < timing.LONGEST_REST_SECONDS


def test_the_long_job_on_input(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks import input as job

    all_cases = job.cases
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be " * 1000)
    rows = job.characters(Namespace(megabytes=1, rounds=1, data=str(text)))
    assert {row["text"] for row in rows} == {"ascii", "chinese"} and all(row["million_per_second"] for row in rows)
    monkeypatch.setattr(job, "cases", lambda: islice(all_cases(), 1))
    [row] = job.batches(Namespace(rounds=1))
    assert row["point"].startswith("streams") and row["prepare_us"] < row["step_us"]
    out = capsys.readouterr().out
    assert "1 MB of text" in out and "with a thread over without" in out
