"""mmfuse: compose multimodal fusion for medical AI from parts, and know whether it helps.

The door: every public name, each loaded when it is first asked for. Plugins, the command line and the builtin parts
use nothing else.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

BEGAN = time.time_ns()
"""When mmfuse was first imported: code that changed on the disk since may not be the code that runs."""
__version__ = "0.1.0"

_DOOR = {
    "mmfuse.errors": (
        "Fault", "Faults", "MmfuseError", "PartError", "PartFailedError", "PluginError", "RunError", "SpecError",
        "TableError", "nearest", "visible",
    ),
    "mmfuse.attribution": ("attributed", "named_part"),
    "mmfuse.formats.npz_files": ("Npz",),
    "mmfuse.formats.json_files": ("read_json",),
    "mmfuse.formats.toml_files": ("read_toml",),
    "mmfuse.formats.safetensors_files": ("check_safetensors",),
    "mmfuse.events": (
        "EpochEnded", "Event", "FitName", "Notice", "Progress", "StepEnded", "StepStarted", "Watch", "launched",
        "leave_unsaid", "silent",
    ),
    "mmfuse.seeds": ("derive", "generator"),
    "mmfuse.versions": ("code_digest",),
    "mmfuse.labels": ("UNKNOWN", "Label", "Labels"),
    "mmfuse.learnt": ("Learnt",),
    "mmfuse.knobs": ("Node", "Part"),
    "mmfuse.parts": (
        "ROLES", "Adapter", "Augmentation", "DecisionFusion", "Encoder", "FeatureFusion", "FlowShape", "Head", "Loss",
        "Metric", "Modality", "Pretext", "Reader", "Rule", "SecondStage", "Step", "Tidy", "refuse_set",
    ),
    "mmfuse.hooks": ("hookimpl",),
    "mmfuse.discovery": ("PluginInfo",),
    "mmfuse.catalog": ("Catalog", "Entry", "Recipe"),
    "mmfuse.card": ("Card", "CasesSection", "ColumnLine", "LabelLine", "SourceSection", "SplitSection"),
    "mmfuse.spec": (
        "AugmentLine", "BestEpoch", "DecisionLine", "EncoderLine", "FoldColumn", "NetworkSection", "Plan",
        "PredictionSection", "PretextLine", "Spec", "TrainingSection", "unanswered",
    ),
    "mmfuse.building": ("build",),
    "mmfuse.toml": ("again", "dump", "load", "load_card", "load_plan", "set_value"),
    "mmfuse.effects": ("without_effect",),
    "mmfuse.json_schema": ("schema",),
    "mmfuse.naming": ("feature_faults", "name_faults", "prediction_columns"),
    "mmfuse.wiring": ("Wiring", "wire"),
    "mmfuse.data.disk": ("refuse_unwritable", "whole_file"),
    "mmfuse.data.locks": ("taken",),
    "mmfuse.data.scratch": ("scratch_folder",),
    "mmfuse.data.parquet": ("open_parquet",),
    "mmfuse.data.table": ("Table", "numbers", "read_table"),
    "mmfuse.data.formulas": ("guarded",),
    "mmfuse.data.rows": ("Rows",),
    "mmfuse.data.spelling": ("but_for_case", "value_map"),
    "mmfuse.data.cases": ("Cases",),
    "mmfuse.data.splits": ("assign", "fold_numbers"),
    "mmfuse.advice.audit": ("Finding", "audit"),
    "mmfuse.data.cautions": ("cautions", "starts_from_somewhere"),
    "mmfuse.advice.describe": ("describe",),
    "mmfuse.advice.wording": ("number_labels",),
    "mmfuse.data.cache": ("cache_root", "cache_size", "clear_cache"),
    "mmfuse.net.altering": ("Alter", "Reading", "exchanged"),
    "mmfuse.builtin.modules.corruptions": ("CORRUPTIONS",),
    "mmfuse.net.corrupting": ("Corruption", "corrupted"),
    "mmfuse.explaining.deleting": ("Deletion",),
    "mmfuse.explaining.explanations": ("Bars", "Explanation", "Overlay", "Question", "Target", "explain"),
    "mmfuse.net.devices": ("choose_device", "hardware"),
    "mmfuse.net.gathering": ("together",),
    "mmfuse.net.network": ("FusionNetwork",),
    "mmfuse.net.predicting": ("fit_network",),
    "mmfuse.net.starting": ("plan_faults", "start_faults"),
    "mmfuse.net.features": ("EffectiveBatch", "Features", "Fused", "Outputs", "Scores"),
    "mmfuse.decide.scores": ("ScoreTable",),
    "mmfuse.decide.storable": ("stage_faults",),
    "mmfuse.decide.stages": ("FittedDecisions", "fit_decisions"),
    "mmfuse.metrics": (
        "MEASURES", "Measure", "OperatingPoint", "OperatingPoints", "evaluate", "lint", "lint_evaluation",
        "lintable", "side",
    ),
    "mmfuse.study.probing.asking": ("probe",),
    "mmfuse.study.resolution": ("resolution",),
    "mmfuse.study.statistics": (
        "Difference", "Interval", "Verdict", "bootstrap_weights", "corrected_t", "delong", "difference_over_seeds",
        "holm", "interval", "intervals", "intervals_at", "jackknife_weights", "mcnemar", "over_seeds",
        "paired_difference", "verdict",
    ),
    "mmfuse.study.designs": ("Design",),
    "mmfuse.study.variants": ("Variant", "varied"),
    "mmfuse.study.planning": ("ComparisonPlan", "Planned", "plan_comparison"),
    "mmfuse.study.comparing": ("Speaker", "Study", "compare"),
    "mmfuse.study.choosing": ("check_metric", "metric_named"),
    "mmfuse.study.contests": ("Contest",),
    "mmfuse.study.headlines": ("Headline",),
    "mmfuse.study.judging": ("Judgement", "Line", "judge"),
    "mmfuse.study.pooling": ("Domain",),
    "mmfuse.study.transfer": ("Crossing", "Transfer", "across", "transfer"),
    "mmfuse.study.shift": ("Shift", "counted_apart", "shifts", "unpaired_difference"),
    "mmfuse.study.stressing": ("Stressed", "stress"),
    "mmfuse.study.ledger": ("Ledger", "Looks"),
    "mmfuse.study.exchanging": ("Exchange", "exchange"),
    "mmfuse.study.outside": ("read_outside",),
    "mmfuse.study.shelf": ("Workers", "parts_in", "spec_digest"),
    "mmfuse.study.elsewhere": ("WORKERS", "RayWorkers"),
    "mmfuse.builtin.encoders": ("Timm",),
    "mmfuse.provenance": ("first_seen", "seen_faults"),
    "mmfuse.seen": ("frozen_seen", "seen_arrays", "seen_metadata"),
    "mmfuse.work": ("Work", "identity"),
    "mmfuse.pipeline": ("Pipeline", "Steps"),
    "mmfuse.pretraining": ("Pretraining",),
    "mmfuse.run": ("Run", "refuse_existing"),
}  # fmt: skip
_HOME = {name: module for module, names in _DOOR.items() for name in names}

__all__ = [*_HOME, "__version__"]  # all are text


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever the name is
    if name not in _HOME:
        raise AttributeError(f"mmfuse has no public name '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
