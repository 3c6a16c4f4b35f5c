"""Texts become ids piece by piece, wherever they come from and wherever the ids lie, as they would all at once."""

import errno
import os
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.cli.main import main
from elman.errors import DataError, DataTypeError, ResourceError, UsageError
from elman.tasks import Corpus, LanguageModel, Vocabulary, corpus, find_files, read_text, sources, token_ids, vocabulary
from elman.tasks.text_files import text_chunks

HARD = "a\r\n\0é\u0301e\u0301 世界 👩‍👩‍👧 \ufeff\U0010ffff"
PARTS = ["The quick brown fox\r\n" * 30, "", "床前明月光,疑是地上霜。\n" * 20, "e\u0301 é\n"]


def ids_one_by_one(text, symbols):
    """Look every character up in a dictionary, as the definition has it."""
    known = {symbol: number for number, symbol in enumerate(symbols, 1)}
    return [known.get(symbol, 0) for symbol in text]


def folder_of(tmp_path, files):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("name, what", [("a.txt", "file, not its contents"), ("plays", "folder, not the texts in it")])
def test_a_name_is_not_taken_for_a_text(tmp_path, monkeypatch, listed, name, what):
    folder_of(tmp_path, {"a.txt": "to be or not to be", "plays/b.txt": "to be"})
    monkeypatch.chdir(tmp_path)
    message = f"text: '{name}' is the name of a {what}. Give it as a path: pathlib.Path(name)."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        LanguageModel(verbose=0).fit([name, name] if listed else name)


# Encoding -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(), min_size=1), st.text(), st.integers(1, 7))
def test_ids_are_those_of_a_dictionary_however_the_text_is_cut(texts, others, at_once):
    whole = "".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "_AT_ONCE", at_once)
        patch.setattr(sources, "SLICE", at_once + 1)
        made = Corpus.from_texts(texts)
        known = Vocabulary.from_text(whole)
        again = Corpus.from_texts([others, *texts], vocabulary=known)
        encoded = known.encode(others + whole)
    assert made.vocabulary == known and known.symbols == "".join(sorted(set(whole)))
    assert made.ids.tolist() == ids_one_by_one(whole, known.symbols)
    assert made.starts.tolist() == np.cumsum([0, *map(len, texts)]).tolist()
    assert again.ids.tolist() == encoded.tolist() == ids_one_by_one(others + whole, known.symbols)
    assert encoded.dtype == np.int32


@given(
    st.text(st.sampled_from(HARD), max_size=40), st.sampled_from(["utf-8", "utf-16", "utf-32", "gb18030"]), st.data()
)
def test_files_are_decoded_alike_wherever_their_bytes_are_cut(text, encoding, data):
    """Characters of several bytes, marks and line ends at the borders; bad bytes with the offset in the file."""
    raw = bytearray(text.encode(encoding))
    if raw and data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    errors = data.draw(st.sampled_from(["strict", "ignore", "replace"]))
    try:
        expected = raw.decode(encoding, errors).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        expected = error.start
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of byte order marks
        path = Path(folder, "f.txt")
        path.write_bytes(raw)
        for n_bytes in (4, 5, 7, 1000):
            try:
                found = "".join(text_chunks(path, encoding=encoding, errors=errors, n_bytes=n_bytes))
            except DataError as error:
                found = int(re.search(r"at offset (\d+) is not", str(error))[1])
            assert found == expected, n_bytes


@pytest.mark.parametrize(
    ("n_symbols", "dtype"), [(255, "uint8"), (256, "uint16"), (65_535, "uint16"), (65_536, "uint32")]
)
def test_ids_are_as_small_as_the_vocabulary_allows(n_symbols, dtype):
    symbols = np.delete(np.arange(n_symbols + 0x800, dtype="<u4"), np.s_[0xD800:0xE000])[:n_symbols]
    text = symbols.tobytes().decode("utf-32-le")
    made = Corpus.from_texts(text[::-1])
    assert made.ids.dtype == made.vocabulary.dtype == dtype
    np.testing.assert_array_equal(made.ids, np.arange(n_symbols, 0, -1))


