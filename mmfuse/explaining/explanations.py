"""Explaining one case: where the network looked (its own attention, eval mode, without gradients) and what its answer
hangs on (attribution, by captum).

Neither says why. Every picture carries a caption that says what it is. Several networks that speak together (those of
folds) are explained together: their maps are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmfuse.errors import Faults, PluginError, SpecError, TableError, nearest
from mmfuse.events import Meter, Notice, Watch, silent
from mmfuse.explaining.attributing import captum, check_baseline, grad_cam, integrated_gradients
from mmfuse.explaining.deleting import Control, Deletion, control, deletion
from mmfuse.explaining.looking import looked
from mmfuse.explaining.subjects import Subject, see_through
from mmfuse.labels import Floats, Labels
from mmfuse.net.assembling import Assembler, image_modalities
from mmfuse.net.fitted import FittedNetwork, mean_scores
from mmfuse.wiring import FUSED

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

ATTENTION, GRADIENTS, CAM = "attention", "integrated-gradients", "grad-cam"
METHODS = ("auto", ATTENTION, GRADIENTS, CAM)

LOOKED = "where the model looked, not why"
SPOKE = "coarse places whose features speak for the class; not why"
NOTHING_SPEAKS = "nothing in this picture speaks for the class: the map is empty"
HANGS = "what moves the answer from that for a {baseline} picture: red for the class, blue against it; not why"
MOVES = "what moves the answer from that for zeros (of numbers: the training mean), by integrated gradients; not why"


class Target(NamedTuple):
    """What is explained: the probability of one class."""

    label: str
    name: str
    """Of the class."""
    source: str
    p: float
    """In [0, 1], by the networks as they are, without test-time views."""
    truth: str = ""
    """The class that the table names; empty where it names none."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A map over one picture, to be stretched over it."""

    modality: str
    """Of several images of a case: `MODALITY-NUMBER`, as the table lists them."""
    kind: str
    map: Floats
    """(height, width), non-negative; attributions may be negative: there the class was spoken against."""
    target: Target | None
    """None: attention, which is of no class."""
    caption: str
    deletions: tuple[Deletion, ...] = ()


@dataclass(frozen=True, eq=False)
class Bars:
    """Attributions of a table's columns."""

    modality: str
    names: tuple[str, ...]
    values: Floats
    """(width,)"""
    target: Target
    caption: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """All pictures of one case."""

    case: str
    targets: tuple[Target, ...]
    pictures: dict[str, NDArray[np.uint8]]
    """{image modality, or `MODALITY-NUMBER`: (height, width, 3)} as read; absent ones are not in it."""
    overlays: tuple[Overlay, ...]
    bars: tuple[Bars, ...]
    matrices: dict[str, Floats]
    """{`modality/kind`, `SOURCE head/kind` …: (rows, columns)}"""
    aspects: dict[str, float] = field(default_factory=dict)
    """{key of `pictures`: width / height to be drawn with}, of those that were stretched when they were read."""


@dataclass(frozen=True)
class Question:
    """What is to be explained, and how."""

    labels: tuple[str, ...] = ()
    """All, if none is named."""
    wanted: str = ""
    """The class; empty: of each case the one that the source predicts."""
    source: str = FUSED
    """A source of the network: what decisions add cannot be followed back to a place."""
    method: str = "auto"
    """`attention`, `integrated-gradients`, `grad-cam`; `auto`: attention where there is any, else integrated gradients;
    and these for tables."""
    baseline: str = "blur"
    """What integrated gradients compare an image with: `blur`, `black`, `white` or `mean`."""
    steps: int = 32
    """Of integrated gradients."""
    deletion: str = ""
    """`blur` or `black`: how places are taken away, the most attended first; empty: no curves."""
    seed: int = 0
    """Of the random places that deletion is compared with."""


def explain(
    network: FittedNetwork | None,
    cases: Cases,
    ids: Sequence[str],
    question: Question | None = None,
    watch: Watch = silent,
) -> list[Explanation]:
    """One explanation for each of `ids`, in their order; `network` is a fitted pipeline's.

    Raises: SpecError for a plan without a network, an unknown label, class, source or method; TableError for an unknown
    case or one that has nothing the source reads; PluginError where attribution is asked for and captum is missing.
    """
    question = question or Question()
    if network is None:
        raise SpecError("this plan has no network: nothing looks at pictures", "a plan with [network]", where="network")
    _check(network, cases, ids, question)
    places = {str(name): i for i, name in enumerate(cases.ids)}
    asked = _Asked(network, cases.take(np.array([places[name] for name in ids], dtype=np.int64)), question, watch)
    found, meter = [], Meter(watch, "explaining", len(ids))
    for name in ids:
        found.append(asked.explained(name))
        meter.add(1)
    return found


