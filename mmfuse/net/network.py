"""The network: encoders → fusion → heads, with one meaning of "missing" (law 3).

An encoder sees present cases alone; where a modality is absent its stand-in is put; a side head abstains without its
modality, the fused head only where nothing is present. Sizes are measured by one blank pass (law 1). Modalities are
worked on in alphabetical order, and each module starts from its own seed, so neither the order of the card nor a
further module changes another one's first weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from mmfuse.attribution import attributed
from mmfuse.errors import SpecError, placed
from mmfuse.labels import Labels
from mmfuse.net.features import (
    VECTOR,
    Features,
    Fused,
    Outputs,
    Scores,
    as_features,
    as_fused,
    as_kept,
    as_scores,
    levels_of,
    levels_read,
    nothing_of,
    of_levels,
)
from mmfuse.net.freezing import hold_all, hold_named, run_frozen
from mmfuse.net.measuring import check_head, measure_encoder, measure_fusion
from mmfuse.net.presence import Present, single_case_safe
from mmfuse.net.randomness import own_randomness
from mmfuse.net.sets import POOLS, Given, gathered, pooled
from mmfuse.net.standin import StandIn
from mmfuse.parts import FlowShape, Head
from mmfuse.seeds import derive
from mmfuse.spec import Spec
from mmfuse.wiring import FUSED, Wiring

ENCODERS = "network.encoders"
"""Where a plan names them."""

Levels = Mapping[str, Given]
"""{level: (batch, …)} known features of one modality."""

NOTHING: Mapping[str, Levels] = {}


def module_key(name: str) -> str:
    """The name of a module made for `name`: the same, unless torch could not take it (dots, names of its own
    methods)."""
    key = name.replace("%", "%25").replace(".", "%2E")
    return key + "%" if key == "" or key in dir(nn.ModuleDict) else key


class FusionNetwork(nn.Module):
    """Built from a spec, shapes {modality: shape of one case} and labels.

    First weights come from seeds derived from the plan's seed, `name` (the network, fold k: each has its own) and the
    module's name; those of a wholly frozen encoder leave `name` out, so that its features are the same in every
    network.

    Raises: SpecError where parts do not fit the shapes; PartError where a part does not keep its contract.
    """

    def __init__(
        self, spec: Spec, wiring: Wiring, shapes: Mapping[str, tuple[int, ...]], labels: Labels, name: str = "network"
    ) -> None:
        super().__init__()
        section = spec.plan.network
        if section == "":
            raise SpecError("the plan has no network", "[network]", "add one, or ask for decisions alone", "network")
        self.modalities = tuple(sorted(wiring.encoders))
        self.sources = tuple(wiring.sources)
        self.columns = labels.columns
        self.lines = {modality: line for modality, (_, line) in wiring.encoders.items()}
        self.parts = section.fusion, section.head
        """Whoever made the fusion and the heads; empty where there are none."""
        self.keys = {m: module_key(word if line.share else m) for m, (word, line) in wiring.encoders.items()}
        """The encoder of each modality, as a key of `encoders`."""
        self.encoders, self.standins, self.pools = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.held: list[nn.Module] = []
        """What stays in eval mode while the rest trains, beside encoders that are frozen whole."""
        self.frozen_precision = "32-true"
        """Of frozen image encoders; who puts the network on its device decides it."""
        self.compiled: dict[str, Callable[[Tensor], Any]] = {}
        """By key, what runs instead of an encoder in training mode."""
        self.shapes = dict(shapes)
        """Of one case of each modality."""
        self.sharded = False
        """Whether encoders that learn lie in parts in several processes, which then run each of them together."""
        seeds = _Seeds(spec.plan.seed, name)
        flows = {modality: self._add_encoder(modality, shapes, wiring, seeds) for modality in self.modalities}
        self.flows = flows
        """What each modality's encoder was seen to give."""
        self.widths = {modality: flow.width for modality, flow in flows.items()}
        """Of each modality's vector."""
        self.reads = {modality: levels_read(section.fusion, flow) for modality, flow in flows.items()}
        """The levels that are read of each modality."""
        self.standins.update({module_key(modality): StandIn(flow) for modality, flow in flows.items()})
        self.fusion: nn.Module | None = None
        width = self.widths[self.modalities[0]]
        if section.fusion != "":
            with seeds.of("fusion"), attributed(section.fusion, "`build`", "network.fusion"):
                self.fusion = section.fusion.build(flows)
            who = Present(torch.ones(2, dtype=torch.bool), torch.device("cpu"))
            blank = {modality: self.standin(modality).fill(None, who) for modality in self.modalities}
            width = measure_fusion(self.fusion, section.fusion, blank, self.reads)
        self.fused_width: int = width if self.fusion is not None or len(self.modalities) == 1 else 0
        """Of the fused vector; 0 where nothing fuses."""
        widths = {source: width if source == FUSED else self.widths[source] for source in self.sources}
        self.heads = nn.ModuleDict({} if section.head == "" else _heads(section.head, widths, labels, seeds))
        self.train()

    # ── building ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_encoder(
        self, modality: str, shapes: Mapping[str, tuple[int, ...]], wiring: Wiring, seeds: _Seeds
    ) -> FlowShape:
        key, (word, line) = self.keys[modality], wiring.encoders[modality]
        where = f"{ENCODERS}.{word}"
        if key not in self.encoders:
            with (
                seeds.of("encoder", key, own=line.frozen is not True),
                placed(where, ENCODERS),
                attributed(line.part, "`build`", where),
            ):
                encoder = line.part.build(shapes[modality])
            if line.frozen is True:
                hold_all(encoder)
            elif line.frozen is not False:
                self.held += hold_named(encoder, line.frozen, f"{where}.frozen")
            self.encoders[key] = encoder
        _refuse_unequal({m: shapes[m] for m in self.modalities if self.keys[m] == key}, where)
        flow = measure_encoder(self.encoders[key], line.part, shapes[modality], where)
        if key not in self.pools:
            with seeds.of("pool", key):
                self.pools[key] = POOLS[line.pool](flow.width)
        return flow

    def standin(self, modality: str) -> StandIn:
        """What stands where the modality is absent."""
        found = self.standins[module_key(modality)]
        assert isinstance(found, StandIn)
        return found

    def encoder(self, modality: str) -> nn.Module:
        """The module that reads the modality; one and the same for those that share it."""
        return self.encoders[self.keys[modality]]

    def is_frozen(self, modality: str) -> bool:
        """Whether the whole encoder is held fixed."""
        return self.lines[modality].frozen is True

    def train(self, mode: bool = True) -> FusionNetwork:
        """Training mode for all that learns; what is frozen stays in eval mode, so that its statistics do not move."""
        self.training = self.encoders.training = mode
        frozen = [self.encoder(modality) for modality in self.modalities if self.is_frozen(modality)]
        for child in (*self.encoders.children(), *self.children()):
            if child is not self.encoders and child not in frozen:
                child.train(mode)
        for layer in self.held:
            layer.eval()
        return self

    # ── working ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def forward(
        self,
        inputs: Mapping[str, Given],
        present: Mapping[str, Bool[Tensor, batch]],  # noqa: F821
        known: Mapping[str, Levels] = NOTHING,
    ) -> Outputs:
        """`inputs` {modality: (batch, *shape) float}; what stands at an absent row is never looked at. `known`
        {modality: {level: (batch, …)}} are features of frozen encoders, which then do not run. Both hold `Several`
        where cases have several images. Logits are float32, NaN where a source abstains."""
        device = next(self.standins.parameters()).device
        who = {modality: Present(present[modality], device) for modality in self.modalities}
        anyone = Present(torch.stack([present[modality] for modality in self.modalities]).any(dim=0), device)
        features = {}
        for modality in self.modalities:
            given = encoded(self, modality, inputs, known, who[modality])
            alone = given is None and self.sharded and not self.is_frozen(modality)
            nothing = _run_together(self, modality, device) if alone else None
            if self.training:
                self.standin(modality).observe(given, who[modality])
            features[modality] = self.standin(modality).fill(given, who[modality])
            if nothing is not None:
                features[modality] = features[modality]._replace(vector=features[modality].vector + nothing)
        fused = _fuse(self, features, who)
        scores, views = {}, {}
        for source in self.sources:
            head = self.heads[module_key(source)]
            if source == FUSED:
                scores[source] = _answer(head, self.parts[1], fused.vector, anyone, self.columns)
            else:
                scores[source] = _answer(head, self.parts[1], features[source].vector, who[source], self.columns)
        if self.training and FUSED in scores:
            head = self.heads[module_key(FUSED)]
            views = {
                n: (_answer(head, self.parts[1], v, anyone, self.columns), weight)
                for n, (v, weight) in fused.views.items()
            }
        return Outputs(scores, views, features, fused, {modality: some.mask for modality, some in who.items()})


