#!/usr/bin/env bash
# optuna 5.0.0: a number given by `enqueue_trial` that lies outside the range asked for later (a search continued with
# tighter bounds, a value outside of a log range) is warned of and used all the same: the trial runs with it, and it can
# become `best_params`. A choice that is not among the categories raises instead, and so ends the whole study.
# Seen: x = 5.0 from suggest_float("x", 0, 1), best_params {"x": 5.0} of 4 trials; "k" of ("a", "b"): ValueError.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
study.enqueue_trial({"x": 5.0})
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
print(f"asked for 0 to 1: {[round(trial.params['x'], 2) for trial in study.trials]}, best {study.best_params}")
assert study.best_params == {"x": 5.0}
study = optuna.create_study()
study.enqueue_trial({"x": "k"})
try:
    study.optimize(lambda trial: len(trial.suggest_categorical("x", ["a", "b"])), n_trials=2)
except ValueError as error:
    print(f"a choice: ValueError ({error})")
else:
    raise AssertionError("an unknown choice passes now")
assert len(study.trials) == 1
PY
