"""Write a file so that whatever happens, the old one or the new one is there, whole.

The new content is written beside the target, synced, renamed over it, and the folder is synced: a process killed at
any instant leaves the old file or the new one, never a mixture (Pillai et al. 2014, "All file systems are not created
equal: on the complexity of crafting crash-consistent applications").
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from elman.errors import SaveError, say

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["check_target", "write_atomic"]

_UNTOUCHED = "What stood there before is untouched"
_ROOM = f"Free some space, or choose another folder, and save again. {_UNTOUCHED}"
_RIGHTS = f"Choose a folder that you may write to. {_UNTOUCHED}"
_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHTS),
    errno.EIO: f"The disk may be failing: save to another one. {_UNTOUCHED}",
    errno.ENOENT: "Create the folder first",
    errno.ENOTDIR: "Create the folder first",
}


def write_atomic(path: str | os.PathLike[str], data: Buffer | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically and durably.

    A new file gets the rights that the umask leaves (0666 & ~umask); a file that is replaced keeps its own. A symbolic
    link stays one: the file it points to is replaced. Two writers of one path do not disturb each other: the last wins.

    Args:
        path: where to write; its folder must exist.
        data: the content, or a function that writes it into the open binary file it is given.

    Raises:
        SaveError: if the file cannot be written; what stood there before is untouched, and nothing is left beside it.
            Only when the very last step fails, syncing the folder, is the new file in place; the message says so.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(f"{folder}/note.txt", b"first light")
        ...     open(f"{folder}/note.txt").read()
        'first light'
    """
    target, mode = _resolve(path)
    where, base = os.path.split(target)
    stage = "opening its folder"
    try:
        folder = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stage = "creating a file beside it"
            _sweep(folder, base)
            name, fd = _create(folder, base, mode)
            try:
                stage = "writing"
                with open(fd, "wb", closefd=False) as file:
                    if callable(data):
                        data(file)
                    else:
                        file.write(data)
                stage = "syncing"
                os.fsync(fd)
                stage = "renaming"
                os.replace(name, base, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                _remove(folder, name)
                raise
            finally:
                # Closed only now because the descriptor holds the lock; all bytes were synced, so close has no news.
                with contextlib.suppress(OSError):
                    os.close(fd)
            stage = "syncing its folder"
            _sync_folder(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _refusal(path, error, stage) from error


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise now what saving to `path` would raise after hours of training.

    Args:
        path: where a file will be written later.

    Raises:
        SaveError: if its folder is missing or may not be written to, or if the path is a folder, a device or a pipe.
    """
    target, _ = _resolve(path)
    folder = os.path.dirname(target)
    if not os.access(folder, os.W_OK | os.X_OK):
        code = errno.EACCES if os.path.isdir(folder) else errno.ENOENT
        raise _refusal(path, OSError(code, os.strerror(code)), "opening its folder")


def _resolve(path: str | os.PathLike[str]) -> tuple[str, int | None]:
    """Return the real path behind links and the rights of the file there, None if there is no file yet."""
    name = os.fspath(path)
    if not name:
        raise _refused(path, "it names no file", "Give the name of a file, such as model.elman")
    try:
        target = os.path.realpath(name)
        now = os.stat(target)
    except FileNotFoundError:
        if not name.endswith(os.sep):
            return target, None
        raise _refused(path, "it ends in a slash but there is no such folder", "Leave the slash out") from None
    except OSError as error:
        raise _refusal(path, error, "looking at it") from error
    except ValueError:
        raise _refused(path, "its name holds a NUL character", "Give a name without it") from None
    if stat.S_ISDIR(now.st_mode):
        raise _refused(path, "it is a folder", "Give the name of a file in it, such as model.elman")
    if not stat.S_ISREG(now.st_mode):
        raise _refused(path, "it is a device or a pipe, not a regular file", "Give the name of a regular file")
    if not os.access(target, os.W_OK):
        # Renaming would replace it all the same, but who takes the right to write away wants the file kept.
        raise _refused(path, "the file there may not be written to", "Choose another name, or allow it: chmod u+w")
    return target, stat.S_IMODE(now.st_mode) & 0o777


def _create(folder: int, base: str, mode: int | None) -> tuple[str, int]:
    """Create an empty, locked file beside the target and return its name and descriptor.

    The kernel applies the umask at creation: reading it takes setting it, for all threads, so it is never read here.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        name = f"{_prefix(base)}{secrets.token_hex(8)}.tmp"
        fd = os.open(name, flags, 0o666 if mode is None else mode & 0o666, dir_fd=folder)
        try:
            if _lock(fd) is not False and (now := os.fstat(fd)).st_nlink > 0:
                if mode is not None and stat.S_IMODE(now.st_mode) != mode:
                    os.fchmod(fd, mode)
                return name, fd
        except BaseException:
            _remove(folder, name)
            os.close(fd)
            raise
        os.close(fd)  # another writer's sweep took it for an orphan before it was locked, and removes it


def _remove(folder: int, name: str) -> None:
    """Remove a file after an error, which is the one to tell: on a disk that died, removing may fail as well."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _sweep(folder: int, base: str) -> None:
    """Remove what writers of this file left behind when they were killed.

    A living writer holds a lock that dies with it, so an unlocked file is an orphan, whatever the clock says.
    """
    prefix = _prefix(base)
    for name in os.listdir(folder):
        if not (name.startswith(prefix) and name.endswith(".tmp")):
            continue
        # Swept by another writer meanwhile, or another user's: neither hinders this one.
        with contextlib.suppress(OSError):
            fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                if _lock(fd):
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(fd)


def _prefix(base: str) -> str:
    """Start the names of a target's temporary files; short, because the target may have all 255 bytes."""
    return f".{base[:16]}."


def _lock(fd: int) -> bool | None:
    """Take the lock: True if taken, False if another holds it, None if the file system knows no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync_folder(folder: int) -> None:
    """Make the rename durable."""
    try:
        os.fsync(folder)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a folder and say so; any other answer is a failure.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _refusal(path: str | os.PathLike[str], error: OSError, stage: str) -> SaveError:
    """Turn the system's error into ours, with the same errno."""
    code = error.errno or 0
    cure = _CURES.get(code, _UNTOUCHED)
    if stage == "syncing its folder":
        cure = "The new file is in place, but might not survive a power cut: save again"
    named = f" ({errno.errorcode[code]})" if code in errno.errorcode else ""
    refusal = _refused(path, f"{stage} failed: {error.strerror or error}{named}", cure)
    refusal.errno = error.errno
    return refusal


def _refused(path: str | os.PathLike[str], wrong: str, cure: str) -> SaveError:
    return SaveError(say(f"saving {os.fspath(path)!r}", wrong, cure=cure))
