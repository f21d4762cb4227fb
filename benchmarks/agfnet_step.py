"""Seconds and peak memory of one training step of the recipe `agfnet-style` at full size.

    python benchmarks/agfnet_step.py [--batch 16] [--steps 1] [--device cpu] [--set K=V …]

Two ResNet-50, C3 to C5, 224 px, first weights at random; a step is forward, backward and AdamW. Memory on the CPU is
the most that the process held; on CUDA what torch held at most.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

import mmfuse

CARD = {
    "cases": {"id": "id"},
    "labels": {"answer": ["no", "yes"]},
    "modalities": {name: {"use": "image", "column": name, "size": 224} for name in ("photo", "sound")},
    "split": {"fractions": {"train": 0.8, "valid": 0.1, "test": 0.1}},
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--steps", type=int, default=1)
    options.add_argument("--device", default="cpu")
    options.add_argument("--set", action="append", default=[])
    given = options.parse_args()
    spec = mmfuse.load("agfnet-style", CARD, sets=given.set)
    wiring, labels = mmfuse.wire(spec), spec.card.label_set
    shapes = dict.fromkeys(wiring.encoders, (3, 224, 224))
    network = mmfuse.FusionNetwork(spec, wiring, shapes, labels).to(given.device)
    section = spec.plan.training
    assert section.loss != ""
    loss = section.loss.build(labels, labels.counts(np.array([[0], [1]]))).to(given.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=section.lr)
    inputs = {name: torch.rand(given.batch, *shape, device=given.device) for name, shape in shapes.items()}
    present = {name: torch.ones(given.batch, dtype=torch.bool) for name in shapes}
    targets = torch.arange(given.batch, device=given.device)[:, None] % 2
    weights = sum(weight.numel() for weight in network.parameters())
    print(
        f"{weights / 1e6:.1f} million weights, batch {given.batch}, {given.device}, {torch.get_num_threads()} threads"
    )
    for step in range(given.steps):
        began = time.perf_counter()
        outputs = network(inputs, present)
        terms = {**loss(outputs, targets, 0.0), **outputs.fused.losses}
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        if given.device != "cpu":
            torch.cuda.synchronize()
        said = ", ".join(f"{name} {float(value.detach()):.3f}" for name, value in terms.items())
        print(f"step {step + 1}: {time.perf_counter() - began:.1f} s; {said}")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    held = held if given.device == "cpu" else torch.cuda.max_memory_allocated() / 2**30
    print(f"peak memory {held:.2f} GB")


if __name__ == "__main__":
    main()
