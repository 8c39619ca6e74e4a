"""The cache on disk: whole entries or none, whatever happens to its files."""

import os
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from aecompiler.disk_cache import DiskCache, open_cache

ROOT = Path(__file__).parents[2]
BLOBS = {"code": b"\0code" * 1000, "object": b"", "metadata": b"{}"}
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners of files")


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "cache")


def entry(cache, key="key"):
    return cache.folder / f"{key}.entry"


def test_what_is_stored_is_loaded(cache):
    assert cache.load("key") is None
    cache.store("key", BLOBS)
    assert cache.load("key") == BLOBS
    assert cache.load("other") is None
    cache.store("key", {"code": b"new"})
    assert cache.load("key") == {"code": b"new"}
    cache.drop("key")
    assert cache.load("key") is None
    cache.drop("key")


@posix
def test_entries_are_private(cache):
    before = os.umask(0)
    try:
        cache.store("key", BLOBS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(cache).stat().st_mode) == 0o600


# ---- damage ----


@pytest.mark.parametrize("length", [0, 1, 10, 41, 42, 43, 60, 1000, -1])
def test_a_truncated_entry_is_deleted(cache, length):
    cache.store("key", BLOBS)
    content = entry(cache).read_bytes()
    entry(cache).write_bytes(content[:length])
    assert cache.load("key") is None
    assert not entry(cache).exists()


@pytest.mark.parametrize("place", [0, 9, 10, 41, 42, 50, 53, 70, 2000, -1])
def test_a_changed_entry_is_deleted(cache, place):
    cache.store("key", BLOBS)
    content = bytearray(entry(cache).read_bytes())
    content[place] ^= 0x40
    entry(cache).write_bytes(content)
    assert cache.load("key") is None
    assert not entry(cache).exists()


def test_an_entry_with_something_behind_it_is_deleted(cache):
    cache.store("key", BLOBS)
    with open(entry(cache), "ab") as file:
        file.write(b"\0")
    assert cache.load("key") is None


def test_an_entry_of_another_name_is_deleted(cache):
    cache.store("key", BLOBS)
    os.replace(entry(cache), entry(cache, "other"))
    assert cache.load("other") is None
    assert not entry(cache, "other").exists()


def test_a_crash_while_storing_leaves_no_entry(cache, monkeypatch):
    def crash(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        cache.store("key", BLOBS)
    assert cache.load("key") is None
    assert os.listdir(cache.folder) == []


def test_what_a_killed_process_left_is_cleared_away_later(cache):
    cache.store("key", BLOBS)
    old, new = cache.folder / "old.tmp", cache.folder / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"half an ent")
    os.utime(old, (time.time() - 10_000,) * 2)
    cache.store("other", BLOBS)
    assert not old.exists()
    assert new.exists()  # somebody may be writing it


# ---- places that can't be used ----


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = DiskCache(tmp_path / "file" / "cache")
    cache.store("key", BLOBS)
    assert cache.load("key") is None


def test_an_entry_that_is_a_folder(cache):
    cache.store("other", BLOBS)
    entry(cache).mkdir()
    cache.store("key", BLOBS)
    assert cache.load("key") is None
    assert sorted(os.listdir(cache.folder)) == ["key.entry", "other.entry"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_an_entry_that_is_no_file(cache, what):
    """Nothing waits for somebody to write into a pipe; and the handle is closed."""
    cache.store("other", BLOBS)
    if what == "pipe":
        os.mkfifo(entry(cache), 0o600)
    elif what == "folder":
        entry(cache).mkdir()
    else:
        os.symlink("/dev/zero", entry(cache))
    read = []
    reader = threading.Thread(target=lambda: read.append(cache.load("key")), daemon=True)
    reader.start()
    reader.join(30)
    assert read == [None]
    handle = os.open(os.devnull, os.O_RDONLY)
    os.close(handle)
    for _ in range(3):
        assert cache.load("key") is None
    again = os.open(os.devnull, os.O_RDONLY)
    os.close(again)
    assert again == handle


def test_another_process_clears_up_at_the_same_time(cache, monkeypatch):
    """What has gone already is no reason to leave the rest."""
    cache.size_bytes = 1000
    cache.store("key", {"code": b"small"})
    stale = cache.folder / "old.tmp"
    stale.write_bytes(b"half an ent")
    os.utime(stale, (time.time() - 10_000,) * 2)
    unlink = os.unlink

    def late(path, *args, **kwargs):
        unlink(path, *args, **kwargs)
        if str(path) == str(stale):
            raise FileNotFoundError(path)

    monkeypatch.setattr(os, "unlink", late)
    cache.store("large", BLOBS)
    assert not stale.exists()
    assert not entry(cache, "large").exists()  # pruning went on


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(cache):
    cache.store("key", BLOBS)
    cache.folder.chmod(0o500)
    try:
        cache.store("other", BLOBS)
        assert cache.load("other") is None
        assert cache.load("key") == BLOBS
    finally:
        cache.folder.chmod(0o700)


def test_a_file_system_that_refuses_to_write(cache, monkeypatch):
    cache.store("key", BLOBS)

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    for name in ("replace", "unlink", "utime"):
        monkeypatch.setattr(os, name, refuse)
    cache.store("other", BLOBS)
    assert cache.load("key") == BLOBS
    assert cache.load("other") is None


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(cache, mode):
    cache.store("key", BLOBS)
    cache.folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match="compiled kernels are not cached: the folder"):
        found = cache.load("key")
    assert found is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has been said
        cache.store("other", BLOBS)
    assert not entry(cache, "other").exists()


