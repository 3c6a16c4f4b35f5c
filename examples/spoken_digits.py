"""Hear digits: which one a recording holds, how well that carries over to a new voice, and strings of them by CTC.

The Free Spoken Digit Dataset has 3,000 recordings, 8 kHz, of ten digits by six speakers. SciPy makes them log-mel
spectrograms: how strong 40 bands of pitch are, every 10 ms. Then three questions, each harder than the one before:

    digits    recordings 0 to 4 of each speaker and digit are kept for the test: the official split
    speakers  all recordings of one speaker are kept: a voice that was never heard
    strings   3 to 5 recordings are joined; what was said is known, but not when (CTC, Graves et al. 2006)

`python examples/spoken_digits.py` asks all three; name some of them to ask only those, `--seed 7` begins with another
seed. Needs SciPy: pip install 'elman[speech]'. The recordings are looked for in the folder `fsdd` below ELMAN_DATA.
"""

import argparse
import io
import os
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

import elman
from elman import Sequential, ctc, layers, optimizers, schedules

try:
    from scipy.fft import rfft
    from scipy.io import wavfile
except ImportError:
    sys.exit("spoken_digits: SciPy is not installed. Install it with: pip install 'elman[speech]'")

SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
RATE, WINDOW, HOP, FFT, MELS = 8000, 200, 80, 256, 40  # Hz; 25 ms, every 10 ms; bands
STACK = 2  # spectra in a step: half the steps for nothing lost


def read(folder=None):
    """Return {(digit, speaker, index): samples from −1 to 1}; end with a message if there are none."""
    folder = Path(
        folder or os.environ.get("ELMAN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"), "fsdd"
    )
    packed, loose = folder / "fsdd_recordings.zip", folder / "recordings"
    if packed.exists():
        with zipfile.ZipFile(packed) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if name.endswith(".wav")}
    else:
        files = {path.name: path.read_bytes() for path in sorted(loose.glob("*.wav"))}
    if not files:
        sys.exit(
            f"spoken_digits: there are no recordings in {loose}. Get them with: git clone {SOURCE} "
            "and set ELMAN_DATA to a folder in which the clone is called fsdd."
        )
    recordings = {}
    for name, content in files.items():
        digit, speaker, index = Path(name).stem.split("_")
        recordings[int(digit), speaker, int(index)] = wavfile.read(io.BytesIO(content))[1] / np.float32(32768)
    return recordings


