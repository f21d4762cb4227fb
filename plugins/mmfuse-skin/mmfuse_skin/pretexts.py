"""Objectives without labels: `cross-modal-contrast` and `pseudo-labels`, the two steps of SM3 made general.

Source: Wang, Ahn, Bi, Kim, "SM3", Computer Methods and Programs in Biomedicine 265:108729, 2025 (arXiv 2310.18583),
written from its description. Knobs alone stand here; nothing imports torch before `build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from mmfuse import Labels, Pretext, SpecError

if TYPE_CHECKING:
    from torch import nn

FUSED = "fused"
"""What the fused vector is called among the widths, and the head that reads it among the sources."""

Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class CrossModalContrast(Pretext):
    """NT-Xent between two draws of each modality, and between the modalities of a case.

    Two draws of a case's image are to be alike and unlike all others of the batch; so are the two images of one case,
    through projectors of their own. Any modalities, any pattern of presence: what is absent is neither anchor nor
    negative, and a pair is contrasted among the cases that have both. NT-Xent: Chen et al., "A simple framework for
    contrastive learning of visual representations", ICML 2020, eq. 1; the sum over modalities and pairs is SM3's.
    Augment with `tied = false`, else both images of a case are changed alike.
    """

    contrasts: ClassVar[bool] = True
    pairing: Literal["same-view", "crossed", "all"] = "same-view"
    """Of a pair's draws which are contrasted: first with first and second with second; first with second and second
    with first; all four. Their mean counts."""
    temperature: Positive = 0.1
    """What cosines are divided by."""
    hidden: tuple[Count, ...] = (512, 512)
    """Widths of a projector's layers before the last, each with batch norm and ReLU; SM3 has (2048, 2048)."""
    width: Count = 128
    """Of what is contrasted: a last linear layer and batch norm without weights."""
    within: Weight = 1.0
    """Weight of each modality's own term; 0: there is none."""
    across: Weight = 1.0
    """Weight of each pair's term; 0: there is none."""

    @property
    def draws(self) -> int:
        return 2

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        """Where nothing would be contrasted."""
        if not self.within and not self.across:
            return ("within = 0 and across = 0 leave nothing to learn; mend: give one of them a weight",)
        if not self.within and len(modalities) < 2:
            return ("within = 0 needs two encoded modalities or more, there is one; mend: within = 1",)
        return ()

    def build(self, widths: Mapping[str, int], labels: Labels, cases: int) -> nn.Module:
        """→ a module whose losses are `within MODALITY` and `across ONE OTHER`."""
        from mmfuse_skin.modules.contrast import Contrast

        return Contrast(self, {name: width for name, width in widths.items() if name != FUSED})


class PseudoLabels(Pretext):
    """The plan's own head learns cluster numbers: one clustering a label, into as many clusters as it has classes.

    What is clustered of a label is the head's vector of it where the head gives such (`label-relation`), else the
    fused vector; by k-means of unit vectors, anew before each epoch. The first epoch starts by k-means++ (Arthur,
    Vassilvitskii 2007); later ones from the centres of last epoch's clusters as the cases lie now, so that a cluster
    keeps its number. No cluster stays empty: it takes the case that fits its own worst. A cluster is no class: which
    is which is learnt from labels later. Clusters that are all alike, or one that takes nearly all, are told.
    """

    temperature: Positive = 1.0
    """What the head's logits are divided by."""
    iterations: Count = 10
    """Most rounds of k-means before an epoch."""
    balanced: bool = False
    """Whether all clusters of a label take equally many cases (Sinkhorn, then rounded to whole cases: Asano et al.,
    "Self-labelling", ICLR 2020). Real classes are not balanced; it is the cure where clusters collapse."""
    epsilon: Positive = 0.05
    """Of the balanced assignment: how soft it is before it is rounded."""
    told_above: Annotated[float, Field(gt=0, le=1)] = 0.95
    """The share of the cases in one cluster above which a collapse is told."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("fusion", "head")

    def build(self, widths: Mapping[str, int], labels: Labels, cases: int) -> nn.Module:
        """→ a module whose losses are `clusters LABEL`, each the label's share of the mean over labels.

        Raises: SpecError without labels, without a fused vector, or with fewer cases than clusters.
        """
        from mmfuse_skin.modules.pseudo_labels import Clusters

        most = max((len(label.classes) for label in labels), default=0)
        if not most:
            raise SpecError(
                f"'{self.name}' clusters once a label, and the card has none", "[labels] with their classes",
                "name the questions on the card; no case needs an answer",
            )  # fmt: skip
        if FUSED not in widths:
            found = f"'{self.name}' trains the head on the fused vector, and nothing fuses"
            raise SpecError(found, "a fusion (or one encoded modality) and a head", 'fusion = "concat"')
        if cases < most:
            raise SpecError(f"{cases} cases for {most} clusters", f"{most} cases or more", "bring more cases")
        return Clusters(self, labels, cases)
