"""Roles and knobs: names, what is refused when a part's class is made, what a part may leave out."""

import copy
import math
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError

import mmfuse
from mmfuse.errors import SpecError
from mmfuse.knobs import RESERVED, Node, Part
from mmfuse.parts import (
    ROLES,
    Augmentation,
    DecisionFusion,
    Encoder,
    FeatureFusion,
    FlowShape,
    Loss,
    Metric,
    Modality,
    Reader,
    SecondStage,
    Step,
)


class TinyConvNet2D(Encoder):
    """A tiny one."""

    width: int = 8
    steps: tuple[Step, ...] = ()


class Blur(Step):
    """Blurs."""

    radius: float = 1.0


def test_a_part_is_called_like_its_class_in_kebab_case():
    assert TinyConvNet2D.name == "tiny-conv-net2-d"
    assert Blur.name == "blur"

    class SVM(SecondStage):
        pass

    class MLPHead(Encoder):
        name: ClassVar[str] = "mlp-x"

    assert (SVM.name, MLPHead.name) == ("svm", "mlp-x")


def test_a_name_is_not_inherited():
    class Sharper(Blur):
        pass

    assert (Blur.name, Sharper.name) == ("blur", "sharper")


@pytest.mark.parametrize("knob", RESERVED)
def test_reserved_knobs_are_refused_where_the_class_is_made(knob):
    with pytest.raises(TypeError, match=rf"Mine has knobs \['{knob}'\].*give them other names"):
        type("Mine", (Encoder,), {"__annotations__": {knob: int}, knob: 3, "__module__": __name__})


@pytest.mark.parametrize(
    ("annotation", "default", "why"),
    [
        (list[int], (), "use a tuple"),
        (tuple[list[int], ...], (), "use a tuple"),
        (set[str], frozenset(), "use a tuple"),
        (dict[str, list[int]], {}, "use a tuple"),
        (int | None, 3, "may be None"),
        (int, None, "may be None"),
        (Literal["a", None], "a", "may be None"),
    ],
)
def test_knobs_that_toml_or_a_frozen_part_cannot_hold_are_refused_where_the_class_is_made(annotation, default, why):
    with pytest.raises(TypeError, match=rf"Mine has a knob 'words' that .*{why}"):
        type("Mine", (Encoder,), {"__annotations__": {"words": annotation}, "words": default, "__module__": __name__})


def _made(role, name, **body):
    return type(name, (role,), {"__module__": __name__, **body})


@pytest.mark.filterwarnings("ignore:Field name")
@pytest.mark.parametrize(
    ("role", "body", "why"),
    [
        (Metric, {"__annotations__": {"larger_is_better": bool}, "larger_is_better": False}, "leave its type out"),
        (Loss, {"__annotations__": {"accumulates": bool}, "accumulates": True}, "leave its type out"),
        (FeatureFusion, {"__annotations__": {"needs": tuple[str, ...]}, "needs": ("maps",)}, "leave its type out"),
        (Encoder, {"__annotations__": {"stages": int}, "stages": 3}, r"write `def stages\(self, …\)`"),
        (SecondStage, {"trusts": lambda self: ()}, "has a method 'trusts'.*@property"),
        (Metric, {"suits": property(lambda self: True)}, "has a property 'suits'.*leave @property out"),
    ],
)
def test_an_answer_that_nobody_would_hear_is_refused_where_the_class_is_made(role, body, why):
    """A knob of that name would leave the base's answer standing: a metric would silently be turned round."""
    with pytest.raises(TypeError, match=f"^Mine .*{why}"):
        _made(role, "Mine", **body)


@pytest.mark.filterwarnings("ignore:Field name")
def test_a_plain_value_answers_what_a_property_asks():
    mine = _made(Metric, "Mine", larger_is_better=False)
    assert (mine().larger_is_better, mine().ideal, mine.model_fields) == (False, -math.inf, {})
    assert _made(mine, "Other", ideal=0.0)().ideal == 0.0
    assert _made(FeatureFusion, "Mine", needs=("maps",), arity=(2, 2))().needs == ("maps",)
    assert _made(DecisionFusion, "Mine", rule=property(lambda self: Reader))().rule is Reader
    knob = _made(Augmentation, "Mine", __annotations__={"copy": int}, copy=2)
    assert knob(copy=3).copy == 3


def test_a_field_of_a_record_is_not_called_like_what_is_asked_of_it():
    with pytest.raises(TypeError, match=r"Mine has a field .shape.*another name"):
        _made(Reader, "Mine", __annotations__={"shape": tuple[int, ...]})


