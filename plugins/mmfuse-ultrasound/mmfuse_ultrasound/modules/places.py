"""Maps as places: averaged down to a grid, projected, normed; and the codes that say where a place is.

What an absent modality's maps hold is set to zero before anything reads it, so its content changes nothing (law 3).
LayerNorm, not BatchNorm: batch statistics would take what stands in for absent modalities into account.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

HALF_TURNS = 16.0
"""Of the fastest sine across a picture; the slowest makes one."""


def grid_of(height: int, width: int, places: int) -> tuple[int, int]:
    """Rows and columns of at most `places` places, in about the picture's own proportion; never more than it has."""
    if height * width <= places:
        return height, width
    factor = math.sqrt(places / (height * width)) + 1e-9
    rows = min(max(1, int(height * factor)), places)
    return rows, max(1, min(int(width * factor), places // rows))


def sine_codes(grid: tuple[int, int], width: int) -> Tensor:
    """(rows x columns, width): sines and cosines of both coordinates, scaled to the picture, at geometric frequencies.

    Places at the same part of two pictures have like codes whatever their grids (after Vaswani et al., 2017, §3.5).
    """
    rows, columns = ((torch.arange(n) + 0.5) / n for n in grid)
    count = width // 4
    turns = math.pi * HALF_TURNS ** (torch.arange(count) / max(1, count - 1))
    down = (rows[:, None] * turns)[:, None].expand(*grid, count)
    across = (columns[:, None] * turns)[None].expand(*grid, count)
    codes = torch.cat([down.sin(), down.cos(), across.sin(), across.cos()], dim=-1)
    return functional.pad(codes, (0, width - 4 * count)).flatten(0, 1)


class Places(nn.Module):
    """One map (batch, channels, height, width) → (batch, rows x columns, width), zero where the modality is absent."""

    def __init__(self, shape: tuple[int, int, int], places: int, width: int) -> None:
        super().__init__()
        channels, *size = shape
        self.grid = grid_of(size[0], size[1], places)
        self.project = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, level: Tensor, there: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(level, self.grid)
        known = torch.where(there[:, None, None, None], pooled, 0.0)
        placed = self.norm(self.project(known.flatten(2).transpose(1, 2)))
        return torch.where(there[:, None, None], placed, 0.0)


class Codes(nn.Module):
    """Codes of a grid's places: none, sines, or learned (from small random numbers)."""

    fixed: Tensor

    def __init__(self, kind: str, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        made = {"none": torch.zeros(1, 1), "sine": sine_codes(grid, width), "learned": torch.zeros(1, 1)}
        self.register_buffer("fixed", made[kind], persistent=False)
        small = [nn.Parameter(0.02 * torch.randn(grid[0] * grid[1], width))] if kind == "learned" else []
        self.learned = nn.ParameterList(small)

    def forward(self, places: Tensor) -> Tensor:
        """(batch, places, width) → the same with codes added."""
        return sum(self.learned, places + self.fixed)
