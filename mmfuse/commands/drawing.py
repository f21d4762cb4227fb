"""Explanations as pictures: overlays over what was read, bars, matrices and deletion curves, each with its caption.

Ids, labels and modalities are a stranger's words: they are drawn as they are (never read as formulas), and file names
are made of them so that no folder is left and none is written twice.
"""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mmfuse import Bars, Deletion, Explanation, Labels, Overlay, Target

PANEL, ACROSS, DPI = 3.0, 4, 150
"""Inches of a panel, panels side by side, dots an inch."""

MOST_BARS = 16


def safe_names(words: Iterable[str]) -> dict[str, str]:
    """{word: the name of its file}: letters, digits, `_` and `-` alone; where anything else was in the word, or another
    word differs from it by case alone, a digest follows."""
    known = list(dict.fromkeys(words))
    folded = [word.casefold() for word in known]
    names = {}
    for word in known:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", word)[:60]
        plain = name == word and name and folded.count(word.casefold()) == 1
        names[word] = name if plain else f"{name or '_'}-{hashlib.sha256(word.encode()).hexdigest()[:8]}"
    return names


def picture_of(explanation: Explanation, modality: str) -> bytes:
    """A PNG: the picture as read, then every map over it."""
    shown = explanation.pictures[modality]
    overlays = [overlay for overlay in explanation.overlays if overlay.modality == modality]
    ratio = 1 / explanation.aspects.get(modality, shown.shape[1] / shown.shape[0])
    pixel = ratio * shown.shape[1] / shown.shape[0]  # height of a pixel that is drawn one wide
    figure, axes = _panels(1 + len(overlays), ratio)
    axes[0].imshow(shown, aspect=pixel)
    truths = [f"{target.label}: {target.truth}" for target in explanation.targets if target.truth]
    told = f"; the table says {', '.join(truths)}" if truths else ""
    _words(axes[0], modality, f"case {explanation.case}, as it was read{told}")
    for ax, overlay in zip(axes[1:], overlays, strict=False):
        ax.imshow(blend(shown, overlay), aspect=pixel)
        _words(ax, f"{overlay.kind}\n{about(overlay.target)}".strip(), f"{overlay.caption}{spread(overlay)}")
    return _png(figure)


def about(target: Target | None) -> str:
    """What is explained, in a line; empty for attention."""
    if target is None:
        return ""
    truth = f"; truth: {target.truth}" if target.truth else ""
    return f"{target.label} = {target.name}, p {target.p:.2f} ({target.source}){truth}"


def spread(overlay: Overlay) -> str:
    """How far an attention map is from even, in words: colours alone make any map look as if it picked a place."""
    mean = float(overlay.map.mean())
    if overlay.target is not None or not mean:
        return ""
    return f"; from {overlay.map.min() / mean:.2g} to {overlay.map.max() / mean:.2g} times the mean"


def blend(picture: NDArray[np.uint8], overlay: Overlay) -> NDArray[np.floating]:
    """(height, width, 3) in [0, 1]: the picture in grey, the map in colours over it; what is higher is more opaque.

    Attributions that may be negative are red where they speak for the class, blue where against.
    """
    from matplotlib import colormaps
    from PIL import Image

    height, width = picture.shape[:2]
    shown = np.asarray(overlay.map, dtype=np.float32)
    signed = bool((shown < 0).any())
    if shown.shape == (height, width):
        shown = _smooth(shown)
    stretched = np.asarray(Image.fromarray(shown).resize((width, height), Image.Resampling.BILINEAR))
    size = np.abs(stretched) / max(float(np.quantile(np.abs(stretched), 0.995)), 1e-30)
    size = np.clip(size, 0, 1)[..., None]
    places = np.sign(stretched)[..., None] * size if signed else size
    colours = colormaps["bwr"]((places[..., 0] + 1) / 2) if signed else colormaps["inferno"](0.15 + 0.85 * size[..., 0])
    grey = np.repeat(picture.mean(axis=2, keepdims=True) / 255, 3, axis=2)
    opacity = 0.75 * size
    return np.clip(grey * (1 - opacity) + colours[..., :3] * opacity, 0, 1)