def test_a_lone_surrogate_is_named_by_its_index_in_the_text(monkeypatch):
    monkeypatch.setattr(vocabulary, "_AT_ONCE", 8)
    with pytest.raises(DataError, match=r"U\+D800, at index 21"):
        Vocabulary.from_text("abc" * 7 + "\ud800")


# Files and folders --------------------------------------------------------------------------------------------------


def test_a_corpus_of_files_is_that_of_their_texts(tmp_path):
    folder = folder_of(tmp_path, {f"{number}.txt": part for number, part in enumerate(PARTS)})
    one, other = Corpus.from_files(folder), Corpus.from_texts(PARTS)
    assert one.vocabulary == other.vocabulary and not one.mapped
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.starts, other.starts)
    assert one.vocabulary.decode(one.ids) == "".join(PARTS)
    assert not one.ids.flags.writeable and len(one) == len(one.ids)
    assert one.count(int(one.ids[5]), start=6) == np.count_nonzero(one.ids[6:] == one.ids[5])


def test_a_folder_gives_its_texts_in_the_order_of_their_names(tmp_path):
    names = ["b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt", "notes.md", ".hidden.txt", ".git/e.txt", "z.TXT"]
    folder = folder_of(tmp_path, dict.fromkeys(names, "text"))
    os.symlink(folder / "sub", folder / "link")  # not followed: it could lead round in circles
    found = find_files([folder / "notes.md", folder])
    inside = [os.path.relpath(name, folder) for name in found.taken]
    assert inside == ["notes.md", "a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"]
    assert [os.path.relpath(name, folder) for name in found.left] == ["notes.md", "z.TXT"]
    found = find_files([folder], suffixes=[".md", ".TXT"])
    assert [os.path.basename(name) for name in found.taken] == ["notes.md", "z.TXT"]


def test_a_byte_order_mark_is_told_once_and_line_ends_stay(tmp_path):
    folder = folder_of(tmp_path, {"a.txt": b"\xef\xbb\xbfx\r\ny", "b.txt": b"\xef\xbb\xbf"})
    with pytest.warns(UserWarning, match=r"the byte order mark .* dropped") as caught:
        made = Corpus.from_files(folder)
    assert len(caught) == 2  # files, not passes
    assert made.vocabulary.decode(made.ids) == "x\r\ny" and made.starts.tolist() == [0, 4, 4]


def test_pipes_are_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    text = "to be or not to be 世界\n" * 20_000  # more than a pipe holds
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,))
    writer.start()
    made = Corpus.from_files(tmp_path / "pipe")
    writer.join()
    assert made.vocabulary.decode(made.ids) == text


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    for change in ("longer than before", "short"):
        path.write_text("as it was")
        build = Vocabulary.from_texts

        def between(texts, build=build, change=change):
            found = build(texts)
            path.write_text(change)
            return found

        with pytest.MonkeyPatch.context() as patch, pytest.raises(DataError, match=r"a\.txt: it changed while it was"):
            patch.setattr(Vocabulary, "from_texts", between)
            Corpus.from_files(path)


