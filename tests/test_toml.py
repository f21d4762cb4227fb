"""TOML files and Python say the same: reading, writing, recipes by name, `--set`; faults name file and line."""

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from specs import CARD, PLAN, tree

import mmfuse
from mmfuse import (
    AugmentLine,
    BestEpoch,
    Card,
    CasesSection,
    ColumnLine,
    DecisionLine,
    EncoderLine,
    FoldColumn,
    LabelLine,
    NetworkSection,
    Plan,
    PredictionSection,
    SourceSection,
    Spec,
    SplitSection,
    TrainingSection,
)
from mmfuse.errors import SpecError
from mmfuse.hooks import hookimpl
from mmfuse.toml import again, dump, load, load_card, load_plan, parse_value, set_value

CATALOG = mmfuse.Catalog(installed=False)


def part(role, name, **knobs):
    return CATALOG.find(role, name)(**knobs)


@pytest.fixture
def files(tmp_path):
    """(plan, card) as files."""
    plan, card = tmp_path / "plan.toml", tmp_path / "cases.toml"
    plan.write_text(PLAN, encoding="utf-8")
    card.write_text(CARD, encoding="utf-8")
    return plan, card


def in_python():
    """What CARD and PLAN say."""
    card = Card(
        cases=CasesSection(
            id="lesion_id", case_is="lesion", group="patient_id", root="images", missing=("", "not available")
        ),
        labels={
            "diagnosis": ["bcc", "nevus", "melanoma"],
            "streaks": LabelLine(
                classes=("absent", "regular", "irregular"), column="streaks_raw", ordered=True, weight=0.5
            ),
        },
        modalities={
            "clinic": part("modality", "image", column="clinic", size=64),
            "derm": part(
                "modality", "image", column="derm", size=(32, 48), steps=(part("step", "border-crop", pixels=25),)
            ),
            "meta": part("modality", "table", categorical=("sex", "location"), numeric=("age",)),
        },
        columns={"management": ColumnLine(known="after the diagnosis")},
        split=SplitSection(column="split"),
        source=SourceSection(name="drawn", licence="CC0-1.0", cite="nobody"),
    )
    plan = Plan(
        seed=7,
        augment={"geometry": AugmentLine(part=part("augmentation", "geometry"), on="image")},
        network=NetworkSection(
            encoders={
                "image": EncoderLine(part=part("encoder", "timm", model="resnet18"), weights="none", share=True),
                "meta": EncoderLine(part=part("encoder", "mlp", widths=(16, 8)), weights="none"),
            },
            fusion=part("fusion", "concat"),
            head=part("head", "mlp", widths=(32, 8), dropout=0.3),
            side_heads=True,
        ),
        training=TrainingSection(
            epochs=3,
            batch=8,
            lr=3e-5,
            loss=part("loss", "cross-entropy", class_weight="balanced"),
            best=BestEpoch(metric="log-loss", sources="fused"),
            modality_dropout=0.2,
            folds=FoldColumn(column="half", predict="b"),
        ),
        prediction=PredictionSection(views=("identity", "flip-x")),
        decisions={
            "scheme1": DecisionLine(part=part("decision", "simplex"), reads=("fused", "image")),
            "scheme2": DecisionLine(
                part=part("decision", "weighted", shares=(2.0, 1.0)), reads=("fused", "meta"), learn="train"
            ),
            "final": DecisionLine(part=part("decision", "simplex", objective="log-loss"), reads=("scheme1", "scheme2")),
        },
    )
    return Spec(card=card, plan=plan)


def test_python_and_toml_compare_equal(files):
    assert in_python() == Spec.load(*files)
    assert in_python().card == load_card(files[1])
    assert in_python().plan == load_plan(files[0])


def test_what_is_written_reads_as_the_same(files, tmp_path):
    spec = Spec.load(*files)
    (tmp_path / "spec.toml").write_text(dump(spec), encoding="utf-8")
    assert Spec.load(tmp_path / "spec.toml") == spec
    assert load_card(tomllib.loads(dump(spec.card))) == spec.card
    assert load_plan(tomllib.loads(dump(spec.plan))) == spec.plan
    assert dump(Spec.load(tmp_path / "spec.toml")) == dump(spec)


def test_what_is_written_is_complete(files):
    text = dump(Spec.load(*files))
    for words in ('optimiser = "adamw"', "warmup = 0.0", 'normalise = "model"', 'learn = "auto"', "ordered = true"):
        assert words in text


