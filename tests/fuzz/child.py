"""Looks at inputs of some numbers, in a process of its own that may die of it.

    python tests/fuzz/child.py WORLD SEED AREA:FIRST:COUNT...

prints a line of JSON for each input that broke a rule, and one an area at its end; WORLD is made first where it is not
there. With MMFUSE_FUZZ_TELL=1 it prints how every input ended. Before each input its name is written to WORLD-input, so
that a death says of what.
"""

import collections
import faulthandler
import json
import os
import random
import sys
import time
from pathlib import Path

from guard import SECONDS, held, silence


def main(folder, seed, tasks):
    import torch
    from opened import World
    from world import make

    torch.set_num_threads(1)
    os.environ["MMFUSE_CACHE"] = str(folder.with_name(folder.name + "-cache"))
    if not folder.exists():
        make(folder)
    world = World(folder).warm()
    os.chdir(folder.parent)
    for task in tasks:
        area, first, count = task.split(":")
        spoil(world, seed, area, range(int(first), int(first) + int(count)))


def spoil(world, seed, area, numbers):
    """Makes and looks at each input of an area."""
    from areas import AREAS

    everything, note = bool(os.environ.get("MMFUSE_FUZZ_TELL")), world.folder.with_name(world.folder.name + "-input")
    ends, longest, began = collections.Counter(), 0.0, time.monotonic()
    for number in numbers:
        note.write_text(f"{area}:{number}")
        rng = random.Random(f"{area}/{seed}/{number}")
        world.clear()
        call = AREAS[area](world, rng)
        faulthandler.dump_traceback_later(9 * SECONDS, exit=True)
        start = time.monotonic()
        with silence():
            end = held(call, world.place)
        longest = max(longest, time.monotonic() - start)
        faulthandler.cancel_dump_traceback_later()
        ends[end.word] += 1
        if everything or end.word not in ("ok", "refused"):
            tell({"area": area, "number": number, "seed": seed, "end": end.word, "text": end.text})
    tell({"area": area, "ends": ends, "longest": round(longest, 2), "seconds": round(time.monotonic() - began, 1)})


def tell(told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3:])
