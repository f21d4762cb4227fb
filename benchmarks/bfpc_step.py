"""Time and memory of a full-size training step of `bfpc-net`: batch 16, two eyes of 224 px, ResNet50 with attention.

    python benchmarks/bfpc_step.py [--device cuda] [--set network.encoders.image.share=false]…

Forward, backward and optimiser on drawn images, from random weights; on CUDA in bf16 as `train` does it. The first step
is left out of the time: memory is laid out in it.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

import mmfuse

STEPS = 4
EYES = ("left", "right")
CARD = {
    "cases": {"id": "id"},
    "labels": {name: ["no", "yes"] for name in "NDGCAHMO"},
    "modalities": {eye: {"use": "image", "column": eye, "size": 224} for eye in EYES},
}


def learner(sets: list[str], device: torch.device) -> tuple[mmfuse.FusionNetwork, torch.nn.Module]:
    spec = mmfuse.load("bfpc-net", CARD, sets=sets)
    labels = spec.card.label_set
    network = mmfuse.FusionNetwork(spec, mmfuse.wire(spec), dict.fromkeys(EYES, (3, 224, 224)), labels)
    return network.to(device), spec.plan.training.loss.build(labels, np.ones(labels.columns)).to(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    given = parser.parse_args()
    device, cases = torch.device(given.device), given.batch
    torch.manual_seed(0)
    network, loss = learner(given.sets, device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    images = {eye: torch.rand(cases, 3, 224, 224, device=device) for eye in EYES}
    present = dict.fromkeys(EYES, torch.ones(cases, dtype=torch.bool))
    targets = torch.eye(8, dtype=torch.int64, device=device).repeat(cases, 1)[:cases]
    seconds = []
    for _ in range(STEPS):
        began = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network.train()(images, present)
        value = torch.stack(list(loss(outputs, targets, 0.0).values())).sum()
        value.backward()
        optimiser.step()
        optimiser.zero_grad()
        value = value.item()  # waits for the device
        seconds.append(time.perf_counter() - began)
    weights = sum(weight.numel() for weight in network.parameters()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**30
    print(
        f"{device}, {torch.get_num_threads()} threads: batch {cases}, {weights:.0f} million weights, loss {value:.3f}"
    )
    print(f"{np.median(seconds[1:]):.2f} s a step (first {seconds[0]:.2f} s), peak {peak:.1f} GiB")


if __name__ == "__main__":
    main()