def _fuse(network: FusionNetwork, features: dict[str, Features], who: dict[str, Present]) -> Fused:
    batch = who[network.modalities[0]].batch
    if network.fusion is not None:
        with single_case_safe(network.fusion, batch), attributed(network.parts[0], "`forward`", "network.fusion"):
            return as_fused(network.fusion(features, {modality: some.mask for modality, some in who.items()}))
    if len(network.modalities) == 1:
        return Fused(features[network.modalities[0]].vector)
    return Fused(next(iter(features.values())).vector.new_zeros(batch, 0))


def encoded(
    network: FusionNetwork, modality: str, inputs: Mapping[str, Given], known: Mapping[str, Levels], who: Present
) -> Features | None:
    """Features of the present cases, of several images pooled; None where nobody is present, and then the encoder does
    not run."""
    if who.count == 0:
        return None
    flow, pool = network.flows[modality], network.pools[network.keys[modality]]
    if modality in known:
        levels = {level: gathered(given, who) for level, given in known[modality].items()}
        made = of_levels({level: rows for level, (rows, _) in levels.items()}, flow, {})
        return pooled(made, levels[VECTOR][1], who, pool, flow)
    encoder, (rows, of) = network.encoder(modality), gathered(inputs[modality], who)
    if network.is_frozen(modality):
        with torch.no_grad(), attributed(network.lines[modality].part, "`forward`", f"modality {modality}"):
            made = as_kept(run_frozen(encoder, rows, network.frozen_precision), network.reads[modality], flow)
    else:
        run = network.compiled.get(network.keys[modality], encoder) if network.training else encoder
        with (
            single_case_safe(encoder, len(rows)),
            attributed(network.lines[modality].part, "`forward`", f"modality {modality}"),
        ):
            made = as_features(run(rows))
    return pooled(made, of, who, pool, flow)