def test_trees_in_python_will_do_and_are_left_alone():
    raw = tree()
    assert load(raw).plan.training.loss == part("loss", "cross-entropy")
    load(raw, sets=["seed=3", "training.epochs=2"])
    assert raw == tree()
    built = {"clinic": part("modality", "image", column="clinic", size=16), "meta": raw["modalities"]["meta"]}
    assert load({**raw, "modalities": built}).card.modalities["clinic"] == built["clinic"]


def test_built_trees_will_do():
    spec = in_python()
    assert load(spec.plan, spec.card) == spec
    assert load(spec.plan, spec.card, sets=["seed=8"]).plan.seed == 8


def test_a_section_of_the_plan_overrides_the_card(files):
    plan, card = files
    plan.write_text(PLAN + "\n[split]\nfractions = { train = 0.5, test = 0.5 }\n", encoding="utf-8")
    spec = Spec.load(plan, card)
    assert spec.card.split == SplitSection(fractions={"train": 0.5, "test": 0.5})
    assert spec.card.labels == in_python().card.labels


def test_a_recipe_is_known_by_name(tmp_path):
    class Ships:
        @hookimpl
        def mmfuse_recipes(self):
            path = tmp_path / "quick.toml"
            path.write_text('# Quick.\n[network]\nencoders.table = "linear"\nhead = "linear"\n')
            return [path]

    catalog = mmfuse.Catalog(Ships(), installed=False)
    card = {name: tree()[name] for name in ("cases", "labels", "modalities")}
    assert load("quick", card, catalog=catalog).plan.network.encoders["table"].part == part("encoder", "linear")
    with pytest.raises(SpecError, match=r"no recipe is called 'quik'(.|\n)*did you mean 'quick'"):
        load("quik", card, catalog=catalog)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"seed = 1\n[network\n", "line 2"),
        (b"seed = resnet18\n", "line 1"),
        (b"seed = 1\nseed = 2\n", "line 2"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_broken_toml_names_file_and_line(tmp_path, content, words):
    (tmp_path / "plan.toml").write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_plan(tmp_path / "plan.toml")
    assert str(tmp_path / "plan.toml") in str(caught.value)
    assert words in str(caught.value)


def test_files_that_are_not_there_or_are_folders(tmp_path):
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(SpecError, match=r"a TOML file"):
            load_card(path)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xef\xbb\xbfseed = 4\n")
    assert load_plan(tmp_path / "plan.toml").seed == 4


def test_unknown_sections_and_a_missing_card_are_told():
    with pytest.raises(SpecError, match=r"no section is called 'netwrok'\n  mend: did you mean 'network'\?"):
        load_plan({"netwrok": {}})
    with pytest.raises(SpecError, match="mmfuse describe TABLE"):
        load({"seed": 1})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("resnet18", "resnet18"),
        ("tf_efficientnet_lite0.in1k", "tf_efficientnet_lite0.in1k"),
        ("3", 3),
        ("3e-5", 3e-5),
        ("true", True),
        ("0017", "0017"),
        ("2020-01-31", "2020-01-31"),
        ("12:30:00", "12:30:00"),
        ('"quoted"', "quoted"),
        ('["a","b"]', ["a", "b"]),
        ("[fused,image]", ["fused", "image"]),
        ("[a-b, 'c d', 3, 1e-3, true]", ["a-b", "c d", 3, 1e-3, True]),
        ("{use=svm, C=2.0, kernel=linear}", {"use": "svm", "C": 2.0, "kernel": "linear"}),
        ("[half open", "[half open"),
        ("a=b", "a=b"),
        ("", ""),
        ("1\ny = 2", "1\ny = 2"),
    ],
)
def test_bare_words_are_text(word, value):
    assert parse_value(word) == value
    assert type(parse_value(word)) is type(value)


@given(st.text(max_size=20))
def test_any_word_is_some_value(word):
    value = parse_value(word)
    assert value == word or tomllib.loads(f"x = {word}") == {"x": value} or word[:1] in "[{"


def test_sets_reach_into_the_tree():
    sets = [
        "network.encoders.image.model=resnet18",
        "network.encoders.image.weights=none",
        "network.encoders.table.width=5",
        "network.head.widths=[4,2]",
        "network.head.use=mlp",
        "training.best.sources=[fused]",
        "labels.y.positive=no",
        "decisions.final={use=mean, reads=[fused]}",
        " split.column = split ",
    ]
    spec = load(tree(), sets=sets)
    assert spec.plan.network.encoders["image"].part.model == "resnet18"
    assert spec.plan.network.encoders["table"].part.width == 5
    assert spec.plan.network.head.widths == (4, 2)
    assert spec.card.labels["y"] == LabelLine(classes=("no", "yes"), positive="no")
    assert spec.plan.decisions["final"].reads == ("fused",)
    assert spec.card.split.column == "split"


