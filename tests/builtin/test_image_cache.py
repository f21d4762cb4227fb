"""Warm equals cold: the cache never serves pixels that were made by other code, or under other limits."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image as Picture

from mmfuse.builtin.modalities import Image
from mmfuse.card import Card, CasesSection
from mmfuse.data.cases import Cases
from mmfuse.data.inputs import read_inputs
from mmfuse.data.table import Table
from mmfuse.errors import TableError

READ = textwrap.dedent("""
    import sys
    from pathlib import Path
    from eyes import Disc
    from mmfuse.builtin.modalities import Image
    from mmfuse.data.cases import Cases
    from mmfuse.data.inputs import read_inputs
    from mmfuse.data.table import Table
    from mmfuse.card import Card, CasesSection

    modality = Image(column="path", size=8, steps=(Disc(),))
    card = Card(cases=CasesSection(id="id", root="."), labels={}, modalities={"eye": modality})
    cases = Cases(Table.of({"id": ["1"], "path": ["a.png"]}), card, Path(sys.argv[1]), labelled=False)
    print(read_inputs({"eye": modality.fit(cases.rows())}, cases)["eye"].take([0]).mean())
""")


@pytest.fixture
def picture(tmp_path):
    Picture.fromarray(np.full((16, 16, 3), 100, np.uint8)).save(tmp_path / "a.png")
    return tmp_path


def test_a_helper_of_a_step_that_changes_gives_new_pixels(picture, tmp_path):
    package = tmp_path / "src" / "eyes"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import mmfuse\nfrom .disc import lighter\n\nclass Disc(mmfuse.Step):\n    '''Lighter.'''\n\n"
        "    def apply(self, image):\n        return lighter(image)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    found = []
    for more in (10, 10, 20):
        (package / "disc.py").write_text(f"def lighter(image):\n    return image + {more}\n")
        command = [sys.executable, "-c", READ, str(picture)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        found.append(float(done.stdout))
    assert found == [110, 110, 120]


def test_a_limit_that_refuses_a_picture_refuses_it_warm_too(picture):
    def read(limit):
        modality = Image(column="path", size=8, max_pixels=limit)
        card = Card(cases=CasesSection(id="id", root="."), labels={}, modalities={"eye": modality})
        cases = Cases(Table.of({"id": ["1"], "path": ["a.png"]}), card, picture, labelled=False)
        return read_inputs({"eye": modality.fit(cases.rows())}, cases)["eye"]

    assert read(10**6).present.all()
    with pytest.raises(TableError, match="pixels"):
        read(100)
