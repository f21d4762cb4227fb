"""What the plan's parts have to say of the training cases before anything learns from them (`Head.cautions`,
`Loss.cautions`, `SecondStage.cautions`): a part knows best what it cannot do. It is told, not refused: the user
decides.
"""

from __future__ import annotations

from typing import Any

from mmfuse.attribution import attributed
from mmfuse.data.cases import Cases
from mmfuse.data.findings import Finding
from mmfuse.data.splits import Names, checked_split
from mmfuse.errors import placed
from mmfuse.parts import DecisionFusion, Encoder
from mmfuse.spec import Plan, Spec


def cautions(spec: Spec, cases: Cases, split: Names) -> list[Finding]:
    """Warnings of head, loss and second stages about the cases that are `train` in `split` (n,).

    Raises: SpecError from a part that cannot answer these labels at all.
    """
    head = "" if spec.plan.network == "" else spec.plan.network.head
    loss = spec.plan.training.loss
    targets = cases.targets[checked_split(split, len(cases)) == "train"]
    findings = []
    # without a head nothing learns from labels but second stages
    asked: list[tuple[str, Any]] = [] if head == "" else [("network.head", head), ("training.loss", loss)]
    asked += [(f"decisions.{name}", line.part) for name, line in spec.plan.decisions.items()]
    for where, part in asked:
        if part == "" or isinstance(part, DecisionFusion):
            continue
        with placed(where, where), attributed(part, "`cautions`", where):
            findings += [Finding("warning", where, text) for text in part.cautions(cases.labels, targets)]
    return findings


def starts_from_somewhere(plan: Plan) -> bool:
    """Return whether first weights of a plan's network are to be looked for: files, runs, or what a part ships. Where
    not, nobody has to load torch to say that all is well."""
    if plan.network == "":
        return False
    lines = plan.network.encoders.values()
    own = any(type(line.part).check_start is not Encoder.check_start for line in lines)
    return own or plan.network.weights != "" or any(line.weights not in ("none", "pretrained") for line in lines)