# fmt: off
# ruff: noqa: E501 - a table: one fault is one line, its message in one piece
FAULTS = {
    "no folder or file": (lambda w: Corpus.from_files(w / "none"), UsageError, "…/none: no such file or directory, expected a text file."),
    "no paths": (lambda w: Corpus.from_files([]), UsageError, "files: there are none, expected at least one file or folder."),
    "no names": (lambda w: Corpus.from_files(None), UsageError, "files: they are no list, expected a list of names, got None."),
    "a name that is none": (lambda w: Corpus.from_files([w / "a.txt", 3]), UsageError, "files: number 1 is no name, expected a file or folder, got 3."),
    "one name for a list": (lambda w: find_files("a.txt"), UsageError, "files: they are no list, expected a list of names, got 'a.txt'. Write ['a.txt']."),
    "a folder without files": (lambda w: Corpus.from_files(w / "bare"), UsageError, "…/bare: the folder has no such files, expected .txt, got no files."),
    "a folder of others": (lambda w: Corpus.from_files(w / "others"), UsageError, "…/others: the folder has no such files, expected .txt, got 2 other files. Name the suffixes of its texts: --suffix .md, or suffixes=['.md']."),
    "a suffix": (lambda w: find_files([w], suffixes=["txt"]), UsageError, "suffixes: this is no suffix, expected such as '.txt', got 'txt'."),
    "bad bytes in a folder": (lambda w: Corpus.from_files(w / "bad"), DataError, "…/bad/b.txt: byte 0xe9 at offset 200003 is not UTF-8 (invalid continuation byte). Name its encoding with --encoding (latin-1, gb18030, utf-16 …) or drop bad bytes with --errors ignore."),
    "a column of a text": (lambda w: Corpus.from_files(w / "a.txt", column="text"), UsageError, "…/a.txt: this is neither a Parquet nor an Arrow file, so it has no column 'text'. Leave the column out to read it as text."),
    "a table as text": (lambda w: Corpus.from_files(w / "t.txt"), UsageError, "…/t.txt: this is a table, not a text. Name the column of its texts: --column NAME, or column='NAME'."),
    "no text": (lambda w: Corpus.from_texts(["a", 5]), DataTypeError, "text: it is no text, expected a str, a path, or a list of either, got int."),
    "paths among texts": (lambda w: LanguageModel().fit(["a text", w / "a.txt"]), DataTypeError, "text: texts and paths stand in one list, expected one or the other. Read the paths first: Corpus.from_files(paths), or give texts only."),
    "memory_map": (lambda w: Corpus.from_texts("ab", memory_map="yes"), UsageError, "Corpus: memory_map is not accepted, expected True, False or 'auto', got 'yes'."),
    "empty files": (lambda w: LanguageModel().fit(w / "empty"), DataError, "fit: the text is empty, expected at least 2 characters."),
    "another vocabulary": (lambda w: fitted().score(Corpus.from_texts("other")), DataError, "score: the corpus has another vocabulary than the model. Read it with vocabulary=model.vocabulary_."),
}
# fmt: on


@pytest.fixture
def broken(tmp_path):
    (tmp_path / "bare").mkdir()
    return folder_of(
        tmp_path,
        {
            "a.txt": "text",
            "t.txt": b"PAR1 and so on",
            "others/a.md": "x",
            "others/b.csv": "x",
            "empty/a.txt": "",
            "empty/b.txt": "",
            "bad/a.txt": "fine",
            "bad/b.txt": b"x" * 200_000 + b"caf\xe9 noir",
        },
    )


@pytest.mark.parametrize("case", FAULTS)
def test_faults(broken, case):
    call, kind, message = FAULTS[case]
    with pytest.raises(kind) as caught:
        call(broken)
    assert re.fullmatch(re.escape(message).replace("…/", ".+/"), str(caught.value)), str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(broken):
    (broken / "a.txt").chmod(0)
    with pytest.raises(UsageError, match=r"a\.txt: permission denied, expected a text file"):
        Corpus.from_files(broken, suffixes=[".txt"])


def test_a_broken_disk_keeps_its_error(tmp_path, monkeypatch):
    class Broken:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, *_):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("builtins.open", lambda *_: Broken())
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_text(tmp_path / "a.txt")
    assert caught.value.filename == os.fspath(tmp_path / "a.txt")


# On disk ------------------------------------------------------------------------------------------------------------


