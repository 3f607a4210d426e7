"""Model files: whole or not there, and never read unless each byte is the one that was published."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from core.errors import DiskError, ModelError
from core.store.artefacts import MANIFEST, MAX_FILE_BYTES, load, prune, publish, versions

ROOT = Path(__file__).parents[3]
FILES = {"booster.ubj": bytes(range(256)) * 40, "calibrator.json": b'{"a": 1}', "card.json": b"{}"}

# Publishes versions m0, m1, ... for ever and says each one's sha256 once it is done.
PUBLISH_FOR_EVER = """
import sys
from pathlib import Path
from core.store.artefacts import publish
number = int(sys.argv[2])
while True:
    files = {f"part{i}.bin": bytes([number % 256, i]) * 500_000 for i in range(4)}
    print(f"m{number}", publish(Path(sys.argv[1]), f"m{number}", files), flush=True)
    number += 1
"""

# Dies without a word at a chosen call of fsync: before that the file is written, after it nothing more is done.
DIE_AT_A_SYNC = """
import os, signal, sys
from pathlib import Path
from core.store.artefacts import publish
calls, deadly = 0, int(sys.argv[2])
def sync(handle, _real=os.fsync):
    global calls
    calls += 1
    if calls == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    _real(handle)
os.fsync = sync
publish(Path(sys.argv[1]), "m1", {"a.json": b"1", "b.json": b"2"})
"""

# No file may become larger than a thousand bytes.
PUBLISH_WITHOUT_SPACE = """
import resource, signal, sys
from pathlib import Path
from core.errors import DiskError
from core.store.artefacts import publish
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    publish(Path(sys.argv[1]), "m1", {"a.bin": b"1" * 500, "b.bin": b"1" * 5000})
except DiskError as error:
    print(error)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "meta"


def visible(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if item.name != ".lock")


def test_what_was_published_is_loaded(folder: Path) -> None:
    sha256 = publish(folder, "m-2024.01+a@1", FILES)
    assert load(folder, "m-2024.01+a@1", sha256) == FILES
    assert sha256 == hashlib.sha256((folder / "m-2024.01+a@1" / MANIFEST).read_bytes()).hexdigest()
    assert versions(folder) == ["m-2024.01+a@1"]
    assert visible(folder) == ["m-2024.01+a@1"]


