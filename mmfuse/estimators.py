"""Fitted scikit-learn estimators on disk, without pickle (law 10): skops, whose every type is checked before anything
is made.

Trusted are the classes of a closed list, and those that the part which made the estimator names in its code. Functions,
methods and whatever calls one are never trusted, wherever they come from: a file that names one is refused. What is
written depends on the estimator alone, so that equal runs are equal byte for byte.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmfuse.errors import PartError, RunError

FILE_MODULE = "mmfuse_file_"
"""What the modules of plugins that are single files are called; the file's name and digest follow."""

TRUSTED: Mapping[str, tuple[str, ...]] = {
    "sklearn.calibration": ("CalibratedClassifierCV", "_CalibratedClassifier", "_SigmoidCalibration"),
    "sklearn.compose": ("ColumnTransformer",),
    "sklearn.decomposition": ("KernelPCA", "PCA", "TruncatedSVD"),
    "sklearn.discriminant_analysis": ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"),
    "sklearn.dummy": ("DummyClassifier",),
    "sklearn.ensemble": (
        "AdaBoostClassifier", "BaggingClassifier", "ExtraTreesClassifier", "RandomForestClassifier",
        "StackingClassifier", "VotingClassifier",
    ),
    "sklearn.feature_selection": ("VarianceThreshold",),
    "sklearn.impute": ("KNNImputer", "MissingIndicator", "SimpleImputer"),
    "sklearn.isotonic": ("IsotonicRegression",),
    "sklearn.linear_model": (
        "LogisticRegression", "LogisticRegressionCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier",
    ),
    "sklearn.linear_model._sgd_fast": ("Hinge", "ModifiedHuber", "SquaredHinge"),
    "sklearn._loss._loss": ("CyHalfBinomialLoss",),
    "sklearn.multiclass": ("OneVsOneClassifier", "OneVsRestClassifier"),
    "sklearn.naive_bayes": ("BernoulliNB", "CategoricalNB", "ComplementNB", "GaussianNB", "MultinomialNB"),
    "sklearn.metrics._dist_metrics": ("EuclideanDistance64",),
    "sklearn.neighbors": ("BallTree", "KDTree", "KNeighborsClassifier", "NearestCentroid"),
    "sklearn.neural_network": ("MLPClassifier",),
    "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer"),
    "sklearn.pipeline": ("FeatureUnion", "Pipeline"),
    "sklearn.preprocessing": (
        "Binarizer", "KBinsDiscretizer", "KernelCenterer", "LabelBinarizer", "LabelEncoder", "MaxAbsScaler",
        "MinMaxScaler", "Normalizer", "OneHotEncoder", "OrdinalEncoder", "PolynomialFeatures", "PowerTransformer",
        "QuantileTransformer", "RobustScaler", "StandardScaler",
    ),
    "sklearn.svm": ("LinearSVC", "NuSVC", "SVC"),
    "sklearn.tree": ("DecisionTreeClassifier", "ExtraTreeClassifier"),
    "sklearn.tree._tree": ("Tree",),
    "sklearn.utils": ("Bunch",),
}  # fmt: skip
"""{module: its classes} of scikit-learn that are trusted; each name is resolved where it is imported from."""

PLAIN = frozenset(
    [f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "int", "list", "set", "slice", "str", "tuple")]
    + [f"builtins.{name}" for name in ("NoneType",)]
    + [f"numpy.{name}" for name in (
        "bool", "bool_", "dtype", "float16", "float32", "float64", "int16", "int32", "int64", "int8", "intp",
        "ndarray", "object_", "str_", "uint16", "uint32", "uint64", "uint8",
    )]
    + ["numpy.random.mtrand.RandomState", "scipy.sparse._csr.csr_matrix", "scipy.sparse._csr.csr_array"]
)  # fmt: skip
"""Values, arrays and what holds them."""

LOADERS = frozenset(
    {
        "BytesNode", "CachedNode", "DTypeNode", "DictNode", "JsonNode", "ListNode", "LossNode", "NdArrayNode",
        "ObjectNode", "RandomStateNode", "SetNode", "SliceNode", "SparseMatrixNode", "TreeNode", "TupleNode",
        "TypeNode",
    }
)  # fmt: skip
"""What skops may do with an entry of a file. Not among them: what refers to a function or a method, or calls one."""

PROTOCOL = 2
"""Of the files; older ones are read by other code of skops."""
SCHEMA = "schema.json"
LARGEST = 2**28
"""Bytes of a schema; a forest of 300 trees has some three million."""
DATE = (1980, 1, 1, 0, 0, 0)
"""Of every entry of a file."""


def untrusted(types: Iterable[str], trusts: Iterable[str] = ()) -> list[str]:
    """Return those of `types` (`module.Class`) that are neither in the closed list nor named in `trusts`."""
    named = {*trusts}
    return sorted(
        name
        for name in {*types}
        if name not in PLAIN and not ((name in named and _may_be_class(name)) or _is_listed(name))
    )


def _may_be_class(name: str) -> bool:
    """Whether a name is that of a class; also where it is of nothing here, which cannot be made anyway."""
    module, _, short = name.rpartition(".")
    try:
        return isinstance(getattr(importlib.import_module(module), short), type)
    except (ImportError, AttributeError, ValueError):
        return True


