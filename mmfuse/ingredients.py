"""What decides the numbers of a fit beside its words: the code of its parts, the libraries, the files that it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_keys
from mmfuse.data.readers import may_give_files
from mmfuse.data.workers import in_chunks
from mmfuse.events import Watch, silent
from mmfuse.knobs import Part
from mmfuse.spec import Spec
from mmfuse.versions import code_digest, core_digest, library_versions

LIBRARIES = (
    "mmfuse", "torch", "torchvision", "timm", "kornia", "numpy", "scipy", "scikit-learn", "xgboost", "lightning-fabric",
    "pillow", "safetensors",
)  # fmt: skip
"""Other versions of these might give other numbers."""


def code_of(spec: Spec) -> dict[str, Any]:
    """Return versions of libraries, and digests of the code of mmfuse and of every part of a spec."""
    parts = {f"{part.role} {part.name}": code_digest(type(part)) for part in parts_in(spec)}
    return {"libraries": library_versions(LIBRARIES), "mmfuse": core_digest(), "parts": dict(sorted(parts.items()))}


def files_digest(spec: Spec, cases: Cases, watch: Watch = silent) -> str:
    """Return a digest of the content of all files that cells of these cases or words of the spec name, in order.

    Those are images, weights and vectors; of a run, its manifest. What is no file that can be read counts as empty.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, modality in spec.card.modalities.items():
        for column in modality.columns if may_give_files(modality) else ():
            digest.update(f"{name} {column}\n".encode())
            for part in in_chunks(len(cases)):
                alone, _ = cases.rows(part).apart([column])
                paths = [path for path in alone.paths(column) if path is not None]
                digest.update("\n".join(content_keys(paths, watch, f"the files of {name}")).encode())
    digest.update("\n".join(content_keys(sorted(named_files(spec, cases.root)))).encode())
    return digest.hexdigest()


def parts_in(value: Any) -> Iterator[Part]:  # noqa: ANN401  # a spec, or whatever a knob holds
    """Yield every part of a spec, at any depth."""
    if isinstance(value, Part):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    if isinstance(value, Spec | Part) or type(value).__module__ == Spec.__module__:
        inner = [knob for _, knob in value]
    for item in inner:
        yield from parts_in(item)


def named_files(spec: Spec, root: Path) -> set[Path]:
    """Return the files that the spec's own words name: weights, vectors; of a run, its manifest."""
    words: set[str] = set()
    for part in parts_in(spec):
        words.update(value for _, value in part if isinstance(value, str))
    if spec.plan.network != "":
        words.update(line.weights.partition("#")[0] for line in spec.plan.network.encoders.values())
        words.add(spec.plan.network.weights)
    near = {place for word in words if word for place in (root / word, Path(word), Path(word) / "manifest.json")}
    return {place.absolute() for place in near if _is_file(place)}


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):  # a word that could be no path
        return False