@posix
def test_an_entry_that_others_can_write_to_is_not_used(cache):
    cache.store("key", BLOBS)
    entry(cache).chmod(0o666)
    assert cache.load("key") is None


@posix
@pytest.mark.filterwarnings("ignore:compiled kernels are not cached")
def test_what_belongs_to_somebody_else_is_not_used(cache, monkeypatch):
    cache.store("key", BLOBS)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.load("key") is None


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links_are_not_followed(cache, tmp_path):
    cache.store("key", BLOBS)
    os.replace(entry(cache), tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", entry(cache))
    assert cache.load("key") is None


# ---- size ----


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    cache = DiskCache(tmp_path / "cache", size_bytes=50_000)
    for number in range(4):
        cache.store(f"k{number}", {"code": bytes(10_000)})
        os.utime(entry(cache, f"k{number}"), (1000 + number,) * 2)
    assert cache.load("k0") is not None  # used now
    cache.store("k4", {"code": bytes(10_000)})
    assert [cache.load(f"k{n}") is not None for n in range(5)] == [True, False, False, True, True]


def test_an_entry_larger_than_the_cache_does_not_stay(tmp_path):
    cache = DiskCache(tmp_path / "cache", size_bytes=1000)
    cache.store("key", BLOBS)
    assert cache.load("key") is None


# ---- several processes ----


HAMMER = """
import sys
from pathlib import Path
from aecompiler.disk_cache import DiskCache
cache, number = DiskCache(Path(sys.argv[1]), size_bytes=200_000), int(sys.argv[2])
for turn in range(200):
    key = f"k{turn % 7}"
    blobs = {"code": key.encode() * 5000}
    cache.store(key, blobs)
    assert cache.load(key) in (None, blobs)
    if turn % 11 == number:
        cache.drop(key)
"""


def test_processes_share_a_folder(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(tmp_path / "cache"), str(number)], cwd=ROOT)
        for number in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert not list((tmp_path / "cache").glob("*.tmp"))


# ---- the environment ----


def test_the_environment_chooses(monkeypatch, tmp_path):
    monkeypatch.delenv("AECOMPILER_CACHE")
    monkeypatch.delenv("AECOMPILER_CACHE_DIR", raising=False)
    monkeypatch.delenv("AECOMPILER_CACHE_SIZE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert open_cache().folder == tmp_path / "xdg" / "aecompiler"
    assert open_cache().size_bytes == 256 * 2**20
    monkeypatch.setenv("AECOMPILER_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("AECOMPILER_CACHE_SIZE", "3")
    assert open_cache().folder == tmp_path / "own"
    assert open_cache().size_bytes == 3 * 2**20
    monkeypatch.setenv("AECOMPILER_CACHE_SIZE", " 007 ")
    assert open_cache().size_bytes == 7 * 2**20
    monkeypatch.setenv("AECOMPILER_CACHE_SIZE", "")
    assert open_cache().size_bytes == 256 * 2**20
    monkeypatch.setenv("AECOMPILER_CACHE", "1")
    assert open_cache() is not None
    monkeypatch.setenv("AECOMPILER_CACHE", "0")
    assert open_cache() is None


@pytest.mark.parametrize("text", ["much", "1G", "-5", "1.5", "\u0664", "9" * 5000, str(2**30 + 1)])
def test_a_size_that_is_none(monkeypatch, text):
    monkeypatch.setenv("AECOMPILER_CACHE", "1")
    monkeypatch.setenv("AECOMPILER_CACHE_SIZE", text)
    message = r"^expects the environment variable AECOMPILER_CACHE_SIZE to be a number of MiB, "
    with pytest.raises(ValueError, match=message):
        open_cache()


def test_neither_on_nor_off(monkeypatch):
    monkeypatch.setenv("AECOMPILER_CACHE", "off")
    message = r"^expects the environment variable AECOMPILER_CACHE to be 0 or 1, got 'off'$"
    with pytest.raises(ValueError, match=message):
        open_cache()
