"""Arrays laid aside: the same values wherever they lie, nothing left on the disk, and a full disk is an error."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from cohort import TWO_STAGES, cases_of, pipeline_of

import mmfuse.data.aside as module
from mmfuse.data.aside import aside, numbered, picked, room
from mmfuse.data.disk import cache_root


@pytest.fixture(params=["in memory", "aside"])
def place(request, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1 if request.param == "aside" else 2**40)
    return request.param


def lies_aside(array):
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


def test_room_is_filled_and_of_its_shape(place):
    zeros, ones = room(5, "S3"), room((2, 3), np.float32, np.nan)
    assert zeros.tolist() == [b""] * 5
    assert (ones.shape, ones.dtype) == ((2, 3), np.float32)
    assert np.isnan(ones).all()
    assert lies_aside(zeros) == lies_aside(ones) == (place == "aside")
    assert type(ones) is np.ndarray  # nothing that an array is given to sees where it lies


def test_an_array_laid_aside_is_the_same(place):
    given = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(aside(given), given)
    assert lies_aside(aside(given)) == (place == "aside")
    words = np.array(["a", None], dtype=object)  # what is no bytes stays in memory
    assert aside(words) is words
    np.testing.assert_array_equal(picked(words, [1, 0]), words[[1, 0]])


@pytest.mark.parametrize("shape", [(30_000,), (30_000, 2)])
def test_picked_is_what_an_index_gives(place, shape):
    rng = np.random.default_rng(0)
    given = rng.random(shape)
    mask = rng.random(len(given)) < 0.7
    for index in (mask, np.flatnonzero(mask)[::-1], slice(5, 20_000, 3), [], np.array([-1, 3], dtype=np.int32)):
        wanted = given[index if len(np.shape(index)) == 0 or len(index) else np.array([], dtype=int)]
        np.testing.assert_array_equal(picked(given, index), wanted)


@pytest.mark.parametrize("index", [np.ones(4, bool), np.array([0.0, 1.0]), [0, 7]])
def test_what_is_no_index_of_it_is_refused_as_numpy_does(place, index):
    with pytest.raises(IndexError):
        picked(np.arange(5.0), index)


@pytest.mark.parametrize("n", [0, 1, 2, 8191, 8192, 8193, 40_000])
def test_numbered_is_numpy_s_unique(place, n):
    words = np.array([f"p{i}" for i in np.random.default_rng(n).integers(0, max(n // 3, 1), n)], dtype=np.str_)
    names, which = numbered(words)
    wanted, inverse = np.unique(words, return_inverse=True)
    np.testing.assert_array_equal(names, wanted)
    np.testing.assert_array_equal(which, inverse)
    assert names.dtype == wanted.dtype


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open have names there")
def test_nothing_of_it_has_a_name_and_the_cache_is_closed_to_others(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)
    held = [room(1000, np.int64) for _ in range(3)]
    assert lies_aside(held[0])
    assert list(cache_root().iterdir()) == []
    assert cache_root().stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of a process's files")
@pytest.mark.parametrize("reserves", [True, False])
def test_a_full_disk_is_a_clear_error(tmp_path, reserves):
    code = f"""
    import os, resource, signal
    from mmfuse.data.aside import room
    from mmfuse.errors import RunError
    if not {reserves}:
        del os.posix_fallocate
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, 2**22))
    room(2**22, "u1")[:] = 1
    try:
        room(2**22 + 1, "u1")
    except RunError as error:
        print(error)
    """
    env = {**os.environ, "MMFUSE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "no room left in the cache" in done.stdout
    assert "MMFUSE_CACHE" in done.stdout


def test_a_pipeline_is_the_same_to_the_bit_wherever_its_arrays_lie(monkeypatch, tmp_path):
    tables = []
    for large in (1, 2**40):
        monkeypatch.setattr(module, "LARGE", large)
        pipeline = pipeline_of(decisions=TWO_STAGES)
        fitted = pipeline.fit(cases_of(pipeline.spec, n=80))
        assert lies_aside(fitted.scores.ids) == lies_aside(fitted.scores.sources["final"]) == (large == 1)
        fitted.save(tmp_path / str(large))
        tables.append((tmp_path / str(large) / "scores.npz").read_bytes())
    assert tables[0] == tables[1]