def test_a_table_among_the_knobs_is_frozen_too():
    class Mine(Encoder):
        """One."""

        weights_of: dict[str, float] = {"a": 1.0}  # noqa: RUF012  # pydantic copies

    part = Mine(weights_of={"b": 2.0})
    for change in (
        lambda knob: knob.update(b=3),
        lambda knob: knob.__setitem__("b", 3),
        lambda knob: knob.pop("b"),
        lambda knob: knob.clear(),
    ):
        with pytest.raises(TypeError, match="knobs are frozen"):
            change(part.weights_of)
        with pytest.raises(TypeError, match="knobs are frozen"):
            change(Mine().weights_of)
    assert part.weights_of == {"b": 2.0}
    assert part == Mine(weights_of={"b": 2.0}) == copy.deepcopy(part)
    assert part.model_dump() == {"weights_of": {"b": 2.0}}


def test_knobs_are_frozen_and_unknown_ones_refused():
    part = TinyConvNet2D(width=4)
    with pytest.raises(ValidationError, match="frozen"):
        part.width = 5
    with pytest.raises(ValidationError, match="widht"):
        TinyConvNet2D(widht=4)
    assert part == TinyConvNet2D(width=4) != TinyConvNet2D()


def test_parts_may_hold_parts_and_be_keys():
    part = TinyConvNet2D(steps=(Blur(radius=2),))
    assert part.steps[0].radius == 2
    assert len({part, TinyConvNet2D(steps=(Blur(radius=2),)), TinyConvNet2D()}) == 2


def test_every_role_has_a_name_of_its_own_and_a_contract():
    names = [role.role for role in ROLES]
    assert len(set(names)) == len(ROLES) == 12
    assert all(name and role.contract >= 1 and role.__doc__ for name, role in zip(names, ROLES, strict=True))
    assert all(issubclass(role, Part) and issubclass(role, Node) for role in ROLES)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.role)
def test_what_a_role_asks_for_has_no_default(role):
    made = type("Empty", (role,), {"__module__": __name__})()
    method = {
        "modality": lambda: made.fit(None),
        "step": lambda: made.apply(None),
        "augmentation": lambda: made.build(),
        "encoder": lambda: made.build((3, 8, 8)),
        "fusion": lambda: made.build({}),
        "head": lambda: made.build(3, None),
        "loss": lambda: made.build(None, None),
        "pretext": lambda: made.build(None, None, 3),
        "decision": lambda: made.fit(None, None, None, None),
        "stage": lambda: made.estimator(0),
        "metric": lambda: made.score(None, None, None, None),
        "adapter": lambda: made.tidy(Path()),
    }[role.role]
    with pytest.raises(NotImplementedError):
        method()


def test_what_a_role_says_by_itself():
    assert FeatureFusion().needs == ("vector",)
    assert (FeatureFusion().arity, FeatureFusion().symmetric, FeatureFusion().objections({})) == ((2, 0), False, ())
    assert (DecisionFusion().arity, DecisionFusion().per_view) == ((1, 0), False)
    assert not Modality().is_image
    assert Metric().larger_is_better
    assert (SecondStage().trusts, SecondStage().calibrate, SecondStage.suffix) == ((), "auto", "skops")
    assert (Reader().dtype, Reader().files(None), Reader().fingerprint()) == ("float32", (), "")
    assert Reader().flags(["row", "row"]) == ("", "")
    assert FlowShape(8) == (8, (), None)


def test_an_encoder_that_ships_no_weights_refuses_a_path_and_leaves_pretrained_alone():
    assert TinyConvNet2D().start(None, "pretrained") is None
    with pytest.raises(SpecError, match=r"'tiny-conv-net2-d' cannot start from 'x\.safetensors'"):
        TinyConvNet2D().start(None, "x.safetensors")


def test_the_language_loads_nothing_heavy():
    heavy = ("torch", "pandas", "scipy", "sklearn", "pyarrow", "PIL", "timm", "kornia", "xgboost")
    code = f"import sys, mmfuse.parts, mmfuse.spec; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_door_names_nothing_twice_and_refuses_what_it_has_not():
    assert len(mmfuse.__all__) == len(set(mmfuse.__all__))
    assert set(dir(mmfuse)) == set(mmfuse.__all__)
    with pytest.raises(AttributeError, match="no public name 'Nonsense'"):
        _ = mmfuse.Nonsense
