"""What is spoilt, and what mmfuse is then asked. Each area makes one input of a number and looks at it."""

import hashlib
import json
import shutil
import tomllib
from pathlib import Path

import cells
import mutators
import numpy as np
import tomli_w
from guard import WrongError, program

import mmfuse


def _spoilt_toml(rng, content):
    if rng.random() < 0.5:
        return mutators.spoilt_text(rng, content)
    tree = mutators.spoilt_tree(rng, tomllib.loads(content.decode()))
    try:
        return tomli_w.dumps(tree).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError):
        return mutators.spoilt_text(rng, content)


# ── card and plan ─────────────────────────────────────────────────────────────────────────────────────────────────────


def plan(world, rng):
    path = world.put("plan.toml", _spoilt_toml(rng, world.read("plan.toml")))

    def look():
        loaded = mmfuse.load(path, world.folder / "cases.toml", catalog=world.catalog)
        mmfuse.Pipeline(loaded, catalog=world.catalog, device="cpu")
        again = mmfuse.load(tomllib.loads(mmfuse.dump(loaded)), catalog=world.catalog)
        if again != loaded and "nan" not in mmfuse.dump(loaded):
            raise WrongError("a plan is another one once it is written and read")

    if rng.random() < 0.1:
        return lambda: program("check", path, world.folder / "cases.csv")
    return look


def fit(world, rng):
    """A plan of other numbers and words, carried out; how long it may work is not spoilt."""
    tree = mutators.spoilt_values(rng, tomllib.loads(world.read("small.toml").decode()))
    files = (world.folder / "small-cases.toml", world.folder / "cases.csv")
    work = [(tree.get("training"), "epochs", 2), (tree.get("training"), "folds", 3)]
    work += [
        (line, name, 9) for line in tree.get("decisions", {}).values() for name in ("trees", "max_depth", "max_iter")
    ]
    for holder, name, most in work:
        if isinstance(holder, dict) and isinstance(holder.get(name), int | float) and holder[name] > most:
            holder[name] = most

    def look():
        spec = mmfuse.load(tree, files[0], catalog=world.catalog)
        cases = mmfuse.Cases.load(files[1], spec.card)
        pipeline = mmfuse.Pipeline(spec, catalog=world.catalog, device="cpu").fit(cases)
        p = pipeline.predict_proba(cases)
        if np.isinf(p).any() or (np.nan_to_num(p) < 0).any() or (np.nan_to_num(p) > 1 + 1e-6).any():
            raise WrongError(f"probabilities {p.tolist()}")
        folder = world.place / "fitted"
        pipeline.save(folder)
        again = mmfuse.Pipeline.load(folder, catalog=world.catalog, device="cpu")
        if not np.array_equal(again.predict_proba(cases), p, equal_nan=True):
            raise WrongError("a run that is read again answers otherwise")
        shutil.rmtree(folder)

    return look


def sets(world, rng):
    words = ["seed", "training.epochs", "network.encoders.picture.model", "decisions.svm.C", "modalities.meta.numeric",
             "split", "cases.missing", "network", "prediction.views", "labels.sign", "x", ""]  # fmt: skip
    tree = mutators.any_value(rng)
    value = rng.choice((json.dumps(tree), str(tree), "[" * rng.choice((1, 70, 2000)), "{a=" * 500, "]" * 9, "'"))
    key = rng.choice(words) + rng.choice(("", "", ".a", ".", ".0", "." + "a." * 500 + "a", " ", ".use"))
    text = rng.choice((f"{key}={value}", f"{key}={value}", key, f"={value}"))
    return lambda: mmfuse.load(
        world.folder / "plan.toml", world.folder / "cases.toml", catalog=world.catalog, sets=[text]
    )


def card(world, rng):
    path = world.put("cases.toml", _spoilt_toml(rng, world.read("cases.toml")))
    world.linked("cases.csv", "images", "vectors.npz")

    def look():
        made = mmfuse.load_card(path, world.catalog)
        cases = mmfuse.Cases.load(world.place / "cases.csv", made)
        mmfuse.assign(cases, made.split)
        mmfuse.audit(cases, made.split, files=False)

    if rng.random() < 0.1:
        return lambda: program("check", world.folder / "plan.toml", world.place / "cases.csv")
    return look


# ── tables and images ─────────────────────────────────────────────────────────────────────────────────────────────────


