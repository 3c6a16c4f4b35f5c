"""The report in a real browser: all sections are seen, nothing complains, nothing is fetched, units can be chosen."""

from __future__ import annotations

import numpy as np
import pytest
from browser import browser

import elman
from elman import LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.inspection.sections import SECTIONS

pytest.importorskip("matplotlib")

TEXT = 'She said "not now", and went.\nNobody saw </script> her & "no one" asked.\n' * 12


def characters():
    model = LanguageModel(layers=2, hidden=16, batch=4, steps=20, epochs=2, random_state=0, verbose=0)
    return model.fit(TEXT), (TEXT[:400],)


def rows_of_images():
    """Images of 8 x 8, read row by row: which half is bright?"""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    x = 0.3 * rng.random((60, 8, 8))
    x[np.arange(60), np.where(y, 6, 1)] += 1.0
    model = SequenceClassifier(cell="lstm", hidden=12, bidirectional=False, pooling="last", epochs=4, batch=10,
                               random_state=0, verbose=0)  # fmt: skip
    return model.fit(x, y), (x[:20], y[:20])


def words():
    x = [["a", "cat", "sat"], ["the", "dog", "ran", "home"], ["a", "dog", "sat"]] * 8
    y = [["DET", "NOUN", "VERB", "NOUN"][: len(part)] for part in x]
    return SequenceTagger(hidden=10, epochs=3, random_state=0, verbose=0).fit(x, y), (x, y)


def series():
    rng = np.random.default_rng(0)
    t = np.arange(30) + rng.integers(0, 24, 50)[:, None]
    x = np.sin(t / 4)[:, :, None] + 0.1 * rng.standard_normal((50, 30, 1))
    y = np.sin((t[:, -1] + 1) / 4)
    model = SequenceRegressor(cell="lstm", hidden=10, bidirectional=False, pooling="last", epochs=4, random_state=0,
                              verbose=0)  # fmt: skip
    return model.fit(x, y), (x[:20], y[:20])


MODELS = {"characters": characters, "rows of images": rows_of_images, "words": words, "series": series}
# A tagger reads from both ends, where there is no sum over earlier steps.
ABSENT = {"words": {"contributions", "truncation_bias"}}


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.mark.parametrize("kind", MODELS)
def test_a_report_opens_from_disk(kind, chromium, tmp_path):
    model, data = MODELS[kind]()
    path = tmp_path / "a report.html"
    report = elman.inspect(model, *data, name=f"{kind} <1>", verbose=0)
    report.save(path)
    assert path.stat().st_size < 3_000_000
    page = chromium.new_page(viewport={"width": 1100, "height": 900})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.title() == f"{kind} <1> through time"
    absent = ABSENT.get(kind, set())
    for name in SECTIONS:
        section = page.locator(f"#{name}")
        assert section.is_visible()
        assert section.locator(".verdict").inner_text() == report[name].verdict
        assert (report[name].finding is None) == (name in absent), report[name].verdict
        assert section.locator("figure > svg").count() == len(report[name].pictures) >= (name not in absent)
    colours = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        of = "e => [getComputedStyle(document.body).backgroundColor, getComputedStyle(e).fill]"
        colours[scheme] = page.locator("figure svg text").first.evaluate(of)
    assert colours["light"][0] == "rgb(255, 255, 255)" != colours["dark"][0]
    assert colours["light"][1] != colours["dark"][1]  # the letters of the pictures follow the theme
    first = page.locator("#unit-steps span").first
    before, told = first.get_attribute("style"), page.locator("#unit-told").inner_text()
    page.locator("#unit-next").click()
    assert page.locator("#unit-told").inner_text() != told and first.get_attribute("style") != before
    page.locator("button.pick").last.click()
    unit = page.locator("button.pick").last.get_attribute("data-unit")
    assert page.locator("#unit-unit").input_value() == unit
    if page.locator("#unit-sequence option").count() > 1:
        page.locator("#unit-sequence").select_option("1")
        assert page.locator("#unit-steps span").count() == int(report.subject.x.lengths[1])
    assert said == [] and asked == [path.as_uri()]
    # No picture is wider than the window; on a telephone it scrolls by itself.
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()
