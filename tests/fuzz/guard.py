"""What every input is held to: mmfuse's own errors alone, 10 seconds, 2 GiB, and nothing left behind."""

import contextlib
import os
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import click

import mmfuse

SECONDS = 10
ROOM = 2 * 2**30


class End(NamedTuple):
    """How one input ended: `ok`, `refused`, or what it broke (`raw`, `hang`, `memory`, `left`, `wrong`)."""

    word: str
    text: str = ""


class WrongError(AssertionError):
    """A number came out of an input whose own checksums do not hold."""


class _HangError(BaseException):
    """Not an Exception: nothing on the way may take it for its own."""


def _ring(*_):
    raise _HangError


def held(call, folder, seconds=SECONDS):
    """Carries out `call()` under the rules; what stands in `folder` before must stand there after."""
    before = _standing(folder)
    signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of work, not of waiting for others on the machine
    try:
        with _room(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            end = _ended(call)
    except _HangError:
        return End("hang", traceback.format_exc(limit=-6))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    left = sorted(_standing(folder) - before)
    return End("left", ", ".join(left)) if left and end.word in ("ok", "refused") else end


def _ended(call):
    try:
        call()
    except (mmfuse.MmfuseError, click.ClickException) as error:
        return _spoken(error)
    except MemoryError:
        return End("memory", traceback.format_exc(limit=-6))
    except WrongError as error:
        return End("wrong", str(error))
    except Exception:
        text = traceback.format_exc(limit=-8)
        return End("memory" if "alloc" in text.lower() and "memory" in text.lower() else "raw", text)
    return End("ok")


def _spoken(error):
    """A refusal that can be written to any terminal and file, and is no novel."""
    text = str(error)
    if isinstance(error.__cause__, MemoryError):
        return End("memory", text[:500])
    text.encode()
    return End("refused", text) if len(text) < 100_000 else End("raw", f"a message of {len(text)} signs: {text[:300]}")


def _standing(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*")}


@contextlib.contextmanager
def _room():
    """2 GiB more than what is there."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not every system tells
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def silence():
    """Nothing on the terminal, not even from compiled code."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        yield kept
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(kept, 1):
            os.dup2(old, number)
            os.close(old)
        os.close(nowhere)


def program(*words):
    """Runs a command as a shell would. Raises: AssertionError for another exit code than 0, 1 or 2, or a command that
    runs out of memory."""
    from click.testing import CliRunner

    from mmfuse.cli import main

    result = CliRunner().invoke(main, ["--quiet", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if "no memory is left" in result.output:
        raise MemoryError(result.output)
    if result.exit_code not in (0, 1, 2):
        raise AssertionError(f"exit code {result.exit_code}: {result.output[-500:]}")
    return result
