"""Whether a plan's second stages can be made and stored, looked at before hours of networks are trained."""

from __future__ import annotations

from mmfuse.attribution import attributed
from mmfuse.errors import Faults, MmfuseError
from mmfuse.parts import SecondStage
from mmfuse.spec import Plan


def stage_faults(plan: Plan) -> Faults:
    """Return what keeps second stages from giving a classifier, and what their classifiers hold that would not be
    stored. Nothing is fitted: what only a fitted one holds is found when it is saved."""
    faults = Faults()
    for name, line in plan.decisions.items():
        part, where = line.part, f"decisions.{name}"
        if isinstance(part, SecondStage):
            try:
                with attributed(part, "`estimator`", where):
                    estimator = part.estimator(0)
                if type(part).save is SecondStage.save:
                    from mmfuse import estimators

                    estimators.refuse_untrusted(estimator, part.trusts, where)
            except MmfuseError as error:
                faults.take_over(error)
    return faults