def test_the_same_version_again_is_the_same_and_another_is_refused(folder: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    written = (folder / "m1" / "card.json").stat().st_mtime_ns
    assert publish(folder, "m1", dict(reversed(FILES.items()))) == sha256
    assert (folder / "m1" / "card.json").stat().st_mtime_ns == written
    with pytest.raises(ModelError, match=r"m1.*a version is never replaced"):
        publish(folder, "m1", {**FILES, "card.json": b"[]"})
    assert load(folder, "m1", sha256) == FILES


def test_a_damaged_version_is_not_taken_for_the_same(folder: Path) -> None:
    publish(folder, "m1", FILES)
    (folder / "m1" / "card.json").write_bytes(b"[]")
    with pytest.raises(ModelError, match="not as it was published"):
        publish(folder, "m1", FILES)


def test_versions_do_not_share_a_manifest(folder: Path) -> None:
    assert publish(folder, "m1", FILES) != publish(folder, "m2", FILES)


@pytest.mark.parametrize("place", [0, 5_000, -1])
def test_a_flipped_bit_anywhere_is_found(folder: Path, place: int) -> None:
    sha256 = publish(folder, "m1", FILES)
    damaged = bytearray(FILES["booster.ubj"])
    damaged[place] ^= 1
    (folder / "m1" / "booster.ubj").write_bytes(damaged)
    with pytest.raises(ModelError, match=r"booster\.ubj is not as it was published.*train_meta\.py"):
        load(folder, "m1", sha256)


def test_a_file_cut_short_or_made_longer_is_found(folder: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    for data in (b"", FILES["card.json"] + b"\n"):
        (folder / "m1" / "card.json").write_bytes(data)
        with pytest.raises(ModelError, match="not as it was published"):
            load(folder, "m1", sha256)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    sha256 = publish(folder, "m1", FILES)
    (folder / "m1" / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing; restore the folder"):
        load(folder, "m1", sha256)


def test_a_version_that_is_not_there_is_an_error_of_one_line(folder: Path) -> None:
    with pytest.raises(ModelError, match="not a folder") as caught:
        load(folder, "m1", "0" * 64)
    assert "\n" not in str(caught.value)


def test_another_manifest_is_refused_though_it_fits_its_files(folder: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    publish(folder, "m2", {"card.json": b"evil"})
    for name in ("card.json", MANIFEST):
        (folder / "m1" / name).write_bytes((folder / "m2" / name).read_bytes())
    with pytest.raises(ModelError, match="not the one that was published"):
        load(folder, "m1", sha256)
    told = json.loads((folder / "m1" / MANIFEST).read_bytes())
    digest = hashlib.sha256((folder / "m1" / MANIFEST).read_bytes()).hexdigest()
    assert told["version"] == "m2"
    with pytest.raises(ModelError, match="format 1"):
        load(folder, "m1", digest)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format": 2, "version": "m1", "files": {}}',
        b'{"format": 1, "version": "m1", "files": []}',
        b'{"format": 1, "version": "m1", "files": {}}',
        b'{"format": 1, "version": "m1", "files": {"card.json": 3}}',
        b'{"format": 1, "version": "m1", "files": {"../card.json": {"bytes": 2, "sha256": ""}}}',
        b'{"format": 1, "version": "m1", "files": {"/etc/passwd": {"bytes": 2, "sha256": ""}}}',
        b'{"format": 1, "version": "m1", "files": {"model.pkl": {"bytes": 2, "sha256": ""}}}',
        b'{"format": 1, "version": "m1", "files": {"card.json": {"bytes": "many", "sha256": ""}}}',
    ],
)
def test_a_manifest_of_another_shape_is_refused_even_with_its_own_sha256(folder: Path, manifest: bytes) -> None:
    publish(folder, "m1", FILES)
    (folder / "m1" / MANIFEST).write_bytes(manifest)
    with pytest.raises(ModelError):
        load(folder, "m1", hashlib.sha256(manifest).hexdigest())


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../m1",
        "a/b",
        "a\\b",
        "/tmp/x",
        "C:x",
        ".hidden",
        "a b",
        "ü",
        "con",
        "NUL.json",
        "com1",
        "a.",
        "a\n",
    ],
)
def test_a_name_that_leaves_the_folder_or_fits_no_disk_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match="not a name"):
        publish(folder, name, FILES)
    with pytest.raises(ModelError, match="not a name"):
        publish(folder, "m1", {name: b""})
    with pytest.raises(ModelError, match="not a name"):
        load(folder, name, "0" * 64)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["model.pkl", "model.PKL", "x.pickle", "x.joblib", "x.dill"])
def test_a_pickle_is_refused_by_its_name(folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match="pickled objects are never loaded"):
        publish(folder, "m1", {name: b""})


def test_files_no_disk_or_nobody_can_hold_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="manifest"):
        publish(folder, "m1", {"Manifest.json": b""})
    with pytest.raises(ModelError, match="differ in case only"):
        publish(folder, "m1", {"a.json": b"", "A.json": b""})
    with pytest.raises(ModelError, match="0 files, expected 1 to 64"):
        publish(folder, "m1", {})
    with pytest.raises(ModelError, match="not a name"):
        publish(folder, "x" * 101, FILES)
    with pytest.raises(ModelError, match="65 files"):
        publish(folder, "m1", {f"{i}.json": b"" for i in range(65)})
    with pytest.raises(ModelError, match="at most 67,108,864"):
        publish(folder, "m1", {"a.bin": bytes(MAX_FILE_BYTES + 1)})


def test_a_file_that_grew_beyond_all_measure_is_not_read(folder: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    with (folder / "m1" / "card.json").open("r+b") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ModelError, match="larger than"):
        load(folder, "m1", sha256)


