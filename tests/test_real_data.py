"""What comes out on real text."""

import gzip

import elman


def test_a_small_model_learns_shakespeare(data_file, tmp_path):
    """Two epochs over a fifth of the text: 2.01 to 2.03 nats per character (three seeds)."""
    text = data_file("tinyshakespeare/input.txt").read_text(encoding="utf-8")[:220_000]
    model = elman.LanguageModel(cell="gru", layers=1, hidden=64, batch=20, epochs=2, random_state=0, verbose=0)
    model.fit(text)
    figures = model.score(text[-22_000:])
    assert abs(figures["nats_per_char"] - model.history_.history["val_loss"][-1]) < 0.01
    assert figures["nats_per_char"] < 2.1
    model.save(tmp_path / "model.elman")
    assert elman.load(tmp_path / "model.elman").score(text[-22_000:]) == figures
    sample = "".join(model.sample(300, prime="ROMEO:\n", random_state=0))
    assert len(sample) == 300 and set(sample) <= set(text)


def test_german_text_comes_back_as_it_was(data_file):
    text = gzip.decompress(data_file("multi30k/val.de.gz").read_bytes()).decode()
    vocabulary = elman.Vocabulary.from_text(text)
    ids = vocabulary.encode(text)
    assert len(ids) == len(text) and vocabulary.decode(ids) == text
    assert {"ä", "ß", "Ü"} <= set(vocabulary.symbols)
