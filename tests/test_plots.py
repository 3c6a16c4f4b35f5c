"""The training curve: drawn without a screen, for every history there can be."""

import os
import subprocess
import sys
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest

from elman.errors import SaveError, UsageError
from elman.inspection import training_curve
from elman.training.history import History

pytest.importorskip("matplotlib", reason="needs the extra [plot]")
pytestmark = pytest.mark.filterwarnings("error")  # an empty legend, a percentile of nothing, a font that is not there


def history(n_epochs=3, n_batches=10, names=("loss", "val_loss"), *, scale=1.0, spoiled=()):
    made = History()
    for step in range(n_epochs * n_batches):
        made.record_batch(scale * (1 + np.exp(-step / 20)))
    for value in spoiled:
        made.record_batch(value)
    for epoch in range(n_epochs):
        made.add_epoch({name: scale * (1 + np.exp(-epoch)) for name in names})
    return made


def pixels(path):
    """Return the picture as an array (rows, columns, 4) in [0, 1]."""
    from matplotlib.image import imread

    return imread(BytesIO(path.read_bytes()), format="png")


def texts(path):
    """Return all text of a picture; matplotlib writes what glyphs spell into comments of the SVG."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    tree = ElementTree.parse(path, parser)
    return [node.text.strip() for node in tree.iter(ElementTree.Comment)]


def has_color(image, color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return bool((np.abs(image[..., :3] - rgb).max(axis=-1) < 0.02).sum() > 20)


def test_the_picture_shows_both_curves_over_the_batches(tmp_path):
    training_curve(history(), tmp_path / "curve.png")
    image = pixels(tmp_path / "curve.png")
    assert image.shape[0] > 300 and image.shape[1] > 900
    assert all(has_color(image, color) for color in ("#0072B2", "#D55E00", "#8FB8D6"))


def test_the_picture_is_returned_and_need_not_be_written(tmp_path):
    figure = training_curve(history(), title="loss of a run")
    assert figure.axes[0].get_ylabel() == "loss" and figure.get_suptitle() == "loss of a run"
    assert not os.listdir(tmp_path)


def test_the_picture_is_labelled_and_other_measures_have_their_panel(tmp_path):
    made = history(names=("loss", "val_loss", "accuracy", "val_accuracy", "val_perplexity"))
    training_curve(made, tmp_path / "curve.svg", title="sonnets.elman")
    found = texts(tmp_path / "curve.svg")
    labels = {"sonnets.elman", "epoch", "loss", "accuracy", "perplexity", "training", "validation", "batches"}
    assert labels <= set(found)
    assert found.count("loss") == found.count("accuracy") == 1


@pytest.mark.parametrize(
    "made",
    [
        history(1, 1),
        history(1, 0),
        history(0, 1, spoiled=[2.0]),
        history(0, 1, spoiled=[2.0, 1.0]),
        history(2, 3000),
        history(200, 5),
        history(3, 10, spoiled=[np.nan]),
        history(0, 0, spoiled=[np.nan] * 1000),
        history(3, 500, spoiled=[np.inf, -np.inf, np.nan, 1e30]),
        history(3, 10, scale=0.0),
        history(3, 10, scale=-1.0),
        history(3, 0, names=("accuracy",)),
        history(3, 10, names=()),
    ],
    ids=repr,
)
def test_every_history_can_be_drawn(tmp_path, made):
    training_curve(made, tmp_path / "curve.png")
    assert pixels(tmp_path / "curve.png").std() > 0.01


def test_a_loss_that_falls_through_decades_is_drawn_on_a_logarithmic_axis(tmp_path):
    for name, floor in (("near", 0.5), ("far", 1e-5)):
        made = History()
        for loss in np.geomspace(1, floor, 50):
            made.record_batch(loss)
        made.add_epoch({"loss": floor})
        training_curve(made, tmp_path / f"{name}.svg")
    assert any("10^{" in text for text in texts(tmp_path / "far.svg"))
    assert not any("10^{" in text for text in texts(tmp_path / "near.svg"))


@pytest.mark.parametrize("ending", ["png", "PNG", "svg", "pdf"])
def test_the_ending_of_the_name_says_how_to_draw(tmp_path, ending):
    path = tmp_path / f"曲线 😀.{ending}"
    training_curve(history(), path)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending.lower()]
    assert path.read_bytes().startswith(start)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["curve", "curve.jpg", ".png"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"cannot draw .*, expected \.png, \.svg, \.pdf"):
        training_curve(history(), tmp_path / name)


def test_an_empty_history_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"the history is empty. Train the model first"):
        training_curve(History(), tmp_path / "curve.png")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(SaveError, match="Create the folder first"):
        training_curve(history(), tmp_path / "no" / "curve.png")


def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"matplotlib is not installed. Install it with: pip install 'elman\[plot\]'"):
        training_curve(history(), tmp_path / "curve.png")
    assert os.listdir(tmp_path) == []


def test_no_screen_is_needed_and_pyplot_stays_out(tmp_path):
    script = (
        "import sys; from elman.inspection import training_curve; from elman.training.history import History\n"
        "assert 'matplotlib' not in sys.modules\n"
        "h = History(); h.record_batch(1.0); training_curve(h, sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    without_screen = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "curve.png"],
        env={**without_screen, "MPLBACKEND": "TkAgg"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_chinese_fonts_are_used_where_they_are_installed(tmp_path, monkeypatch):
    from matplotlib import font_manager

    asked = []
    real = font_manager.fontManager._find_fonts_by_props

    def spy(prop, **options):
        asked.append(prop.get_family())
        return real(font_manager.FontProperties(family=["DejaVu Sans"]), **options)

    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["SimHei", "Noto Sans CJK SC", "Other"])
    monkeypatch.setattr(font_manager.fontManager, "_find_fonts_by_props", spy)
    training_curve(history(), tmp_path / "curve.png", title="loss")
    assert ["DejaVu Sans", "Noto Sans CJK SC", "SimHei"] in asked