def _is_listed(name: str) -> bool:
    """Whether a class is one of `TRUSTED`, under the module that defines it."""
    _, _, short = name.rpartition(".")
    for module in (module for module, classes in TRUSTED.items() if short in classes):
        try:
            found = getattr(importlib.import_module(module), short)
        except (ImportError, AttributeError):  # of another version of scikit-learn
            continue
        if isinstance(found, type) and name == f"{found.__module__}.{found.__qualname__}":
            return True
    return False


def save(estimator: Any, path: Path, trusts: tuple[str, ...] = ()) -> None:  # noqa: ANN401  # scikit-learn has no common type
    """Write a fitted estimator; the same estimator gives the same bytes.

    Raises: PartError naming what could not be loaded again.
    """
    import skops.io

    content = skops.io.dumps(estimator)
    _refuse(content, trusts, PartError, path)
    Path(path).write_bytes(_steady(content))


def refuse_untrusted(estimator: Any, trusts: tuple[str, ...], where: str) -> None:  # noqa: ANN401
    """Raises: PartError naming what an estimator holds that could not be loaded again; `where` is the plan's line."""
    import skops.io

    _refuse(skops.io.dumps(estimator), trusts, PartError, where)


def load(path: Path, trusts: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
    """Read what `save` wrote. `trusts` are classes, as `module.Class`, that the reader's own code trusts.

    Raises: RunError if the file is missing, broken, or names anything that is not trusted (which is named).
    """
    import skops.io

    try:
        content = _of_edited_files(Path(path).read_bytes(), trusts)
    except Exception as error:  # a broken archive shows itself in many ways
        raise _broken(error, path) from error
    _refuse(content, trusts, RunError, path)
    try:
        # All of it is trusted by now: skops itself keeps a shorter list.
        return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    except Exception as error:
        raise _broken(error, path) from error


def _broken(error: Exception, path: Path) -> RunError:
    return RunError(f"cannot be read: {error}", "an estimator that mmfuse stored", "copy the run again", str(path))


def _schema(content: bytes) -> dict[str, Any]:
    """What skops reads of a file before it makes anything. Raises: ValueError for one that unpacks to more than
    `LARGEST`, and whatever a broken archive raises."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (size := archive.getinfo(SCHEMA).file_size) > LARGEST:
            raise ValueError(f"a schema of {size} bytes")
        return dict(json.loads(archive.read(SCHEMA)))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  # JSON
    """Every entry of a schema, in its order."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += reversed(node.values())
        elif isinstance(node, list):
            waiting += reversed(node)


def _refuse(content: bytes, trusts: Iterable[str], error: type[PartError] | type[RunError], where: Path | str) -> None:
    """Raises: `error` if a file is of another protocol, or names a function, or a class that is not trusted."""
    schema, found, types = _schema(content), set(), set()
    if not isinstance(schema.get("protocol"), int) or schema["protocol"] < PROTOCOL:
        found.add(f"a file of protocol {schema.get('protocol')}")
    for node in _nodes(schema):
        if not {"__class__", "__module__", "__loader__"} & {*node}:
            continue
        name, loader = f"{node.get('__module__')}.{node.get('__class__')}", str(node.get("__loader__"))
        types.add(name)
        if loader not in LOADERS:
            found.add(f"{name} as a {loader}")
    found.update(untrusted(types, trusts))
    if found:
        raise error(
            f"holds {', '.join(sorted(found))}, which are not trusted",
            "classes of mmfuse's closed list, or of `trusts` of the stage's part; never functions",
            "name a class there if you trust its module, else do not use this file; a class beside the part is"
            ' `f"{__name__}.CLASS"`',
            str(where),
        )


def _of_edited_files(content: bytes, trusts: Iterable[str]) -> bytes:
    """What is stored, with a class of a plugin's file under the name that the file's module has now: the digest in it
    is another one once the file was edited, or the file is called otherwise. It has to be trusted as that.

    Raises: whatever a broken archive raises.
    """
    schema = _schema(content)
    now = {name.rpartition(".")[2]: name.rpartition(".")[0] for name in trusts if name.startswith(FILE_MODULE)}
    moved = False
    for node in _nodes(schema):
        home, kind = str(node.get("__module__", "")), node.get("__class__")
        if home.startswith(FILE_MODULE) and now.get(str(kind), home) != home:
            node["__module__"], moved = now[str(kind)], True
    if not moved:
        return content
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, DATE), json.dumps(schema) if name == SCHEMA else old.read(name))
    return made.getvalue()


def _steady(content: bytes) -> bytes:
    """The same archive with entries in the order of its schema, under numbers instead of addresses, of one date."""
    schema = _schema(content)
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if isinstance(node.get("file"), str) and "__loader__" in node:
            name = node["file"]
            node["file"] = names.setdefault(name, f"{len(names) + 1}{Path(name).suffix}")
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name, short in names.items():
            new.writestr(zipfile.ZipInfo(short, DATE), old.read(name))
        new.writestr(zipfile.ZipInfo(SCHEMA, DATE), json.dumps(schema, indent=2))
    return made.getvalue()