def mel_filters():
    """Return how much each of the frequencies counts for each band, (bands, frequencies): triangles, even in mel."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.fft.rfftfreq(FFT, 1 / RATE)[:, None]
    return np.clip(np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)), 0, None).T


FILTERS, HANN = mel_filters().astype(np.float32), np.hanning(WINDOW).astype(np.float32)


def log_mel(samples):
    """Return the log-mel spectrogram (steps, 2 · 40) of a recording; the two spectra of a step, band beside band."""
    samples = np.pad(samples, (0, max(WINDOW - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(rfft(frames * HANN, FFT)) ** 2
    bands = np.log(power @ FILTERS.T + 1e-8)  # 1e-8: what silence is taken for
    bands -= bands.mean()  # how loud it is says nothing: without this 77 % of a quieter voice were right, not 94
    bands = np.pad(bands, ((0, -len(bands) % STACK), (0, 0)), mode="edge")
    return bands.reshape(-1, STACK, MELS).transpose(0, 2, 1).reshape(-1, STACK * MELS)


def network(cell, outputs, *, pooled):
    """Return a network of two layers that read both ways; `pooled` gives one answer instead of one per step.

    In training, bands and moments are left out at random: no voice has all of them.
    """
    deep = [layers.Bidirectional(cell(128, return_sequences=True)) for _ in range(2)]
    return Sequential(
        [
            layers.SpecAugment(features=12 * STACK, steps=12 if pooled else 7),
            layers.GaussianNoise(0.2),
            deep[0],
            layers.Dropout(0.3),
            deep[1],
            *([layers.Pooling("mean_max")] if pooled else []),
            layers.Dropout(0.3),
            layers.Dense(outputs),
        ]
    )


def optimizer(rate, epochs, sequences):
    """Return AdamW, whose rate rises for 15 % of the steps and falls for the rest; batches are of 32."""
    steps = epochs * -(-sequences // 32)
    return optimizers.AdamW(schedules.OneCycle(rate, total_steps=steps, pct_start=0.15), weight_decay=0.01)


def digits(recordings, seed=0, **options):
    """Learn which digit a recording holds with the defaults of the classifier; return the share that is right."""
    train, test = (
        [(log_mel(samples), digit) for (digit, _, index), samples in recordings.items() if (index < 5) == kept]
        for kept in (False, True)
    )
    began = time.perf_counter()
    model = elman.SequenceClassifier(random_state=seed, verbose=0, **options).fit(*zip(*train, strict=True))
    right = model.score(*zip(*test, strict=True))
    seconds = time.perf_counter() - began
    print(f"digits    {100 * right:6.2f} % of {len(test)} recordings right, learned in {seconds:.0f} s", flush=True)
    return right


def speakers(recordings, seed=0, epochs=10):
    """Learn from all speakers but one, for each of them; return the mean share of digits that is right."""
    shares = {}
    for held_out in sorted({speaker for _, speaker, _ in recordings}):
        train, test = (
            [(log_mel(samples), key[0]) for key, samples in recordings.items() if (key[1] == held_out) == kept]
            for kept in (False, True)
        )
        mean, spread = moments([x for x, _ in train])
        model = network(layers.GRU, 10, pooled=True)
        model.compile(optimizer(2e-3, epochs, len(train)), "cross_entropy", metrics=["accuracy"], clip=1.0)
        x, y = [(x - mean) / spread for x, _ in train], [digit for _, digit in train]
        model.fit(x, y, epochs=epochs, batch_size=32, verbose=0, rng=seed)
        x, y = [(x - mean) / spread for x, _ in test], [digit for _, digit in test]
        shares[held_out] = model.evaluate(x, y, return_dict=True)["accuracy"]
        print(f"speakers  {100 * shares[held_out]:6.2f} % of {len(test)} right by {held_out}, never heard", flush=True)
    mean_share = np.mean(list(shares.values()))
    print(f"speakers  {100 * mean_share:6.2f} % on average", flush=True)
    return mean_share


def strings(recordings, seed=0, epochs=10, per_epoch=2700, tests=1000):
    """Learn to write down strings of digits; return the digit error rates of greedy and of beam decoding."""
    train, test = (
        [(samples, digit) for (digit, _, index), samples in recordings.items() if (index < 5) == kept]
        for kept in (False, True)
    )
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    mean, spread = moments([log_mel(samples) for samples, _ in train])

    def draw(some, n):
        """Return spectrograms of n strings of 3 to 5 of these recordings, and their digits as labels 1 to 10."""
        drawn = [[some[i] for i in rng.integers(len(some), size=length)] for length in rng.integers(3, 6, n)]
        x = [(log_mel(np.concatenate([samples for samples, _ in string])) - mean) / spread for string in drawn]
        return x, [np.array([digit + 1 for _, digit in string]) for string in drawn]  # class 0 is the blank

    model = network(layers.LSTM, 11, pooled=False)
    model.compile(optimizer(3e-3, epochs, per_epoch), "ctc", clip=1.0)
    for epoch in range(epochs):
        x, y = draw(train, per_epoch)  # fresh ones every time: no string is heard twice
        history = model.fit(x, y, batch_size=32, bucket_by_length=True, verbose=0, rng=rng)
        print(f"strings   epoch {epoch + 1:2} of {epochs}  loss {history.history['loss'][-1]:8.4f}", flush=True)
    seconds = time.perf_counter() - began
    x, y = draw(test, tests)
    outputs = model.predict(x)
    greedy = ctc.greedy_decode(outputs)
    beam = [readings[0][0] for readings in ctc.beam_decode(outputs, width=16)]
    for said, read in list(zip(y, beam, strict=True))[:3]:
        print(f"strings   said {' '.join(map(str, said - 1)):9}  read {' '.join(map(str, read - 1))}")
    rates = ctc.label_error_rate(greedy, y), ctc.label_error_rate(beam, y)
    wrong, of_beam = (f"{100 * rate:.2f} %" for rate in rates)
    said = f"{wrong} of {sum(map(len, y))} digits wrong, {of_beam} by beams, learned in {seconds:.0f} s"
    print(f"strings   {said}", flush=True)
    return rates


def moments(features):
    """Return mean and standard deviation of every band."""
    together = np.concatenate(features)
    return together.mean(0), together.std(0)


QUESTIONS = {"digits": digits, "speakers": speakers, "strings": strings}


def main(words=None):
    """Ask the questions that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", metavar="question", help=f"of {', '.join(QUESTIONS)}; all if none")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    if unknown := set(asked.questions) - set(QUESTIONS):
        parser.error(f"there is no question {', '.join(sorted(unknown))}; there are {', '.join(QUESTIONS)}")
    recordings = read()
    for name in asked.questions or QUESTIONS:
        QUESTIONS[name](recordings, seed=asked.seed)


if __name__ == "__main__":
    main()
