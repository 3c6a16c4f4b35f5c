"""Durable saving: whatever happens, the old file or the new one is there, whole."""

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from elman import files
from elman.errors import SaveError
from elman.files import durable

META = files.Meta(version="0.1.0", task="model", config={"units": 3})
WEIGHTS = {"lstm.weight_ih": np.arange(24, dtype=np.float32).reshape(12, 2), "lstm.bias": np.ones(12, np.float32)}


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# --- the path ---------------------------------------------------------------------------------------------------------

PATHS = [
    "plain.elman",
    "with space",
    "emoji 👩‍👩‍👧.elman",
    "汉字.elman",
    "new\nline",
    "-",
    "a" * 255,
    "字" * 85,
    "名" * 20 + "é",
]


@pytest.mark.parametrize("name", PATHS)
def test_any_name_that_the_folder_can_hold_is_fine(tmp_path, name):
    for _ in range(2):
        files.save(tmp_path / name, WEIGHTS, META)
        with files.open_model(tmp_path / name) as header:
            assert header.meta == META
    assert names(tmp_path) == [name]


def test_a_relative_path_is_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_atomic("m", b"1")
    files.check_target("m")
    assert Path("m").read_bytes() == b"1"


def test_a_link_stays_a_link_and_the_file_behind_it_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    real = tmp_path / "disk" / "real.elman"
    real.write_bytes(b"old")
    for link, to in (("link", real), ("link_to_link", tmp_path / "link"), ("hanging", tmp_path / "disk" / "new")):
        (tmp_path / link).symlink_to(to)
        files.write_atomic(tmp_path / link, link.encode())
        assert (tmp_path / link).is_symlink()
        assert (tmp_path / link).read_bytes() == link.encode()
    assert real.read_bytes() == b"link_to_link"
    assert names(tmp_path) == ["disk", "hanging", "link", "link_to_link"]
    assert names(tmp_path / "disk") == ["new", "real.elman"]


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o000, 0o666)])
def test_a_new_file_gets_the_rights_that_the_umask_leaves(tmp_path, umask, rights):
    old = os.umask(umask)
    try:
        files.write_atomic(tmp_path / "m", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == rights


@pytest.mark.parametrize("rights", [0o600, 0o640, 0o666, 0o755])
def test_a_file_that_is_replaced_keeps_its_rights(tmp_path, rights):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(rights)
    files.write_atomic(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == rights


def test_a_function_may_write_the_content(tmp_path):
    files.write_atomic(tmp_path / "m", lambda file: [file.write(b"ab"), file.write(np.arange(2, dtype=np.uint8).data)])
    assert (tmp_path / "m").read_bytes() == b"ab\0\1"


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    path = tmp_path / "m"

    def write(letter):
        for _ in range(30):
            files.write_atomic(path, letter * 100_000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 100_000 and len(set(content)) == 1
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["m"]


def test_orphans_of_killed_writers_are_removed_and_living_writers_are_not_disturbed(tmp_path):
    path = tmp_path / "model.elman"
    orphan, alike = tmp_path / ".model.elman.0123456789abcdef.tmp", tmp_path / ".model.elman.notes"
    orphan.write_bytes(b"half a mod")
    alike.write_bytes(b"mine")

    def meanwhile(file):
        file.write(b"first")
        files.write_atomic(path, b"second")
        assert path.read_bytes() == b"second"

    files.write_atomic(path, meanwhile)
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == [alike.name, path.name]


def test_a_writer_whose_new_file_is_swept_away_before_it_is_locked_takes_another(tmp_path, monkeypatch):
    locks = iter([False, True])
    real = durable._lock
    monkeypatch.setattr(durable, "_lock", lambda fd: real(fd) and next(locks))
    files.write_atomic(tmp_path / "m", b"x")
    assert (tmp_path / "m").read_bytes() == b"x"


def test_the_order_of_the_steps_is_the_durable_one(tmp_path, monkeypatch):
    steps = []

    def spy(name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            if name == "fsync":
                steps.append("sync folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else "sync file")
            else:
                steps.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    spy("fsync")
    spy("replace")
    files.write_atomic(tmp_path / "m", lambda file: (steps.append("write"), file.write(b"x")))
    assert steps == ["write", "sync file", "replace", "sync folder"]


# --- killed at any instant --------------------------------------------------------------------------------------------

KILLED_AT_EACH_LINE = """
import json, os, shutil, signal, sys
import numpy as np
from elman import files

folder = sys.argv[1]
path = os.path.join(folder, "m.elman")
meta = files.Meta(version="0", task="model", config={})
old, new = ({"w": np.full(50_000, fill, np.float32), "b": np.full(3, fill)} for fill in (1, 2))

def child(n):
    def trace(frame, event, argument):
        nonlocal n
        if os.sep + "files" + os.sep not in frame.f_code.co_filename:
            return None
        n -= 1
        if n == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    files.save(path, new, meta)
    os._exit(0)

def found():
    with files.open_model(path) as header:
        weights = header.read({"w": (50_000,), "b": (3,)})
    for name, tensors in (("old", old), ("new", new)):
        if all(np.array_equal(weights[key], tensors[key]) for key in tensors):
            return name
    return "mixed"

outcomes, orphans = [], 0
status = 9
while status != 0:
    files.save(path, old, meta)  # also sweeps what the last child left
    assert os.listdir(folder) == ["m.elman"], os.listdir(folder)
    pid = os.fork()
    if pid == 0:
        child(len(outcomes) + 1)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, 9), status
    outcomes.append(found())
    orphans += len(os.listdir(folder)) > 1
print(json.dumps([outcomes, orphans]))
"""


def run_child(script, *arguments, **options):
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_at_each_line_of_saving_leaves_the_old_file_or_the_new_one(tmp_path):
    outcomes, orphans = run_child(KILLED_AT_EACH_LINE, tmp_path)
    assert len(outcomes) > 50
    assert outcomes == sorted(outcomes, reverse=True)  # old, old, …, new, new: the change is one instant
    assert set(outcomes) == {"old", "new"}
    assert orphans > 5  # the children did die with a file half written


KILLED_IN_THE_MIDDLE_OF_A_WRITE = """
import json, os, resource, signal, sys
from elman import files

path = sys.argv[1]
outcomes = []
for size in (0, 1, 4096, 100_000, 999_999, 1_000_000):
    files.write_atomic(path, b"old")
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        files.write_atomic(path, b"n" * 1_000_000)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    with open(path, "rb") as file:
        content = file.read()
    outcomes.append([status, content == b"old", content == b"n" * 1_000_000])
print(json.dumps(outcomes))
"""


def test_killed_in_the_middle_of_a_write_leaves_the_old_file(tmp_path):
    *cut, whole = run_child(KILLED_IN_THE_MIDDLE_OF_A_WRITE, tmp_path / "m")
    assert all(outcome == [signal.SIGXFSZ, True, False] for outcome in cut)
    assert whole == [0, False, True]


# --- disks that say no ------------------------------------------------------------------------------------------------


def fail_at(monkeypatch, name, n, code):
    """Let the n-th call of a function of `os` fail; all later ones work."""
    real, left = getattr(os, name), [n]

    def call(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize(
    ("name", "n", "code", "told"),
    [
        ("open", 1, errno.EACCES, "opening its folder failed.*EACCES.*folder that you may write to"),
        ("open", 2, errno.EROFS, "creating a file beside it failed.*EROFS.*folder that you may write to"),
        ("open", 2, errno.EDQUOT, "creating a file beside it failed.*EDQUOT.*Free some space"),
        ("listdir", 1, errno.EIO, "creating a file beside it failed.*EIO"),
        ("fstat", 1, errno.EIO, "creating a file beside it failed.*EIO"),
        ("fchmod", 1, errno.EPERM, "creating a file beside it failed.*EPERM"),
        ("fsync", 1, errno.EIO, "syncing failed.*EIO.*disk may be failing"),
        ("fsync", 1, errno.ENOSPC, "syncing failed.*ENOSPC.*Free some space"),
        ("replace", 1, errno.EIO, "renaming failed.*EIO"),
    ],
)
def test_any_step_that_fails_leaves_the_old_file_and_nothing_beside(tmp_path, monkeypatch, name, n, code, told):
    path = tmp_path / "m"
    files.save(path, WEIGHTS, META)
    path.chmod(0o777)  # so that changing the rights is one of the steps
    old = path.read_bytes()
    fail_at(monkeypatch, name, n, code)
    with pytest.raises(SaveError, match=told) as caught:
        files.save(path, {"w": np.ones(3)}, META)
    assert caught.value.errno == code
    assert isinstance(caught.value, OSError)
    assert "untouched" in str(caught.value)
    assert (path.read_bytes(), names(tmp_path)) == (old, ["m"])
    files.save(path, {"w": np.ones(3)}, META)  # the failure is over: the file is written anew, not synced again
    with files.open_model(path) as header:
        assert header.shapes == {"w": ("float64", (3,))}


def test_a_folder_that_cannot_be_synced_is_told_and_the_new_file_is_whole(tmp_path, monkeypatch):
    fail_at(monkeypatch, "fsync", 2, errno.EIO)
    with pytest.raises(SaveError, match=r"syncing its folder failed.*The new file is in place"):
        files.write_atomic(tmp_path / "m", b"new")
    assert (tmp_path / "m").read_bytes() == b"new"


def test_a_file_system_that_never_syncs_folders_is_accepted(tmp_path, monkeypatch):
    fail_at(monkeypatch, "fsync", 2, errno.EINVAL)
    files.write_atomic(tmp_path / "m", b"new")
    assert (tmp_path / "m").read_bytes() == b"new"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    real = durable._create

    def create(folder, base, mode):
        name, fd = real(folder, base, mode)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, fd)
        os.close(full)
        return name, fd

    monkeypatch.setattr(durable, "_create", create)
    for size in (10, 10_000_000):  # refused when the buffer is flushed; refused by the write itself
        with pytest.raises(SaveError, match=r"writing failed.*ENOSPC.*Free some space") as caught:
            files.write_atomic(path, b"x" * size)
        assert caught.value.errno == errno.ENOSPC
        assert (path.read_bytes(), names(tmp_path)) == (b"old", ["m"])


def test_a_limit_on_the_size_of_files_leaves_the_old_file(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(SaveError, match=r"writing failed.*EFBIG"):
            files.write_atomic(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["m"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_whatever_the_writing_function_raises_comes_out_and_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "m"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        files.write_atomic(path, write)
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["m"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_and_files_without_the_right_to_write_are_refused(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(0o400)
    with pytest.raises(SaveError, match="may not be written to"):
        files.write_atomic(path, b"new")
    tmp_path.chmod(0o500)
    try:
        for call in (files.check_target, lambda target: files.write_atomic(target, b"new")):
            with pytest.raises(SaveError, match="EACCES"):
                call(tmp_path / "other")
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder, "it is a folder"),
        (lambda folder: f"{folder}/no/m", "ENOENT.*Create the folder first"),
        (lambda folder: f"{folder}/file/m", "ENOTDIR.*Create the folder first"),
        (lambda folder: f"{folder}/new/", "no such folder"),
        (lambda folder: "", "it names no file"),
        (lambda folder: f"{folder}/fifo", "a device or a pipe"),
        (lambda folder: "/dev/null", "a device or a pipe"),
        (lambda folder: f"{folder}/a\0b", "NUL"),
        (lambda folder: f"{folder}/loop", "ELOOP"),
        (lambda folder: f"{folder}/{'a' * 256}", "ENAMETOOLONG"),
    ],
)
def test_paths_that_can_never_be_saved_to_are_refused_also_in_advance(tmp_path, make, told):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = names(tmp_path)
    with pytest.raises(SaveError, match=told):
        files.write_atomic(make(tmp_path), b"x")
    with pytest.raises(SaveError, match=told):
        files.check_target(make(tmp_path))
    assert names(tmp_path) == before
