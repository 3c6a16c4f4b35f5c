"""What comes out on real text."""

import gzip

import numpy as np

import elman


def test_a_small_model_learns_shakespeare(data_file, tmp_path):
    """Two epochs over a fifth of the text: 2.01 to 2.03 nats per character (three seeds)."""
    text = data_file("tinyshakespeare/input.txt").read_text(encoding="utf-8")[:220_000]
    model = elman.LanguageModel(
        cell="gru", layers=1, hidden=64, batch=20, steps=50, epochs=2, random_state=0, verbose=0
    )
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


def vowels(path):
    """Read sequences (steps, 12) and speakers of a .ts file: channels by ":", the label last."""
    lines = path.read_text(encoding="utf-8").partition("@data\n")[2].splitlines()
    parts = [line.strip().split(":") for line in lines]
    X = [np.array([channel.split(",") for channel in channels], float).T for *channels, _ in parts]
    return X, [label for *_, label in parts]


def test_speakers_of_japanese_vowels(data_file):
    """A third of the units and of the epochs: 98.1 to 98.7 % (five seeds); one of 370 is 0.3 %."""
    X, y = vowels(data_file("uea-sequences/JapaneseVowels_TRAIN.ts"))
    X_test, y_test = vowels(data_file("uea-sequences/JapaneseVowels_TEST.ts"))
    assert (len(X), len(X_test)) == (270, 370)
    model = elman.SequenceClassifier(hidden=64, epochs=12, random_state=0, verbose=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.97


def tagged(path, most):
    """Read words and their parts of speech from CoNLL-U, without the lines of words that others are made of."""
    X, y = [[]], [[]]
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        fields = line.split("\t")
        if fields[0].isdigit():
            X[-1].append(fields[1])
            y[-1].append(fields[3])
        elif not line and X[-1]:
            X.append([])
            y.append([])
        if len(X) > most:
            break
    return X[:most], y[:most]


def test_parts_of_speech(data_file, tmp_path):
    """A thirtieth of the sentences of UD English EWT; naming the most frequent tag would be right on 17 %."""
    X, y = tagged(data_file("ud-english-ewt/en_ewt-ud-train.conllu.gz"), 400)
    X_test, y_test = tagged(data_file("ud-english-ewt/en_ewt-ud-test.conllu.gz"), 200)
    model = elman.SequenceTagger(layers=1, hidden=32, epochs=8, lr=1e-2, random_state=0, verbose=0).fit(X, y)
    right = model.score(X_test, y_test)
    assert right > 0.85
    model.save(tmp_path / "tagger.elman")
    assert elman.load(tmp_path / "tagger.elman").score(X_test, y_test) == right