def _table(suffix, spoil, sealed):
    """`sealed`: a format whose checksums tell of a flipped byte."""

    def area(world, rng):
        content = world.read(f"cases.{suffix}")
        raw = sealed and rng.random() < 0.5
        changed = mutators.spoilt_bytes(rng, content) if raw else spoil(rng, content)
        path = world.put(f"cases.{suffix}", changed)
        world.linked("images", "vectors.npz", "cases.toml")
        sound = world.cases.table

        def look():
            table = mmfuse.read_table(path)
            if raw and any(name in sound and not _same(table[name], sound[name]) for name in table.names):
                raise WrongError("other cells out of a file whose checksums do not hold")
            mmfuse.describe(table)
            cases = mmfuse.Cases.load(path, world.spec.card, labelled=False)
            world.pipeline.predict_proba(cases.take(np.arange(min(3, len(cases)))))

        out = world.place / "p.csv"
        commands = (("describe", path), ("check", world.folder / "plan.toml", path),
                    ("predict", world.folder / "run", path, "--out", out))  # fmt: skip
        if rng.random() < 0.06:
            words = rng.choice(commands)

            def command():
                if not program(*words).exit_code:
                    out.unlink(missing_ok=True)

            return command
        return look

    return area


def _same(found, sound):
    return [word or "" for word in found] == [word or "" for word in sound]


def image(world, rng):
    index = rng.randrange(len(world.cases))
    name = str(world.cases.table["picture"][index])
    content = world.read(name)
    sealed = name.endswith("png") and rng.random() < 0.5
    spoil = mutators.spoilt_png if name.endswith("png") and not sealed else mutators.spoilt_bytes
    path = world.put(name, spoil(rng, content))
    world.linked("cases.csv", "cases.toml", "vectors.npz")
    reader = world.pipeline.network.members["network"].readers["picture"]
    sound = world.cases.take(np.array([index]))

    def look():
        cases = mmfuse.Cases.load(world.place / "cases.csv", world.spec.card).take(np.array([index]))
        pixels, _ = reader.read(cases.rows())
        if sealed and not np.array_equal(pixels, reader.read(sound.rows())[0]):
            raise WrongError(f"other pixels out of {path.name}, whose checksums do not hold")
        world.pipeline.predict_proba(cases)

    if rng.random() < 0.03:
        return lambda: program("check", world.folder / "plan.toml", world.place / "cases.csv")
    return look


# ── runs and scores ───────────────────────────────────────────────────────────────────────────────────────────────────


def _spoiler(name):
    """How the content of a stored file is spoilt, by its name."""
    return {
        ".json": mutators.spoilt_json,
        ".npz": mutators.spoilt_npz,
        ".toml": _spoilt_toml,
        ".safetensors": mutators.spoilt_safetensors,
        ".skops": lambda rng, content: mutators.spoilt_zip(rng, content, mutators.spoilt_member),
    }[Path(name).suffix]


def _spoilt_run(world, rng, *names):
    """A copy of the run of which one file is another, the manifest with it."""
    unread = ("events.jsonl", "splits.csv", "metrics.json")
    name = rng.choice(names or [name for name in world.run_files if name not in unread])
    for other in world.run_files:
        world.linked(f"run/{other}")
    changed = _spoiler(name)(rng, world.read(f"run/{name}"))
    world.put(f"run/{name}", changed)
    if name != "manifest.json":
        manifest = json.loads(world.read("run/manifest.json"))
        manifest["files"][name] = {"bytes": len(changed), "sha256": hashlib.sha256(changed).hexdigest()}
        world.put("run/manifest.json", json.dumps(manifest).encode())
    return world.place / "run"


def run(world, rng):
    folder = _spoilt_run(world, rng)
    few = world.cases.take(np.arange(3))

    def look():
        pipeline = mmfuse.Pipeline.load(folder, catalog=world.catalog, device="cpu")
        p = pipeline.predict_proba(few)
        if np.isinf(p).any() or (np.nan_to_num(p) < 0).any() or (np.nan_to_num(p) > 1 + 1e-6).any():
            raise WrongError(f"probabilities {p.tolist()}")
        pipeline.flags(few)
        mmfuse.evaluate(mmfuse.Run(folder).scores, on="valid", points=mmfuse.Run(folder).points)

    commands = (("evaluate", folder), ("predict", folder, world.folder / "cases.csv", "--out", folder / "p.csv"),
                ("embed", folder, world.folder / "cases.csv", "--out", folder / "p.npz"))  # fmt: skip
    words = rng.choice(commands)

    def command():
        if not program(*words).exit_code:
            for name in ("p.csv", "p.npz", "test-opened.jsonl"):
                (folder / name).unlink(missing_ok=True)

    return command if rng.random() < 0.05 else look


def scores(world, rng):
    content = world.read("run/scores.npz")
    raw = rng.random() < 0.4
    path = world.put("scores.npz", (mutators.spoilt_bytes if raw else mutators.spoilt_npz)(rng, content))

    def look():
        table = mmfuse.ScoreTable.load(path)
        if raw and any(not np.array_equal(table.sources[name], source, equal_nan=True)
                       for name, source in world.scores.sources.items()):  # fmt: skip
            raise WrongError("other scores out of a file whose checksums do not hold")
        for on in ("valid", "test"):
            if (table.split == on).any():
                mmfuse.evaluate(table, on=on)

    return look


