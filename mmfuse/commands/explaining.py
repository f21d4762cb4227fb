"""`explain`: where a run looked in a case, what its answer hangs on, and whether exchanging two inputs changes it.

What is written shows patients: the folder is 0700, its files 0600.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.drawing import about, bars_of, curve_of, matrix_of, picture_of, safe_names
from mmfuse.commands.given import FILE, card_option, device_option, new_cases, refuse_idle, safe
from mmfuse.show import as_json

if TYPE_CHECKING:
    from mmfuse import Cases, Exchange, Explanation, Labels, Pipeline

FILES = "explanation.json"
"""In the folder: every case, what was explained, and every file with its caption."""

POINTS = (
    "case",
    "modality",
    "kind",
    "about",
    "taken_by",
    "share",
    "p",
    "random_mean",
    "random_low",
    "random_high",
    "area",
)
"""Columns of `deletion.csv`."""


@click.command(cls=Command)
@click.argument("run", type=FILE)
@click.argument("cases", type=FILE)
@click.option("--case", "ids", multiple=True, metavar="ID", help="A case to be explained. Repeatable.")
@click.option("--out", type=FILE, help="The folder of the pictures; it must not exist.")
@click.option("--label", "labels", multiple=True, help="What to explain. Repeatable.  [default: every label]")
@click.option("--class", "wanted", default="", help="The class to explain.  [default: the one that is predicted]")
@click.option("--source", default="fused", show_default=True, help="A source of the network: fused, or a side head.")
@click.option(
    "--method",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "attention", "integrated-gradients", "grad-cam"]),
    help="auto: attention where there is any, else integrated gradients; these for tables.",
)
@click.option(
    "--baseline",
    default="blur",
    show_default=True,
    type=click.Choice(["blur", "black", "white", "mean"]),
    help="What integrated gradients compare an image with.",
)
@click.option("--steps", default=32, show_default=True, type=click.IntRange(2, 1024), help="Of integrated gradients.")
@click.option(
    "--deletion",
    type=click.Choice(["blur", "black"]),
    default=None,
    is_flag=False,
    flag_value="blur",
    help="A curve of the probability as the highest places are taken away, against random places.  [default: blur]",
)
@click.option("--seed", default=0, show_default=True, help="Of the random places.")
@click.option("--exchange", "pair", metavar="A,B", help="Two inputs to exchange: |p(A,B) - p(B,A)| over all CASES.")
@click.option("--force", is_flag=True, help="Write into a folder that is there; files of the same names are replaced.")
@click.option("--json", "as_tree", is_flag=True, help="Tell the same as JSON.")
@card_option
@device_option
@click.pass_context
def explain(
    context: click.Context,
    run: Path,
    cases: Path,
    ids: tuple[str, ...],
    out: Path | None,
    labels: tuple[str, ...],
    wanted: str,
    source: str,
    method: str,
    baseline: str,
    steps: int,
    deletion: str | None,
    seed: int,
    pair: str | None,
    force: bool,
    as_tree: bool,
    card: Path | None,
    device: str,
) -> None:
    """Show where a run looked in a case, not why.

    One picture an image input: as it was read, and every map over it; bars for tables. Attention is the network's own;
    integrated gradients and Grad-CAM (by captum) work with any encoder. --exchange gives two inputs each other's
    content instead, and needs no --case.
    """
    app: App = context.obj
    names = _check_usage(ids, out, pair)
    _refuse_idle(context)
    if out is not None:
        refuse_folder(out, force)
    pipeline = mmfuse.Pipeline.load(run, catalog=app.catalog, device=device, watch=app.watch)
    table = _cases(cases, card, pipeline)
    if out is None:
        with app.working():
            told = mmfuse.exchange(pipeline, table, *names)
        show_exchange(app, told, pipeline, as_tree)
        return
    question = mmfuse.Question(labels, wanted, source, method, baseline, steps, deletion or "", seed)
    with app.working():
        found = mmfuse.explain(pipeline.network, table, list(dict.fromkeys(ids)), question, app.watch)
        app.interrupted = f"interrupted; {out} may hold some of the pictures, without {FILES}"
        files = write_folder(out, found, pipeline.spec.card.label_set)
    show_explanations(app, out, found, files, as_tree)


def _check_usage(ids: tuple[str, ...], out: Path | None, pair: str | None) -> tuple[str, str]:
    """The two inputs to be exchanged, or two empty names. Raises: click.UsageError for what does not go together."""
    if pair is None:
        if not ids or out is None:
            raise click.UsageError("pictures need --case ID and --out DIR; or exchange two inputs: --exchange A,B")
        return "", ""
    if ids or out is not None:
        raise click.UsageError("--exchange speaks of all CASES and writes no pictures: leave --case and --out away")
    one, comma, other = pair.partition(",")
    if not comma or "," in other:
        raise click.UsageError(f"--exchange takes two inputs, as in left,right; found '{pair}'")
    return one.strip(), other.strip()


def _refuse_idle(context: click.Context) -> None:
    """Raises: UsageError for options that do nothing beside the others."""
    given = context.params
    if given["pair"] is not None:
        of_pictures = {"labels", "wanted", "source", "method", "baseline", "steps", "deletion", "seed", "force"}
        refuse_idle(context, "--exchange draws no pictures", of_pictures)
    if given["deletion"] is None:
        refuse_idle(context, "no places are taken away: give --deletion", {"seed"})
    if given["method"] not in ("auto", "integrated-gradients"):
        refuse_idle(context, f"--method {given['method']} has no integrated gradients", {"baseline", "steps"})


def _cases(path: Path, card: Path | None, pipeline: Pipeline) -> Cases:
    """Return the cases, with their labels where the table has all of them: the truth then stands on the pictures."""
    try:
        return new_cases(path, card, pipeline.spec.card, labelled=True)
    except mmfuse.TableError:
        return new_cases(path, card, pipeline.spec.card)


def refuse_folder(out: Path, force: bool) -> None:
    """Raises: RunError, before any work, where the pictures could not be written."""
    if out.is_dir() and force:
        if any((folder / "manifest.json").is_file() for folder in (out.absolute(), *out.absolute().parents)):
            raise mmfuse.RunError("lies within a run", "a folder of its own", "another --out", str(out))
        mmfuse.refuse_unwritable(out / FILES)
        return
    if out.is_dir() and any(out.iterdir()):
        raise mmfuse.RunError("exists already", "a new folder", "another --out, or --force to write into it", str(out))
    mmfuse.refuse_existing(out)


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_folder(out: Path, explanations: Sequence[Explanation], labels: Labels) -> list[dict[str, Any]]:
    """Writes everything into `out`: a folder a case, `deletion.csv`, and `explanation.json`, which is given back as a
    tree."""
    _private_folder(out)
    folders, told = safe_names(explanation.case for explanation in explanations), []
    for explanation in explanations:
        name = folders[explanation.case]
        _private_folder(out / name)
        files = []
        for stem, content, caption in pictures_of(explanation, labels):
            files.append({"file": f"{name}/{stem}.png", "caption": caption})
            _private_file(out / name / f"{stem}.png", content)
        targets = [target._asdict() for target in explanation.targets]
        told.append({"case": explanation.case, "targets": targets, "files": files, "deletions": areas(explanation)})
    rows = [row for explanation in explanations for row in points(explanation)]
    if rows:
        text = io.StringIO(newline="")
        table = safe(mmfuse.Table.of(dict(zip(POINTS, zip(*rows, strict=True), strict=True))))
        csv.writer(text, lineterminator="\n").writerows([POINTS, *zip(*table.columns.values(), strict=True)])
        _private_file(out / "deletion.csv", text.getvalue().encode())
    _private_file(out / FILES, (as_json(told) + "\n").encode())
    return told


def pictures_of(explanation: Explanation, labels: Labels) -> Iterator[tuple[str, bytes, str]]:
    """Each file of a case: (stem, PNG, caption)."""
    drawn: list[tuple[str, ...]] = [(modality,) for modality in explanation.pictures]
    drawn += [("bars", bars.modality, bars.target.label) for bars in explanation.bars]
    drawn += [("matrix", key) for key in explanation.matrices]
    drawn += [("deletion", o.modality, o.kind, d.about) for o in explanation.overlays for d in o.deletions]
    stems = safe_names("-".join(words) for words in drawn)

    def stem(*words: str) -> str:
        return stems["-".join(words)]

    for modality in explanation.pictures:
        captions = [f"{o.kind}: {o.caption}" for o in explanation.overlays if o.modality == modality]
        yield stem(modality), picture_of(explanation, modality), "; ".join(dict.fromkeys(captions)) or "as it was read"
    for bars in explanation.bars:
        yield stem("bars", bars.modality, bars.target.label), bars_of(bars, explanation.case), bars.caption
    for key, matrix in explanation.matrices.items():
        yield stem("matrix", key), matrix_of(key, matrix, labels, explanation.case), "attention, not a reason"
    for overlay in explanation.overlays:
        for deletion in overlay.deletions:
            caption = f"area between the curves {deletion.area:+.3f}"
            name = stem("deletion", overlay.modality, overlay.kind, deletion.about)
            yield name, curve_of(overlay, deletion, explanation.case), caption


def points(explanation: Explanation) -> Iterator[tuple[Any, ...]]:
    """Rows of `deletion.csv`."""
    for o in explanation.overlays:
        for d in o.deletions:
            mean, low, high = d.random.mean(axis=0), d.random.min(axis=0), d.random.max(axis=0)
            for share, *values in zip(d.share, d.p, mean, low, high, strict=True):
                numbers = [f"{value:.6g}" for value in (share, *values, d.area)]
                yield (explanation.case, o.modality, o.kind, d.about, d.how, *numbers)


def areas(explanation: Explanation) -> list[dict[str, Any]]:
    """Of each curve what it comes to."""
    return [
        {
            "modality": o.modality,
            "kind": o.kind,
            "about": d.about,
            "taken_by": d.how,
            "area": d.area,
            "beaten": d.beaten,
        }
        for o in explanation.overlays
        for d in o.deletions
    ]


def _private_folder(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def _private_file(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # an older one may be open to others
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


# ── showing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def show_explanations(
    app: App, out: Path, explanations: Sequence[Explanation], told: Sequence[dict[str, Any]], as_tree: bool
) -> None:
    """What was explained and where it lies; then the areas of deletion."""
    if as_tree:
        app.screen.json(told)
        return
    for explanation, case in zip(explanations, told, strict=True):
        app.screen.text(f"case {explanation.case}: {'; '.join(about(target) for target in explanation.targets)}")
        app.screen.table(("file", "what it shows"), [(str(out / f["file"]), f["caption"]) for f in case["files"]])
    rows = [
        (case["case"], d["modality"], d["kind"], d["about"], d["area"], f"{d['beaten']:.0%}")
        for case in told
        for d in case["deletions"]
    ]
    if rows:
        app.screen.text("\ndeletion: above 0, the map's places matter more than random ones")
        app.screen.table(("case", "input", "map", "class", "area", "random orders beaten"), rows)
    app.screen.text(f"\n{out}: what it shows is where the model looked, or what its answer hangs on; not why")


def show_exchange(app: App, told: Exchange, pipeline: Pipeline, as_tree: bool) -> None:
    """Mean and largest difference, by source and label."""
    one, other = told.modalities
    names = ["", *told.labels.names] if len(told.labels) > 1 else [*told.labels.names]
    figures = {
        source: {
            name or "all labels": {"mean": told.mean(source, name), "max": told.largest(source, name)} for name in names
        }
        for source in told.differences
    }
    if as_tree:
        app.screen.json(
            {"exchanged": [one, other], "cases": told.cases, "answer": pipeline.wiring.answer, "sources": figures}
        )
        return
    app.screen.text(f"|p({one}, {other}) - p({other}, {one})| of {told.cases} cases that have both")
    rows = [
        (
            f"{source} (answer)" if source == pipeline.wiring.answer else source,
            name,
            f"{by['mean']:.3g}",
            f"{by['max']:.3g}",
        )
        for source, by_label in figures.items()
        for name, by in by_label.items()
    ]
    app.screen.table(("source", "label", "mean", "largest"), rows)
