"""Where a fitted network looked, and what its answer hangs on: attention, attribution, deletion.

It works from fitted networks alone and nothing below knows it; beside `net/` it is the one room that knows torch.
"""
