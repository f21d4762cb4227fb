"""How a study looks: figures with intervals, the family that was named beforehand, and all else as exploratory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import mmfuse
from mmfuse.commands.given import export
from mmfuse.show import Cell, Screen

SHOWN = {
    "macro-auc": "macro AUC",
    "balanced-accuracy": "balanced",
    "accuracy": "accuracy",
    "macro-f1": "macro F1",
    "log-loss": "log loss",
}
"""The figures of a line, and the words above the columns; what is compared comes first."""

MEANT = "mean over labels"

HEADLINES = "headlines.csv"


def show_study(screen: Screen, study: mmfuse.Study, judged: mmfuse.Judgement) -> None:
    """A table of figures for each label, the differences of the family, and those that are exploratory."""
    layout = [f"{study.design.seeds} seeds"] if study.design.seeds > 1 else []
    layout += [f"{study.design.folds} outer folds"] if study.design.folds else []
    layout += ["`test` included in the folds"] if study.design.folds and study.design.refold == "all" else []
    of_groups = f" of {judged.groups} groups" if judged.groups != judged.cases else ""
    unit = "" if judged.case_is == "case" else f" (one case is one {judged.case_is})"
    screen.heading(f"comparison on {judged.cases} test cases{of_groups}{unit}"
                   + "".join(f", {word}" for word in layout))  # fmt: skip
    screen.text(f"reference: {study.reference}")
    for label in dict.fromkeys(line.label for line in judged.lines):
        _show_figures(screen, judged, label)
    show_headlines(screen, study, judged)
    family = [contest for contest in judged.contests if contest.in_family]
    if family:
        screen.heading(f"differences in {judged.metric}: the {len(family)} comparisons named beforehand, p after Holm")
        _show_contests(screen, family)
    rest = [contest for contest in judged.contests if not contest.in_family]
    if rest:
        screen.heading(f"exploratory: differences in {judged.metric} that nobody named beforehand")
        _show_contests(screen, rest)
    _show_sentences(screen, study, judged)


def show_headlines(screen: Screen, study: mmfuse.Study, judged: mmfuse.Judgement) -> None:
    """Whether fusion helps: the reference overall and on each label, other variants overall."""
    told = [one.sentence for one in judged.headlines if not one.label or one.name == study.reference]
    if told:
        screen.heading("does fusion help? against every single modality, p after Holm")
        screen.text("\n".join(told))


def _show_figures(screen: Screen, judged: mmfuse.Judgement, label: str) -> None:
    if len({line.label for line in judged.lines}) > 1:
        screen.text(f"\n{label or MEANT}")
    else:
        screen.text()
    lines = [line for line in judged.lines if line.label == label]
    names = [judged.metric, *(name for name in SHOWN if name != judged.metric)]
    spread = any(not math.isnan(value) for line in lines for value in line.spread.values())
    head = ["", "role", "cases", SHOWN.get(judged.metric, judged.metric), *(["± seeds"] if spread else []), "95 %"]
    rows: list[list[Cell]] = []
    for line in lines:
        figures: list[Cell] = [line.figures.get(name, math.nan) for name in names]
        by_seed: list[Cell] = [line.spread.get(judged.metric, math.nan)] if spread else []
        rows.append([line.name, line.role, line.cases, figures[0], *by_seed, _range(line.interval), *figures[1:]])
    screen.table([*head, *(SHOWN[name] for name in names[1:])], rows)


def _range(interval: mmfuse.Interval | mmfuse.Difference | None) -> str:
    if interval is None or math.isnan(interval.low):
        return "–"
    sign = "+" if isinstance(interval, mmfuse.Difference) else ""
    return f"{interval.low:{sign}.3f} … {interval.high:{sign}.3f}"


def _show_contests(screen: Screen, contests: Sequence[mmfuse.Contest]) -> None:
    several = any(contest.label for contest in contests)
    family = contests[0].in_family
    rows: list[list[Cell]] = []
    for contest in contests:
        what: list[Cell] = [contest.label or MEANT] if several else []
        p: list[Cell] = [contest.p_holm] if family else []
        value = contest.difference.value
        difference = "–" if math.isnan(value) else f"{value:+.3f}"
        rows.append([contest.one, contest.other, *what, difference, _range(contest.difference), *p, said(contest)])
    screen.table(
        ["", "minus", *(["label"] if several else []), "is", "95 %", *(["p"] if family else []), "verdict"], rows
    )


def said(contest: mmfuse.Contest) -> str:
    """The word of a contest, with how many groups would be needed, or why it is no other word."""
    why = contest.remark or (contest.difference.note if math.isnan(contest.difference.low) else "")
    more = f"about {contest.needed} needed" if contest.needed else why
    return f"{contest.word} ({more})" if more else contest.word


def _show_sentences(screen: Screen, study: mmfuse.Study, judged: mmfuse.Judgement) -> None:
    sentences = []
    if judged.chosen:
        line = next(line for line in judged.lines if line.name == judged.chosen and line.label == "")
        figure = line.interval or f"{line.figures[judged.metric]:.3f}"
        chosen = f"chosen on {judged.chosen_on} by {study.design.select}: {judged.chosen}"
        sentences.append(f"{chosen}; {judged.metric} on `test` {figure}")
    elif judged.best:
        count = len(study.family)
        sentences.append(f"best of {count} on `test`: {judged.best}, optimistic by about {judged.optimism:.3f};"
                         " --select METRIC chooses on other cases instead")  # fmt: skip
    sentences += [f"control: {sentence}" for sentence in judged.reached]
    intervals = [contest.difference for contest in judged.contests if contest.difference.covers]
    if intervals:
        widest = max(intervals, key=lambda difference: difference.cases)
        sentences.append(f"intervals cover {widest.covers}")
    sentences += judged.warnings
    sentences += study.notes
    looks = mmfuse.Ledger().looks(held_out(study))
    if looks.times:
        sentences.append(f"{looks} on this machine")
    for failure in dict.fromkeys(speaker.failure for speaker in study.failed):
        names = ", ".join(speaker.name for speaker in study.failed if speaker.failure == failure)
        sentences.append(f"failed: {names}: {failure}")
    if sentences:
        screen.text("\n" + "\n".join(sentences))


def held_out(study: mmfuse.Study) -> mmfuse.ScoreTable:
    """The test cases of the first outer fold, as the ledger counts them."""
    table = study.tables()[0]
    return table.take((table.split == "test") & (table.folds == table.folds.min()))


def write_tables(folder: Path, judged: mmfuse.Judgement) -> None:
    """`comparison.csv`: a line a speaker and label; `differences.csv`: a line a contest; `headlines.csv`: a line a
    variant and label, where there are single modalities.
    """
    metrics = list(dict.fromkeys(name for line in judged.lines for name in line.figures))
    figures: dict[str, list[object]] = {
        "name": [line.name for line in judged.lines],
        "role": [line.role for line in judged.lines],
        "label": [line.label or MEANT for line in judged.lines],
        "cases": [line.cases for line in judged.lines],
    }
    for name in metrics:
        figures[name] = [_number(line.figures.get(name)) for line in judged.lines]
        figures[f"{name} sd over seeds"] = [_number(line.spread.get(name)) for line in judged.lines]
    for end in ("low", "high"):
        figures[f"{judged.metric} {end}"] = [
            _number(getattr(line.interval, end) if line.interval else None) for line in judged.lines
        ]
    export(mmfuse.Table.of(figures), folder / "comparison.csv")
    contests = judged.contests
    differences = mmfuse.Table.of(
        {
            "name": [contest.one for contest in contests],
            "minus": [contest.other for contest in contests],
            "label": [contest.label or MEANT for contest in contests],
            "metric": [judged.metric] * len(contests),
            "difference": [_number(contest.difference.value) for contest in contests],
            "low": [_number(contest.difference.low) for contest in contests],
            "high": [_number(contest.difference.high) for contest in contests],
            "p": [_number(contest.difference.p) for contest in contests],
            "p_holm": [_number(contest.p_holm) for contest in contests],
            "family": ["beforehand" if contest.in_family else "exploratory" for contest in contests],
            "verdict": [said(contest) for contest in contests],
            "covers": [contest.difference.covers for contest in contests],
        }
    )
    export(differences, folder / "differences.csv")
    headlines = folder / HEADLINES
    headlines.unlink(missing_ok=True)
    if judged.headlines:
        told = mmfuse.Table.of(
            {
                "name": [one.name for one in judged.headlines],
                "label": [one.label or MEANT for one in judged.headlines],
                "verdict": [one.word for one in judged.headlines],
                "p_holm": [_number(one.p_holm) for one in judged.headlines],
                "sentence": [one.sentence for one in judged.headlines],
            }
        )
        export(told, headlines)


def _number(value: float | None) -> str | None:
    return None if value is None or math.isnan(value) else f"{value:.6g}"