def test_a_use_stands_for_all_its_modalities():
    spec = load(tree(), sets=["modalities.image.size=64", "modalities.derm.size=32"])
    assert (spec.card.modalities["clinic"].size, spec.card.modalities["derm"].size) == (64, 32)
    built = load(spec.plan, spec.card, sets=["modalities.image.size=48"])
    assert [built.card.modalities[name].size for name in ("clinic", "derm")] == [48, 48]


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("modalities.imag.size=64", "did you mean 'image'?"),
        ("network.encoders.derm.width=3", "known: image, table"),
        ("decisions.finale.step=0.5", "none is known here"),
    ],
)
def test_a_knob_of_a_line_that_is_not_there_is_refused_by_name(text, mend):
    with pytest.raises(SpecError) as caught:
        load(tree(), sets=[text])
    (fault,) = caught.value.faults
    assert fault.where == f"--set {text.partition('=')[0]}"
    assert mend in fault.mend
    whole = load(tree(), sets=["decisions.new.reads=fused", "decisions.new.use=mean"])  # in any order
    assert whole.plan.decisions["new"].reads == ("fused",)


def test_a_fault_names_the_file_or_the_set_that_it_stands_in(tmp_path):
    raw = tree()
    card = {name: raw.pop(name) for name in ("cases", "labels", "modalities")}
    raw["training"] = {"epochs": 0}
    card["cases"]["idd"] = "x"
    (tmp_path / "plan.toml").write_text(tomli_w.dumps(raw), encoding="utf-8-sig")
    (tmp_path / "card.toml").write_text(tomli_w.dumps(card).replace("\n", "\r\n"), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "plan.toml", tmp_path / "card.toml", sets=["training.batch=no", "nonsense.x=3", "seed"])
    assert {fault.where for fault in caught.value.faults} == {
        f"{tmp_path / 'plan.toml'}, training.epochs",
        f"{tmp_path / 'card.toml'}, cases.idd",
        "--set training.batch",
        "--set nonsense",
        "--set seed",
    }


def test_numbers_are_words_where_words_are_meant():
    raw = tree()
    raw["labels"] = {"y": {"classes": [0, 1], "positive": 0}, "z": [False, True]}
    raw["cases"]["missing"] = ["", -9]
    spec = load(raw)
    assert spec.card.labels["y"] == LabelLine(classes=("0", "1"), positive="0")
    assert spec.card.labels["z"].classes == ("false", "true")
    assert spec.card.cases.missing == ("", "-9")
    assert load(tomllib.loads(dump(spec))) == spec


@pytest.mark.parametrize(
    ("change", "where", "expected"),
    [
        ({"labels": {"y": "no, yes"}}, "labels.y", "a list of classes, or a table"),
        ({"modalities": {}}, "modalities", "[modalities], one line or more"),
        ({"cases": None}, "cases", "the name of the id's column, at least"),
        ({"cases": None, "modalities": None, "labels": None}, "", "[cases], [labels] and [modalities]"),
        ({"modalities": {"clinic": {"use": "imag"}}}, "modalities.clinic", ""),
    ],
)
def test_a_fault_of_the_card_brings_no_others_of_the_plan(change, where, expected):
    raw = {name: value for name, value in {**tree(), **change}.items() if value is not None}
    raw["network"]["encoders"].pop("table", None)
    with pytest.raises(SpecError) as caught:
        load(raw)
    assert [(fault.where, fault.expected) for fault in caught.value.faults] == [(where, expected)]


def test_sets_open_what_was_built_in_python():
    raw = {"network": {"head": part("head", "mlp", widths=(3,), dropout=0.5)}}
    set_value(raw, "network.head.widths=[4]")
    assert raw["network"]["head"]["widths"] == [4]
    assert raw["network"]["head"]["dropout"] == 0.5


@pytest.mark.parametrize("text", ["seed", "=3", "a..b=3", ".=3"])
def test_a_set_is_a_key_and_a_value(text):
    with pytest.raises(SpecError, match="KEY=VALUE"):
        set_value({}, text)


def test_a_part_survives_toml():
    derm = in_python().card.modalities["derm"]
    assert again(derm) == derm