def start(world, rng):
    """First weights from a run, and what it says that it has seen."""
    folder = _spoilt_run(world, rng, "seen.npz", "network/network.json", "network/network.safetensors")
    words = ["network.encoders.picture.weights", "network.weights"]
    spec = mmfuse.load(world.folder / "plan.toml", world.folder / "cases.toml", catalog=world.catalog,
                       sets=[f"{rng.choice(words)}={folder}"])  # fmt: skip

    def look():
        from mmfuse.net.weights import start_weights
        from mmfuse.provenance import refuse_seen

        wiring, split = mmfuse.wire(spec), mmfuse.assign(world.cases, spec.card.split)
        split[split == "test"] = ""
        refuse_seen(spec, wiring, world.cases, split, mmfuse.silent)
        start_weights(world.network, spec, wiring, mmfuse.silent)

    return look


def weights(world, rng):
    path = world.put("weights.safetensors", mutators.spoilt_safetensors(rng, world.read("weights.safetensors")))
    part = world.spec.plan.network.encoders["picture"].part
    return lambda: part.start(world.network.encoders["picture"], str(path))


# ── made elsewhere ────────────────────────────────────────────────────────────────────────────────────────────────────


def outside(world, rng):
    suffix = rng.choice(("csv", "npz", "npz", "parquet"))
    spoil = {"csv": mutators.spoilt_text, "npz": mutators.spoilt_npz, "parquet": mutators.spoilt_bytes}[suffix]
    path = world.put(f"outside.{suffix}", spoil(rng, world.read(f"outside.{suffix}")))
    held = world.scores.ids[world.scores.split == "test"]

    def look():
        table, _ = mmfuse.read_outside(path, "other", world.cases, held)
        p = table.probabilities("other")
        if np.isinf(p).any() or (np.nan_to_num(p) < 0).any() or (np.nan_to_num(p) > 1).any():
            raise WrongError("probabilities outside [0, 1]")
        mmfuse.evaluate(table, on="test")

    return look


def vectors(world, rng):
    suffix = rng.choice(("npz", "npz", "parquet"))
    spoil = mutators.spoilt_npz if suffix == "npz" else mutators.spoilt_bytes
    world.put(f"vectors.{suffix}", spoil(rng, world.read(f"vectors.{suffix}")))
    world.linked("cases.csv", "images")
    scale = rng.random() < 0.5
    part = mmfuse.load_card({"cases": {"id": "id"}, "labels": {"sign": ["no", "yes"]},
                             "modalities": {"emb": {"use": "vector", "file": f"vectors.{suffix}", "scale": scale}}},
                            world.catalog)  # fmt: skip

    def look():
        cases = mmfuse.Cases.load(world.place / "cases.csv", part)
        reader = part.modalities["emb"].fit(cases.rows())
        values, _ = reader.read(cases.rows())
        if not np.isfinite(values).all():
            raise WrongError(f"{int((~np.isfinite(values)).sum())} of the vectors' numbers are not finite")
        reader.save(world.place / "stem")
        part.modalities["emb"].load(world.place / "stem")
        for path in world.place.glob("stem.*"):
            path.unlink()

    return look


def study(world, rng):
    files = sorted(path for path in (world.folder / "study").rglob("*") if path.is_file())
    names = [str(path.relative_to(world.folder)) for path in files]
    world.linked(*names)
    name = rng.choice([name for name in names if name.endswith((".json", ".npz"))])
    world.put(name, _spoiler(name)(rng, world.read(name)))

    def look():
        made = mmfuse.Study.load(world.place / "study")
        made.tables()
        made.inner_table()

    if rng.random() < 0.05:
        return lambda: program("compare", world.folder / "cases.csv", "--out", world.place / "study", "--show")
    return look


def figures(world, rng):
    name = rng.choice(("figures.json", "evaluation.json", "figures.csv"))
    spoil = mutators.spoilt_text if name.endswith("csv") else mutators.spoilt_json
    path = world.put(name, spoil(rng, world.read(name)))
    return lambda: program("lint", path)


AREAS = {
    "plan": plan,
    "fit": fit,
    "sets": sets,
    "card": card,
    "csv": _table("csv", cells.csv_of, False),
    "parquet": _table("parquet", cells.parquet_of, False),
    "xlsx": _table("xlsx", cells.xlsx_of, True),
    "image": image,
    "run": run,
    "scores": scores,
    "start": start,
    "weights": weights,
    "outside": outside,
    "vectors": vectors,
    "study": study,
    "figures": figures,
}
