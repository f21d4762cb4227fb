"""`check` says what the table can show; `check --probe` asks what the labels could be read from."""

import json
import subprocess
import sys


def test_check_says_what_the_table_can_show(here, mmfuse):
    said = mmfuse("check", "plan.toml", "cases.csv").output
    assert "what can be seen: half-widths of 95 % intervals" in said
    assert "label answer, test: events" in said
    assert "asked alone were columns and missing cells; `--probe` asks more" in said


def test_check_probes_when_asked(here, mmfuse):
    rows = (here / "cases.csv").read_text().splitlines()
    told = [rows[0] + ",device", *(f"{row},{'Q' if row.split(',')[6] == 'yes' else 'R'}" for row in rows[1:])]
    (here / "cases.csv").write_text("\n".join(told) + "\n")
    for words in ((), ("--probe",)):  # the table's part is asked without it
        findings = json.loads(mmfuse("check", "plan.toml", "cases.csv", *words, "--json").stdout)["findings"]
        (found,) = [one for one in findings if one["where"] == "column device"]
        assert found["level"] == "warning"
        assert "alone it tells label answer ('yes' from the others: AUC 1.00 [" in found["text"]


def test_probe_needs_cases(here, mmfuse):
    assert "--probe asks a table: name CASES" in mmfuse("check", "plan.toml", "--probe", code=2).output


def test_check_stays_light(here):
    """Law 9: neither SciPy nor scikit-learn is imported unless probes are asked."""
    code = (
        "import sys\nfrom mmfuse.cli import main\n"
        "main(['check', 'plan.toml', 'cases.csv', '--quiet'], standalone_mode=False)\n"
        "print(sorted({'scipy', 'sklearn', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=here, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