def _smooth(shown: NDArray[np.floating]) -> NDArray[np.floating]:
    """Attributions of single pixels are too ragged to be seen: what is shown is their neighbourhood's."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(shown, 0.015 * max(shown.shape)))


def bars_of(bars: Bars, case: str) -> bytes:
    """A PNG: a bar a column, the longest first."""
    order = np.argsort(-np.abs(bars.values), kind="stable")[:MOST_BARS]
    left = len(bars.names) - len(order)
    figure, axes = _panels(1, 0.5, width=2 * PANEL, row=0.4 + 0.24 * len(order))
    ax = axes[0]
    values = bars.values[order]
    ax.barh(range(len(order)), values, color=["#c0392b" if value > 0 else "#2c6fbb" for value in values])
    ax.set_yticks(range(len(order)), [textwrap.shorten(bars.names[i], 40) for i in order], parse_math=False)
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set_xlabel("share of the log-probability", fontsize=7)
    ax.tick_params(labelsize=7)
    ax.set_axis_on()
    rest = f"; {left} smaller ones are not shown" if left else ""
    _words(ax, f"{bars.modality} of case {case}\n{about(bars.target)}", f"{bars.caption}{rest}", below=-0.16)
    return _png(figure)


def matrix_of(key: str, matrix: NDArray[np.floating], labels: Labels, case: str) -> bytes:
    """A PNG: the matrix, with the card's labels or classes beside it where its size is theirs."""
    rows, columns = matrix.shape
    figure, axes = _panels(1, min(max(rows / columns, 0.3), 1.5), width=1.6 * PANEL)
    ax = axes[0]
    drawn = ax.imshow(matrix, cmap="viridis", aspect="auto")
    figure.colorbar(drawn, ax=ax).ax.tick_params(labelsize=6)
    ax.set_axis_on()
    _name_ticks(ax.set_xticks, columns, labels, rotation=60)
    _name_ticks(ax.set_yticks, rows, labels)
    ax.set_xlabel("looked at", fontsize=8)
    ax.set_ylabel("looks", fontsize=8)
    _words(ax, f"{key} of case {case}", "")
    return _png(figure)


def _name_ticks(put: Any, size: int, labels: Labels, **how: Any) -> None:  # noqa: ANN401  # matplotlib's words
    names = next((names for names in (labels.names, labels.column_names) if len(names) == size), None)
    if names is not None and size > 1:
        put(range(size), names, fontsize=6, parse_math=False, **how)


def curve_of(overlay: Overlay, deletion: Deletion, case: str) -> bytes:
    """A PNG: the probability as places are taken, against random orders."""
    figure, axes = _panels(1, 0.7, width=1.7 * PANEL)
    ax = axes[0]
    ax.fill_between(
        deletion.share,
        deletion.random.min(axis=0),
        deletion.random.max(axis=0),
        color="#999999",
        alpha=0.3,
        linewidth=0,
    )
    ax.plot(deletion.share, deletion.random.mean(axis=0), color="#555555", label="random places: mean, range")
    ax.plot(deletion.share, deletion.p, color="#c0392b", marker="o", markersize=2.5, label="highest places first")
    ax.set_axis_on()
    ax.set_xlabel(f"share of the picture taken ({deletion.how})", fontsize=7)
    ax.set_ylabel(f"p ({deletion.about})", fontsize=7, parse_math=False)
    ax.set_ylim(0, 1)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)
    told = f"area between the curves {deletion.area:+.3f}; lower than {deletion.beaten:.0%} of the random orders"
    _words(ax, f"{overlay.modality} of case {case}: {overlay.kind}", told, below=-0.2)
    return _png(figure)


# ── matplotlib ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _panels(count: int, ratio: float, width: float = PANEL, row: float = 0.0) -> tuple[Figure, Sequence[Axes]]:
    """A figure without a window, and its axes, switched off."""
    from matplotlib.figure import Figure

    across = min(count, ACROSS)
    down = -(-count // across)
    figure = Figure(figsize=(width * across, ((row or width * ratio) + 1.0) * down), dpi=DPI, layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for ax in axes:
        ax.set_axis_off()
    return figure, axes


def _words(ax: Axes, title: str, caption: str, below: float = -0.02) -> None:
    """Title above and caption below, wrapped; a stranger's `$` is a `$`."""
    lines = [line for part in title.split("\n") for line in textwrap.wrap(part, 46)[:2]]
    ax.set_title("\n".join(lines), fontsize=7.5, parse_math=False)
    ax.text(
        0.5, below, "\n".join(textwrap.wrap(caption, 54)), transform=ax.transAxes, ha="center", va="top", fontsize=6.5,
        style="italic", parse_math=False,
    )  # fmt: skip


def _png(figure: Figure) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()
