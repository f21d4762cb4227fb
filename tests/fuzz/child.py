"""Looks at inputs of some numbers, in a process of its own that may die of it.

    python tests/fuzz/child.py WORLD AREA FIRST COUNT [SEED]

prints a line of JSON for each input that broke a rule and one at the end; WORLD is made first where it is not there.
With MMFUSE_FUZZ_TELL=1 it prints how every
input ended. Before each input its number is written to WORLD-number, so that a death says of what.
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


def main(folder, area, first, count, seed):
    import torch
    from areas import AREAS, World
    from world import make

    torch.set_num_threads(1)
    os.environ["MMFUSE_CACHE"] = str(folder.with_name(folder.name + "-cache"))
    if not folder.exists():
        make(folder)
    world, ends, longest = World(folder).warm(), collections.Counter(), 0.0
    os.chdir(folder.parent)
    everything = bool(os.environ.get("MMFUSE_FUZZ_TELL"))
    note = folder.with_name(folder.name + "-number")
    for number in range(first, first + count):
        note.write_text(str(number))
        rng = random.Random(f"{area}/{seed}/{number}")
        world.clear()
        call = AREAS[area](world, rng)
        faulthandler.dump_traceback_later(9 * SECONDS, exit=True)
        began = time.monotonic()
        with silence():
            end = held(call, world.place)
        longest = max(longest, time.monotonic() - began)
        faulthandler.cancel_dump_traceback_later()
        ends[end.word] += 1
        if everything or end.word not in ("ok", "refused"):
            told = {"area": area, "number": number, "seed": seed, "end": end.word, "text": end.text}
            tell(told)
    tell({"area": area, "ends": ends, "longest": round(longest, 2)})


def tell(told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]),
         int(sys.argv[5]) if len(sys.argv) > 5 else 0)  # fmt: skip
