"""The house plan: dependencies point downwards, and some things are nowhere."""

import ast
from pathlib import Path

import pytest

import gram_ppl

ROOT = Path(gram_ppl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = [
    "types configuration",
    "nn tasks",
    "model",
    "infer",
    "select",
    "diagnostics",
    "train",
    "baselines",
    "__init__",
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}


def layer(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree):
    """Yield the dotted name of everything a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(ROOT)))
def source(request):
    return request.param, ast.parse(request.param.read_text())


def test_the_walk_finds_the_package():
    assert {layer(path) for path in FILES} == set(RANK)
    assert len(FILES) > 20


def test_imports_point_downwards(source):
    path, tree = source
    for name in imported(tree):
        assert not name.startswith("."), f"relative import {name}: write it out"
        package, _, rest = name.partition(".")
        if package == "gram_ppl":
            other = rest.split(".")[0]
            assert other in RANK, f"{name} is in no layer: import from the module that defines it"
            mine = RANK[layer(path)]
            assert RANK[other] < mine or other == layer(path), f"{name} lies above {layer(path)}"


def test_only_the_datatree_knows_arviz(source):
    path, tree = source
    knows = any(name.split(".")[0] == "arviz" for name in imported(tree))
    assert not knows or path == ROOT / "diagnostics" / "datatree.py"


def test_only_models_inference_and_training_know_pyro(source):
    path, tree = source
    knows = any(name.split(".")[0] == "pyro" for name in imported(tree))
    assert not knows or layer(path) in ("model", "infer", "train")


def test_no_pickle_is_loaded(source):
    _, tree = source
    assert not {name.split(".")[0] for name in imported(tree)} & {"pickle", "dill", "joblib", "cloudpickle"}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"torch.load", "load_state_dict_from_url", "eval", "exec"}


def test_no_error_is_swallowed_unseen(source):
    _, tree = source
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    assert all(handler.type is not None for handler in handlers)
    assert not any(ast.unparse(handler.type) in ("Exception", "BaseException") for handler in handlers)


def test_errors_are_raised_and_not_asserted(source):
    _, tree = source
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))


def test_no_module_is_called_utils(source):
    path, tree = source
    assert "util" not in path.stem
    assert not any(name.startswith("gram_ppl") and "util" in name for name in imported(tree))


def test_no_device_is_named(source):
    _, tree = source
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "device":
            assert not isinstance(node.value, ast.Constant) or node.value.value is None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "cuda"


def test_the_table_of_contents_lists_every_public_name():
    names = set(gram_ppl.__all__)
    assert len(names) == len(gram_ppl.__all__)
    assert all(getattr(gram_ppl, name) is not None for name in names)
    defined = {name for name in vars(gram_ppl) if not name.startswith("_")}
    packages = {path.stem for path in ROOT.iterdir()}
    assert defined - packages <= names
