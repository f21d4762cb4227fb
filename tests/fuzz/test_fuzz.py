"""Spoilt inputs of every kind end in mmfuse's own errors: within 10 seconds of work and 2 GiB, nothing left behind,
and with no number out of a file whose checksums do not hold.

Every input has a number, and is made again from it: a failure says the command that repeats it. `make test` looks at a
few of each kind, `make test-all` at 20,000, or as many as MMFUSE_FUZZ says, from MMFUSE_FUZZ_SEED on.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHARES = {"fit": 0.5, "run": 4, "plan": 2, "card": 2, "image": 2, "scores": 2}
"""How many inputs of an area come beside one of another."""
AREAS = ("plan", "fit", "sets", "card", "csv", "parquet", "xlsx", "image", "run", "scores", "start", "weights",
         "outside", "vectors", "study", "figures")  # fmt: skip
DEATHS = 5
"""So many processes may die before the search ends."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    pytest.importorskip("mmfuse_metadata")
    pytest.importorskip("openpyxl")
    return tmp_path_factory.mktemp("fuzz") / "world"


def searched(world, count, seed=0):
    """({area: how often its inputs ended how}, what broke a rule) of about `count` inputs."""
    unit = count / sum(SHARES.get(area, 1) for area in AREAS)
    tasks = {area: [0, round(unit * SHARES.get(area, 1))] for area in AREAS}
    ends, broken = {}, []
    for _ in range(DEATHS):
        words = [f"{area}:{first}:{last - first}" for area, (first, last) in tasks.items() if first < last]
        done, lines, rc = _child(world, seed, words)
        ends |= done
        broken += lines
        if not rc:
            return ends, broken
        note = world.with_name(world.name + "-input")
        assert note.is_file(), f"the world could not be made: {lines[-1]['text']}"
        area, number = note.read_text().split(":")
        broken += [{"area": area, "number": int(number), "seed": seed, "end": f"death ({rc})", "text": ""}]
        tasks = {name: span for name, span in tasks.items() if name not in done}
        tasks[area][0] = int(number) + 1
    return ends, broken


def _child(world, seed, words):
    command = [sys.executable, str(HERE / "child.py"), str(world), str(seed), *words]
    plain = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=plain, cwd=world.parent, check=False)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode:
        lines.append({"area": "", "number": -1, "seed": seed, "end": "death", "text": ended.stderr[-3000:]})
    done = {line["area"]: line["ends"] for line in lines if "ends" in line}
    return done, [line for line in lines if "ends" not in line], ended.returncode


def in_words(world, broken):
    """Each failure and the command that repeats it."""
    told = [
        f"{one['area']} {one['number']}: {one['end']}\n  MMFUSE_FUZZ_TELL=1 python {HERE / 'child.py'} {world}"
        f" {one['seed']} {one['area']}:{one['number']}:1\n{one['text']}"
        for one in broken
    ]
    return "\n".join([f"{len(broken)} inputs broke a rule", *told[:20]])


def test_a_few_spoilt_inputs_of_every_kind(world):
    ends, broken = searched(world, 240)
    assert not broken, in_words(world, broken)
    assert set(ends) == set(AREAS)
    looked = {area: sum(found.values()) for area, found in ends.items()}
    assert min(looked.values()) >= 5
    assert sum(found.get("refused", 0) for found in ends.values()) > 80  # else the inputs were hardly spoilt
    assert sum(found.get("ok", 0) for found in ends.values()) > 20  # or nothing but the first look was tried


@pytest.mark.slow
def test_twenty_thousand_spoilt_inputs(world):
    count, seed = int(os.environ.get("MMFUSE_FUZZ", "20000")), int(os.environ.get("MMFUSE_FUZZ_SEED", "1"))
    ends, broken = searched(world, count, seed)
    assert not broken, in_words(world, broken)
    assert sum(sum(found.values()) for found in ends.values()) >= 0.99 * count


@pytest.mark.parametrize(
    ("call", "word"),
    [
        ("bytearray(3 * 2**30)", "memory"),
        ("[i for i in iter(int, 1) if i]", "hang"),
        ("{}['a']", "raw"),
        ("None", "ok"),
        ("__import__('mmfuse').Run('nowhere')", "refused"),
        ("open('left', 'w').close()", "left"),
    ],
    ids=["memory", "hang", "raw", "ok", "refused", "left"],
)
def test_the_guard_sees_what_breaks_a_rule(tmp_path, call, word):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom guard import held\n"
        f"end = held(lambda: {call}, '.', 1)\nprint(end.word)"
    )
    command = [sys.executable, "-c", program, str(HERE)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.stdout.strip() == word, ended.stderr
