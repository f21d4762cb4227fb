"""`embed`: the features of frozen encoders as a file. No label is in them, so they may go anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.given import (
    FILE,
    card_of,
    card_option,
    device_option,
    export,
    load_cases,
    load_spec,
    new_cases,
    refuse_input,
    refuse_output,
    sets_option,
    tell_notes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmfuse import Cases, Spec

    Features = dict[str, tuple[NDArray, NDArray]]

SUFFIXES = (".npz", ".csv", ".parquet")


@click.command(cls=Command)
@click.argument("source", metavar="RUN_OR_PLAN")
@click.argument("cases", type=FILE)
@click.option("--out", required=True, type=FILE, help=".npz, .csv or .parquet.")
@click.option("--modality", "wanted", multiple=True, help="Only this one. Repeatable.  [default: all that are frozen]")
@sets_option
@card_option
@device_option
@click.pass_obj
def embed(
    app: App,
    source: str,
    cases: Path,
    out: Path,
    wanted: tuple[str, ...],
    sets: Sequence[str],
    card: Path | None,
    device: str,
) -> None:
    """Write the features of frozen encoders to a file.

    One row a case; of the encoders of a RUN, or of a PLAN with their first weights. The `vector` modality reads the
    file again. In .npz: `ids`, and an array (cases, width) a modality, NaN where it is absent; where there is one
    modality it is called `vectors` too. In a table: columns `MODALITY:0`, `MODALITY:1` … What the weights behind
    them had seen is written into .npz and .parquet, as digests, and asked when something learns from the file.
    """
    refuse_input(out, cases)
    refuse_output(out, SUFFIXES)
    if (Path(source) / "manifest.json").is_file():
        if sets:
            raise click.UsageError("--set speaks of a PLAN: the encoders of a RUN are as they were fitted")
        pipeline = mmfuse.Pipeline.load(source, catalog=app.catalog, device=device, watch=app.watch)
        table = tell_notes(app, new_cases(cases, card, pipeline.spec.card))
        spec, network = pipeline.spec, pipeline.network
        chosen, seen = wanted or frozen(spec), mmfuse.frozen_seen(pipeline.seen)
    else:
        card = card_of(cases, card)
        spec = load_spec(app, source, card, sets, "embed")
        chosen = wanted or frozen(spec)
        spec = untrained(spec, chosen)
        table = tell_notes(app, load_cases(cases, spec.card, card.parent, labelled=False))
        seen = mmfuse.first_seen(spec, mmfuse.wire(spec), table, app.watch)
        everyone = np.full(len(table), "train")
        network, _ = mmfuse.fit_network(spec, mmfuse.wire(spec), table, everyone, None, device=device, watch=app.watch)
    if network is None or not chosen:
        raise mmfuse.SpecError(
            "no encoder is frozen", "features without labels in them", "frozen = true, or --modality"
        )
    refuse_names(out, table, chosen)
    with app.working():
        features = {modality: network.embed(table, modality, app.watch) for modality in chosen}
        write(out, table, features, seen)
    if out.suffix.lower() == ".csv" and any(len(digests) for digests in seen.values()):
        text = (
            f"{out}: a .csv has no place for what the weights behind these features have seen, so nothing can refuse it"
            " where their cases are `test`; write .npz or .parquet"
        )
        app.watch(mmfuse.Notice(text, "warning"))
    widths = ", ".join(f"{modality} {vectors.shape[1]}" for modality, (vectors, _) in features.items())
    app.screen.text(f"{out}: {len(table)} cases, width of the features: {widths}")


def refuse_names(out: Path, cases: Cases, modalities: Sequence[str]) -> None:
    """Raises: SpecError where two things would share an array or a column of the file."""
    if out.suffix.lower() == ".npz":
        mmfuse.feature_faults(modalities).raise_as(mmfuse.SpecError)
    faults, column = mmfuse.Faults(), cases.card.cases.id
    stem, _, number = column.rpartition(":")
    if out.suffix.lower() != ".npz" and stem in modalities and number.isdecimal():
        found = f"column '{column}' would hold the ids and a feature of '{stem}'"
        faults.add("cases.id", found, mend="write .npz, or give the column of ids another name")
    faults.raise_as(mmfuse.SpecError)


def frozen(spec: Spec) -> tuple[str, ...]:
    """The modalities whose encoders are frozen."""
    return tuple(name for name, (_, line) in mmfuse.wire(spec).encoders.items() if line.frozen is True)


def untrained(spec: Spec, modalities: Sequence[str]) -> Spec:
    """The same encoders of these modalities, held at their first weights, with nothing behind them.

    Raises: SpecError for a modality that no encoder reads.
    """
    encoders = mmfuse.wire(spec).encoders
    for modality in modalities:
        if modality not in encoders:
            raise mmfuse.SpecError(f"no encoder reads '{modality}'", mend=mmfuse.nearest(modality, encoders))
    lines = {modality: encoders[modality][1].model_copy(update={"frozen": True}) for modality in modalities}
    network = mmfuse.NetworkSection(encoders=lines)
    plan = spec.plan.model_copy(update={"network": network, "augment": {}, "decisions": {}})
    return spec.model_copy(update={"plan": plan})


def write(out: Path, cases: Cases, features: Features, seen: dict[str, NDArray]) -> None:
    """Writes the features whole or not at all, with what the weights behind them had seen, where the format has a place
    for it."""
    spread = {
        modality: np.where(present[:, None], vectors, np.nan).astype(np.float32)
        for modality, (vectors, present) in features.items()
    }
    if out.suffix.lower() == ".npz":
        arrays: dict[str, Any] = {"ids": cases.ids, **spread}
        if len(spread) == 1:
            arrays["vectors"] = next(iter(spread.values()))
        write_arrays(out, arrays | mmfuse.seen_arrays(seen))
        return
    numbers = {f"{m}:{index}": values for m, vectors in spread.items() for index, values in enumerate(vectors.T)}
    table = mmfuse.Table.of({cases.card.cases.id: cases.ids.tolist(), **numbers})
    export(table, out, numbers, mmfuse.seen_metadata(seen))


def write_arrays(out: Path, arrays: dict[str, Any]) -> None:
    """An .npz that appears whole or not at all."""
    with mmfuse.whole_file(out) as scratch, scratch.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