def test_mapped_ids_are_the_same_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = Corpus.from_texts(PARTS, memory_map=True), Corpus.from_texts(PARTS, memory_map=False)
    assert one.mapped and not other.mapped and repr(one).endswith(", uint8, mapped)")
    np.testing.assert_array_equal(one.ids, other.ids)
    assert type(one.ids) is np.ndarray and not one.ids.flags.writeable and not one.ids.flags.owndata
    assert os.listdir(tmp_path) == []  # the file has no name even now
    assert not Corpus.from_texts("", memory_map=True).mapped


def test_what_would_fill_an_eighth_of_the_memory_is_mapped(monkeypatch):
    monkeypatch.setattr(corpus, "machine_bytes", lambda: 8000)
    assert [Corpus.from_texts("ab" * n).mapped for n in (500, 501)] == [False, True]
    assert not Corpus.from_texts("ab" * 501, memory_map=False).mapped


@pytest.mark.parametrize("early", [True, False], ids=["seen before", "met while writing"])
def test_a_full_disk_is_told_and_nothing_is_left(early, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if early:
        monkeypatch.setattr(token_ids.shutil, "disk_usage", lambda _: usage(10, 9, 1))
        reason = "0.00 GB are free"
    else:
        make = tempfile.TemporaryFile

        def full(**options):
            file = make(**options)
            os.dup2(os.open("/dev/full", os.O_RDWR), file.fileno())
            return file

        monkeypatch.setattr(tempfile, "TemporaryFile", full)
        reason = "No space left on device"
    message = (
        f"Corpus: no room for 0.00 GB of ids in {tmp_path} ({reason}). "
        "Set TMPDIR to a folder that has it; nothing was left behind."
    )
    with pytest.raises(ResourceError, match=f"^{re.escape(message)}$") as caught:
        Corpus.from_texts("to be or not to be" * 1000, memory_map=True)
    assert caught.value.exit_code == 6 and os.listdir(tmp_path) == []


def test_a_temporary_folder_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # as in a process that has not asked yet
    told = f"Corpus: TMPDIR is '{tmp_path / 'none'}', where nothing can be written, so the ids lie in "
    with pytest.warns(UserWarning, match=re.escape(told)):
        Corpus.from_texts("to be or not to be", memory_map=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Corpus.from_texts("to be or not to be", memory_map=True)


# A model of any of them ---------------------------------------------------------------------------------------------


def fitted(given="to be or not to be, " * 40, **options):
    model = LanguageModel(layers=1, hidden=8, batch=4, steps=10, epochs=2, random_state=0, verbose=0, **options)
    return model.fit(given)


def test_training_is_the_same_to_the_bit_wherever_the_text_lies(tmp_path):
    text = "".join(PARTS) * 2
    folder = folder_of(tmp_path, {"a.txt": text[:333], "b.txt": text[333:]})
    path = folder / "a.txt"
    models = [
        fitted(text),
        fitted([text[:333], text[333:]]),
        fitted(folder),
        fitted([path, folder / "b.txt"]),
        fitted(Corpus.from_files(folder, memory_map=True)),
    ]
    for model in models[1:]:
        np.testing.assert_array_equal(model.history_.batches, models[0].history_.batches)
        np.testing.assert_array_equal(model.model_.parameters.flat, models[0].model_.parameters.flat)
        assert model.training_ | {"seconds": 0} == models[0].training_ | {"seconds": 0}
    score = models[0].score(text[100:] + "ж")
    (folder / "c.txt").write_bytes((text[100:] + "ж").encode())
    known = models[0].vocabulary_
    assert score["unseen"] == 1 and models[0].score(folder / "c.txt") == score
    assert models[0].score(Corpus.from_files(folder / "c.txt", vocabulary=known, memory_map=True)) == score


def test_fit_names_what_it_read_of_a_folder(tmp_path, capsys):
    files = {f"{number}.txt": "to be or not to be " * 9 for number in range(10)}
    folder = folder_of(tmp_path, files | {"notes.md": "x"})
    model = LanguageModel(layers=1, hidden=8, batch=2, steps=10, epochs=1)
    model.fit(folder)
    told = capsys.readouterr().err
    assert told.startswith(f"fit: 10 files were read: {folder}/0.txt, ") and "/7.txt and 2 more. 1 was left" in told
    assert told.splitlines()[0].endswith(f"for its suffix: {folder}/notes.md.")
    model.set_params(verbose=0).fit(folder)
    assert capsys.readouterr().err == ""


def test_the_command_takes_folders(tmp_path, capsys):
    folder = folder_of(tmp_path / "texts", {"a.txt": "to be or not to be " * 30, "b.md": "that is " * 30})
    model = tmp_path / "m.elman"
    tiny = ["--layers", "1", "--hidden", "8", "--batch", "2", "--steps", "10", "--epochs", "1", "-o", str(model)]
    assert main(["train", "text", str(folder), *tiny, "--memory-map"]) == 0
    err = capsys.readouterr().err
    assert f"1 file was read: {folder}/a.txt. 1 was left for its suffix: {folder}/b.md.\n" in err
    assert main(["train", "text", str(folder), *tiny, "--suffix", ".md", "--suffix", ".txt", "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["evaluate", str(model), str(folder)]) == 0
    assert "over 569 characters" in capsys.readouterr().out
    inside = folder / "a.txt"
    assert main(["train", "text", str(folder), *tiny[:-1], str(inside)]) == 2
    assert "would replace the text it is trained on" in capsys.readouterr().err


# Memory -------------------------------------------------------------------------------------------------------------

LARGE = """
import resource, sys, tempfile
import numpy as np
from elman.tasks import Corpus, LanguageModel
from elman.training.callbacks import Callback

class Enough(Exception):
    pass

class Stop(Callback):
    def on_batch_end(self, batch, logs):
        if batch == 20:
            raise Enough

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024

n_bytes, room = 300 * 2**20, 40 * 2**20
model = LanguageModel(layers=1, hidden=8, batch=16, steps=20, epochs=1, random_state=0, verbose=0)
small = Corpus.from_texts("to be or not to be " * 200)
model.fit(small)
with tempfile.TemporaryFile() as file:  # sparse: it takes no room on disk
    file.truncate(n_bytes)
    ids = np.memmap(file, np.uint8, "r").view(np.ndarray)
large = Corpus(ids, small.vocabulary, starts=np.array([0, n_bytes]), mapped=True)
# From here on the kernel refuses more than so much memory that is not a map of a file.
limit = anonymous() + room
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones(room + 2**20, np.uint8)
    sys.exit("the limit does not hold")
except MemoryError:
    pass
try:
    model.fit(large, callbacks=[Stop()])
except Enough:
    print(model.training_["train"], large.count(0))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA counts memory on Linux only")
def test_training_on_a_mapped_corpus_takes_no_memory_for_it():
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(int(300 * 2**20 * 0.9)), str(300 * 2**20)]


ENCODE = """
import resource, sys
from elman.tasks import Corpus
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Corpus.from_texts("warm")
before = peak()
corpus = Corpus.from_files(sys.argv[1], memory_map=True)
assert len(corpus) == 64 * 2**20, corpus
print(peak() - before)
"""


def test_reading_a_large_file_into_a_map_takes_little_memory(tmp_path):
    path = tmp_path / "large.txt"
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(b"to be or not to be. " * 52_428 + b"16 bytes to spare")
            file.truncate(file.seek(-1, os.SEEK_CUR))
    assert os.path.getsize(path) == 64 * 2**20
    done = subprocess.run([sys.executable, "-c", ENCODE, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # A 1.1 MB table of characters seen, a few pieces of 128 KiB; the text itself would be 64 MiB, its ids as much.
    assert int(done.stdout) < 16 * 1024, done.stdout
