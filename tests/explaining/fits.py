"""Small fitted networks for the tests of explanations."""

import numpy as np
from tiny_parts import make_cases

from mmfuse.explaining.subjects import Subject, see_through
from mmfuse.net.assembling import Assembler
from mmfuse.net.predicting import fit_network
from mmfuse.wiring import wire

N = 12
SPLIT = np.array(["train"] * 10 + ["valid"] * 2, dtype=object)
PART = slice(0, 2)


def columns():
    labels = np.array(["a", "b"])[np.arange(N) % 2]
    return {"one": [None, *range(1, N)], "two": [*range(100, 99 + N), None], "age": range(N), "y": labels}


def fitted(spec, wiring=None):
    cases = make_cases(spec, columns(), N)
    network, _ = fit_network(spec, wiring or wire(spec), cases, SPLIT, None, device="cpu")
    return network, cases


def subject_of(network, cases, position):
    member = next(iter(network.members.values()))
    inputs = Assembler(network.spec, network.wiring, cases, lambda event: None)
    return Subject(see_through(member.network), inputs.unknown(member.readers), position)