class _Asked:
    """All networks, ready to be asked about cases."""

    def __init__(self, network: FittedNetwork, cases: Cases, question: Question, watch: Watch) -> None:
        self.question, self.watch, self.labels = question, watch, network.labels
        self.wiring = network.wiring
        self.images = image_modalities(network.spec, network.wiring)
        inputs = Assembler(network.spec, network.wiring, cases, watch)
        members = list(network.members.values())
        self.data = [inputs.unknown(member.readers) for member in members]
        self.networks = [see_through(member.network) for member in members]
        self.readers = [member.readers for member in members]
        self.cases = cases
        self.positions = {str(name): i for i, name in enumerate(cases.ids)}
        self.attributes = _can_attribute(question, watch)

    def explained(self, case: str) -> Explanation:
        position = self.positions[case]
        subjects = [Subject(net, data, position) for net, data in zip(self.networks, self.data, strict=True)]
        reads = self._reads(subjects[0], case)
        with torch.inference_mode():
            maps, matrices = looked(subjects, self.images, self.question.source, reads)
        targets = self._targets(subjects, position)
        overlays = [Overlay(m, kind, value, None, LOOKED) for m, by in maps.items() for kind, value in by.items()]
        if self.question.method in (GRADIENTS, CAM):
            overlays = []
        pictured = subjects[0].names(m for m in subjects[0].modalities if m in self.images)
        bare = {*pictured} & {*subjects[0].names(reads)} - {overlay.modality for overlay in overlays}
        if self.question.method == ATTENTION and bare:
            text = f"nothing in the network gives attention over {', '.join(map(repr, sorted(bare)))}"
            self.watch(Notice(f"{text}; --method {GRADIENTS} works with any encoder", "warning"))
        bars: list[Bars] = []
        for target in targets if self.attributes else ():
            more, some = self._attributed(subjects, subjects[0].names(reads), bare, target)
            overlays, bars = overlays + more, bars + some
        if self.question.deletion:
            overlays = self._deleted(subjects, overlays, targets)
        pictures = {name: _picture(subjects[0].inputs[name]) for name in pictured}
        aspects = {name: ratio for name, ratio in self._aspects(position).items() if name in pictures}
        return Explanation(case, targets, pictures, tuple(overlays), tuple(bars), matrices, aspects)

    def _aspects(self, position: int) -> dict[str, float]:
        """{picture: width / height before it was stretched}, as far as readers know."""
        rows, found = self.cases.rows(np.array([position])), dict[str, float]()
        for modality in self.images:
            reader = self.readers[0][modality]
            apart = reader.apart(rows)
            ratios = reader.aspect_ratios(rows if apart is None else apart[0])
            names = [modality if apart is None else f"{modality}-{i}" for i in range(1, len(ratios) + 1)]
            found |= {name: ratio for name, ratio in zip(names, ratios, strict=True) if ratio is not None}
        return found

    def _reads(self, subject: Subject, case: str) -> tuple[str, ...]:
        """The modalities that the source reads and the case has; absent ones are told."""
        expected = self.wiring.sees(self.question.source)
        found = tuple(m for m in expected if m in subject.modalities)
        if not found:
            words = f"has none of {', '.join(expected)}, which '{self.question.source}' reads"
            raise TableError(words, "one of them", "another --case or --source", f"case {case}")
        for m in sorted(set(expected) - set(found)):
            self.watch(Notice(f"case {case} has no '{m}': there is nothing to look at", "warning"))
        return found

    def _targets(self, subjects: Sequence[Subject], position: int) -> tuple[Target, ...]:
        question = self.question
        with torch.inference_mode():
            given = [{question.source: s.outputs().scores[question.source].logits.cpu().numpy()} for s in subjects]
        p = self.labels.softmax(mean_scores(given, self.labels)[question.source])[0]
        picks = self.labels.argmax(p)
        targets = []
        for i, label in enumerate(self.labels):
            if not question.labels or label.name in question.labels:
                column = label.classes.index(question.wanted) if question.wanted else int(picks[i])
                part = p[self.labels.slices[label.name]]
                known = int(self.cases.targets[position, i])
                truth = label.classes[known] if known >= 0 else ""
                targets.append(Target(label.name, label.classes[column], question.source, float(part[column]), truth))
        return tuple(targets)

    def _place(self, target: Target) -> tuple[int, slice]:
        """The class's column within its label, and the label's columns."""
        label = next(label for label in self.labels if label.name == target.label)
        return label.classes.index(target.name), self.labels.slices[label.name]

    def _attributed(
        self, subjects: Sequence[Subject], reads: tuple[str, ...], bare: set[str], target: Target
    ) -> tuple[list[Overlay], list[Bars]]:
        column, part = self._place(target)
        overlays: list[Overlay] = []
        if self.question.method == CAM:
            for m in sorted(bare):
                cams = [grad_cam(subject, m, target.source, column, part) for subject in subjects]
                if any(cam is None for cam in cams):
                    text = f"the encoder of '{m}' has no last map of several places, of a known layout, for Grad-CAM"
                    self.watch(Notice(f"{text}; --method {GRADIENTS} works with any encoder", "warning"))
                    continue
                mean = np.mean([_numbers(cam) for cam in cams if cam is not None], axis=0)
                overlays.append(Overlay(m, CAM, mean, target, SPOKE if mean.any() else NOTHING_SPEAKS))
            return overlays, []
        asked, steps = self.question.baseline, self.question.steps
        given = [integrated_gradients(s, reads, target.source, column, part, asked, steps) for s in subjects]
        told = HANGS.format(baseline={"blur": "blurred", "mean": "one-coloured"}.get(asked, asked))
        for m in sorted(bare):
            mean = np.mean([_numbers(by[m]).sum(axis=0) for by in given], axis=0)
            overlays.append(Overlay(m, GRADIENTS, mean, target, told))
        tables = [m for m in reads if subjects[0].modality(m) not in self.images]
        bars = [self._bars(m, [_numbers(by[m]) for by in given], target) for m in tables]
        return overlays, [some for some in bars if len(some.names)]

    def _bars(self, modality: str, values: list[Floats], target: Target) -> Bars:
        """Columns by name: networks of folds may have learnt other categories."""
        sums: dict[str, float] = {}
        for readers, by in zip(self.readers, values, strict=True):
            flat = by.ravel()
            names = readers[modality].names or tuple(f"{modality}:{i}" for i in range(len(flat)))
            for name, value in zip(names, flat, strict=True):
                sums[name] = sums.get(name, 0.0) + float(value) / len(values)
        return Bars(modality, tuple(sums), np.array([*sums.values()]), target, MOVES)

    def _deleted(
        self, subjects: Sequence[Subject], overlays: Sequence[Overlay], targets: Sequence[Target]
    ) -> list[Overlay]:
        """The overlays with their curves; maps over one picture share the random orders that they are compared with."""
        how, seed = self.question.deletion, self.question.seed
        controls: dict[tuple[str, Target], Control] = {}
        out = []
        for overlay in overlays:
            image, curves = subjects[0].inputs[overlay.modality], []
            for target in targets if overlay.target is None else (overlay.target,):
                p = _probability(subjects, overlay.modality, target.source, *self._place(target))
                key = (overlay.modality, target)
                if key not in controls:
                    controls[key] = control(p, image, how=how, seed=seed)
                curve = deletion(p, image, overlay.map, controls[key], how=how, seed=seed)
                curves.append(replace(curve, about=f"{target.label} = {target.name}"))
            out.append(replace(overlay, deletions=tuple(curves)))
        return out