def _run_together(network: FusionNetwork, modality: str, device: torch.device) -> Tensor:
    """Where nobody in the slice has the modality other processes may run its encoder, and those in parts run in all:
    here on a blank case, of which nothing stays but a zero with a gradient of zero."""
    encoder = network.encoder(modality)
    with single_case_safe(encoder, 1):
        made = as_features(encoder(torch.zeros(1, *network.shapes[modality], device=device)))
    return nothing_of(levels_of(made).values())


class _Seeds:
    """First weights from seeds derived by name."""

    def __init__(self, seed: int, network: str) -> None:
        self._seed, self._network = seed, network

    def of(self, *names: str, own: bool = True):  # type: ignore[no-untyped-def]  # noqa: ANN202  # a context manager
        return own_randomness(derive(self._seed, self._network if own else "frozen", *names))


def _refuse_unequal(shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raises: SpecError if modalities that share an encoder have unequal shapes."""
    if len(set(shapes.values())) > 1:
        found = "one encoder for unequal shapes: " + ", ".join(f"{m} {shape}" for m, shape in shapes.items())
        raise SpecError(found, "equal shapes", "the same `size`, or share = false", where)


def _heads(part: Head, widths: Mapping[str, int], labels: Labels, seeds: _Seeds) -> dict[str, nn.Module]:
    """{a source's key: its head} for {source: width of what it reads}."""
    heads = {}
    for source, width in widths.items():
        with seeds.of("head", source), attributed(part, "`build`", "network.head"):
            head = part.build(width, labels)
        check_head(head, part, width, labels)
        heads[module_key(source)] = head
    return heads


def _answer(head: nn.Module, part: Head | Literal[""], vector: Tensor, who: Present, columns: int) -> Scores:
    """A head's scores for the cases of `who`, NaN for the others."""
    if who.count == 0:
        return Scores(torch.full((who.batch, columns), torch.nan, device=vector.device))
    with single_case_safe(head, who.count), attributed(part, "`forward`", "network.head"):
        given = as_scores(head(who.gather(vector)))
    tokens = None if given.tokens is None else who.spread(given.tokens, 0.0)
    attention = {name: who.spread(tensor, 0.0) for name, tensor in given.attention.items()}
    return Scores(who.spread(given.logits.float(), torch.nan), tokens, attention)
