"""A disk that can be full and can lose its power, under an SQLite that does not know.

The law: what was written is on the disk once `xSync` has returned, and not before. At a power cut each sector of 512
bytes that was written since may be there or not; memory shared between processes is gone.

It is the process's default VFS, so the store opens its files through it without being told.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import apsw

__all__ = ["Disk"]

_SECTOR = 512
_OS = apsw.vfs_names()[0]

Op = tuple[int, bytes | None]  # where and what was written; None: the file was cut there


class _Image:
    """One file as its writers see it, and what of it is not on the disk yet."""

    def __init__(self, path: str, file: _File) -> None:
        self.path = Path(path)
        self.files: list[_File] = []
        size = apsw.VFSFile.xFileSize(file)
        self.now = bytearray(apsw.VFSFile.xRead(file, size, 0)) if size else bytearray()
        self.pending: list[Op] = []

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        if len(self.now) < end:
            self.now.extend(bytes(end - len(self.now)))
        self.now[offset:end] = data
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.now[size:]
        self.pending.append((size, None))

    def apply(self, ops: list[Op]) -> None:
        """Write to the disk, through an open handle where there is one: closing another would drop SQLite's locks."""
        self.pending = []
        if self.files:
            for offset, data in ops:
                if data is None:
                    apsw.VFSFile.xTruncate(self.files[0], offset)
                else:
                    apsw.VFSFile.xWrite(self.files[0], data, offset)
        elif ops and self.path.exists():
            with self.path.open("r+b") as file:
                for offset, data in ops:
                    file.seek(offset)
                    file.truncate() if data is None else file.write(data)

    def lose(self, rng: random.Random) -> None:
        """Let a drawn part of what is not synced reach the disk: nothing, a torn beginning, or some sectors."""
        sectors = [piece for op in self.pending for piece in _sectors(op)]
        way = rng.choice(("nothing", "beginning", "some"))
        if way == "nothing":
            sectors = []
        elif way == "beginning":
            sectors = sectors[: rng.randint(0, len(sectors))]
        else:
            share = rng.random()
            sectors = [piece for piece in sectors if rng.random() < share]
        self.apply(sectors)


def _sectors(op: Op) -> list[Op]:
    offset, data = op
    if data is None:
        return [op]
    pieces, at = [], 0
    while at < len(data):
        end = min(len(data), at + _SECTOR - (offset + at) % _SECTOR)
        pieces.append((offset + at, data[at:end]))
        at = end
    return pieces


class Disk(apsw.VFS):
    """The disk of one process.

    Parameters
    ----------
    has_cache : bool
        Whether unsynced writes are kept back in memory: for a process whose power will be cut.
    is_full : callable
        Asked before each write.
    reach : callable
        Told ``"vfs.write"`` and ``"vfs.sync"`` after each.
    """

    def __init__(self, has_cache: bool, is_full: Callable[[], bool], reach: Callable[[str], None]) -> None:
        super().__init__("torture", _OS, makedefault=True)
        self.has_cache, self.is_full, self.reach = has_cache, is_full, reach
        self.images: dict[str, _Image] = {}

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.images.pop(filename, None)
        super().xDelete(filename, syncdir)

    def settle(self) -> None:
        """Hand everything over to the operating system: what a killed process leaves behind."""
        for image in self.images.values():
            image.apply(image.pending)

    def cut(self, rng: random.Random) -> None:
        """Lose the power: of what is not synced a drawn part stays, of shared memory nothing."""
        for path, image in sorted(self.images.items()):
            image.lose(rng)
            Path(f"{path}-shm").unlink(missing_ok=True)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(_OS, name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._image = disk, None
        if disk.has_cache and path:
            if path not in disk.images:
                disk.images[path] = _Image(path, self)
            self._image = disk.images[path]
            self._image.files.append(self)

    def xClose(self) -> None:
        if self._image is not None:
            self._image.files.remove(self)
        super().xClose()

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._image is None:
            return super().xRead(amount, offset)
        return bytes(self._image.now[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.is_full():
            raise apsw.FullError("the disk is full")
        if self._image is None:
            super().xWrite(data, offset)
        else:
            self._image.write(bytes(data), offset)
        self._disk.reach("vfs.write")

    def xTruncate(self, size: int) -> None:
        if self._image is None:
            super().xTruncate(size)
        else:
            self._image.truncate(size)

    def xSync(self, flags: int) -> None:
        if self._image is not None:
            self._image.apply(self._image.pending)
        else:
            super().xSync(flags)
        self._disk.reach("vfs.sync")

    def xFileSize(self) -> int:
        return super().xFileSize() if self._image is None else len(self._image.now)