def _probability(
    subjects: Sequence[Subject], modality: str, source: str, column: int, part: slice
) -> Callable[[Tensor], Floats]:
    """(copies, 3, h, w) pictures in the place of the one that was read → (copies,) probabilities of the class."""

    def ask(pictures: Tensor) -> Floats:
        with torch.inference_mode():
            found = [subject.log_p(source, part, {modality: pictures})[:, column].exp() for subject in subjects]
        return np.asarray(torch.stack(found).mean(dim=0).double().cpu().numpy())

    return ask


def _check(network: FittedNetwork, cases: Cases, ids: Sequence[str], question: Question) -> None:
    """Raises: SpecError or TableError with all that is unknown."""
    known, labels = {str(name) for name in cases.ids}, network.labels
    absent, wrong = Faults(), Faults()
    for name in ids:
        if name not in known:
            absent.add("--case", f"no case is called '{name}'", f"one of {len(known)}", nearest(name, sorted(known)))
    absent.raise_as(TableError)
    for name in question.labels:
        if name not in labels.names:
            wrong.add("--label", f"no label is called '{name}'", mend=nearest(name, labels.names))
    _check_class(labels, question, wrong)
    if question.source not in network.wiring.sources:
        expected = f"a source of the network: {', '.join(network.wiring.sources) or 'it has no head'}"
        wrong.add("--source", f"'{question.source}' has no gradients and no places", expected)
    if question.method not in METHODS:
        wrong.add("--method", f"no method is called '{question.method}'", mend=nearest(question.method, METHODS))
    wrong.raise_as(SpecError)
    check_baseline(question.baseline)


def _check_class(labels: Labels, question: Question, wrong: Faults) -> None:
    asked = [label for label in labels if not question.labels or label.name in question.labels]
    for label in asked if question.wanted else ():
        if question.wanted not in label.classes:
            found = f"label '{label.name}' has no class '{question.wanted}'"
            mend = nearest(question.wanted, label.classes) or "name the label that has it: --label"
            wrong.add("--class", found, f"one of {', '.join(label.classes)}", mend)


def _can_attribute(question: Question, watch: Watch) -> bool:
    """Raises: PluginError where attribution is asked for by name and captum is missing."""
    if question.method == ATTENTION:
        return False
    try:
        captum()
    except PluginError as error:
        if question.method != "auto":
            raise
        watch(Notice(f"attention alone, no attribution: {error}", "warning"))
        return False
    return True


def _numbers(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().double().cpu().numpy())


def _picture(image: Tensor) -> NDArray[np.uint8]:
    """(1, 3, height, width) in [0, 1] → (height, width, 3)."""
    scaled = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).cpu().numpy())