def test_links_are_refused_whatever_they_point_to(folder: Path, tmp_path: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    elsewhere = tmp_path / "card.json"
    elsewhere.write_bytes(FILES["card.json"])
    (folder / "m1" / "card.json").unlink()
    try:
        (folder / "m1" / "card.json").symlink_to(elsewhere)
        (folder / "m2").symlink_to(folder / "m1", target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    with pytest.raises(ModelError, match="is a link or no file"):
        load(folder, "m1", sha256)
    with pytest.raises(ModelError, match="is not a folder"):
        load(folder, "m2", sha256)
    with pytest.raises(ModelError, match="never replaced"):
        publish(folder, "m2", FILES)
    assert versions(folder) == ["m1"]


def test_a_folder_in_a_files_place_is_refused(folder: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    (folder / "m1" / "card.json").unlink()
    (folder / "m1" / "card.json").mkdir()
    with pytest.raises(ModelError, match="is a link or no file"):
        load(folder, "m1", sha256)


def test_files_that_were_put_beside_are_neither_read_nor_in_the_way(folder: Path) -> None:
    sha256 = publish(folder, "m1", FILES)
    (folder / "m1" / "note.txt").write_text("mine")
    (folder / "m1" / "x.pkl").write_bytes(b"cos\nsystem\n")
    assert load(folder, "m1", sha256) == FILES


def test_a_folder_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in its place")
    with pytest.raises(DiskError, match=r"models .*: cannot be written .*check space and permissions"):
        publish(tmp_path / "models" / "meta", "m1", FILES)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_folder_without_permission_is_an_error_of_the_disk(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    try:
        with pytest.raises(DiskError, match="Permission denied"):
            publish(folder, "m1", FILES)
    finally:
        folder.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_disk_without_space_leaves_nothing_of_the_version(folder: Path) -> None:
    script = [sys.executable, "-c", PUBLISH_WITHOUT_SPACE, str(folder)]
    told = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "cannot be written (File too large)" in told
    assert versions(folder) == []
    publish(folder, "m1", FILES)
    assert versions(folder) == ["m1"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("deadly", [1, 2, 3, 4, 5])
def test_a_kill_at_any_sync_leaves_nothing_or_the_whole(folder: Path, deadly: int) -> None:
    died = subprocess.run([sys.executable, "-c", DIE_AT_A_SYNC, str(folder), str(deadly)], cwd=ROOT, check=False)
    assert died.returncode == -9
    whole = deadly == 5  # two files, the manifest and their folder are synced; then it is renamed
    assert versions(folder) == (["m1"] if whole else [])
    assert visible(folder) == (["m1"] if whole else [".unfinished-m1"])
    sha256 = publish(folder, "m1", {"a.json": b"1", "b.json": b"2"})
    assert load(folder, "m1", sha256) == {"a.json": b"1", "b.json": b"2"}
    assert visible(folder) == ["m1"]


def test_kills_at_any_moment_leave_whole_versions_only(folder: Path) -> None:
    told: dict[str, str] = {}
    for round_number in range(4):
        script = [sys.executable, "-c", PUBLISH_FOR_EVER, str(folder), str(1_000 * round_number)]
        process = subprocess.Popen(script, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.05 + 0.043 * round_number)
        process.kill()
        told.update(line.split() for line in (first + process.stdout.read()).splitlines())
        process.stdout.close()
        process.wait()
    there = versions(folder)
    assert set(told) <= set(there)
    for version in there:
        sha256 = hashlib.sha256((folder / version / MANIFEST).read_bytes()).hexdigest()
        assert told.get(version, sha256) == sha256
        assert len(load(folder, version, sha256)) == 4
    publish(folder, "last", FILES)
    assert visible(folder) == sorted([*there, "last"])


def test_two_who_publish_at_once_do_not_sweep_each_other_away(folder: Path) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for i in range(10):
                publish(folder, f"{name}{i}", FILES)
        except (ModelError, DiskError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(versions(folder)) == 30


def test_pruning_keeps_what_it_is_told_to(folder: Path) -> None:
    assert prune(folder, []) == []
    assert not folder.exists()
    digests = {name: publish(folder, name, FILES) for name in ("m1", "m2", "m3")}
    (folder / "notes").mkdir()
    assert prune(folder, {"m2", "gone"}) == ["m1", "m3"]
    assert visible(folder) == ["m2", "notes"]
    assert load(folder, "m2", digests["m2"]) == FILES


def test_contents_are_looked_at_once(folder: Path) -> None:
    class Changing(Mapping[str, bytes]):
        looks = 0

        def __getitem__(self, name: str) -> bytes:
            self.looks += 1
            return str(self.looks).encode()

        def __iter__(self) -> Iterator[str]:
            return iter(["a.json"])

        def __len__(self) -> int:
            return 1

    sha256 = publish(folder, "m1", Changing())
    assert load(folder, "m1", sha256) == {"a.json": b"1"}
