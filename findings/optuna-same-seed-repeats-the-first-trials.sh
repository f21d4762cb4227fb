#!/usr/bin/env bash
# optuna 5.0.0: a study that goes on from its storage with the same seeded sampler repeats the trials it began with: the
# seed counts from the start of the process, not from the trials that are there. Three and three more trials are three
# different ones, where one run of six has six. No warning, and the repeats count in `n_trials` and in importances.
# Seen: .549 .715 .603 .549 .715 .603 in two runs; six different values in one run.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import tempfile

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
values = {}
for name, parts in {"one run": (6,), "two runs": (3, 3)}.items():
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(f"{folder}/journal"))
            study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True,
                                        sampler=optuna.samplers.TPESampler(seed=0))
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=part)
        values[name] = [round(trial.params["x"], 6) for trial in study.trials]
    print(f"{name}: {values[name]}")
assert len(set(values["one run"])) == 6
assert values["two runs"] == values["one run"][:3] * 2
PY
