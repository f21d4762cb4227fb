"""What the JSON files of a run hold, as types that reading is checked against."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

Count = Annotated[int, Field(ge=0, lt=2**62)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(max_length=1000)]


class Digest(TypedDict):
    """Of one file."""

    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(TypedDict):
    """`manifest.json`."""

    format: Count
    files: dict[Name, Digest]


class Plugin(TypedDict):
    """One of those that were there."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: str
    origin: str
    version: str
    parts: Count
    sha256: str


class Environment(TypedDict):
    """`environment.json`, as far as it is looked at."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    plugins: list[Plugin]
    remarks: NotRequired[list[str]]


class StoredNetwork(TypedDict):
    """One of the networks of `network.json`."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    shapes: dict[str, list[Annotated[int, Field(ge=0, lt=2**31)]]]
    counts: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    frozen_precision: NotRequired[Literal["32-true", "bf16-mixed"]]
    epochs: Count
    best_epoch: Count
    best_value: Number | None
    patterns: list[list[str]]


class StoredNetworks(TypedDict):
    """`network.json`."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    format: Count
    encoders: dict[str, str]
    networks: Annotated[dict[Name, StoredNetwork], Field(min_length=1)]


class Weights(TypedDict):
    """`network.json`, as far as first weights need it."""

    encoders: NotRequired[dict[str, str]]


class StoredPoint(TypedDict):
    """An operating point."""

    rule: str
    positive: str
    threshold: Share
    positives: Count
    negatives: Count
    sensitivity: Share
    specificity: Share
    ppv: Share
    npv: Share | None


class StoredPoints(TypedDict):
    """`operating.json`."""

    points: dict[str, dict[str, StoredPoint]]
    left_out: dict[str, str]
