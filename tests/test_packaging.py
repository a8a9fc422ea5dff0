"""What is installed, and where the configuration is found from there."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import gram_ppl
from gram_ppl import configuration

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from a copy of the checkout, without network."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("gram_ppl", "configs", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (path,) = built.glob("gram_ppl-*.whl")
    return path


def load_from(folder: Path):
    """Import a copy of the configuration module that lies in ``folder/gram_ppl``."""
    package = folder / "gram_ppl"
    package.mkdir(exist_ok=True)
    shutil.copy(configuration.__file__, package)
    spec = importlib.util.spec_from_file_location("relocated", package / "configuration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_editable_layout_uses_the_configs_of_the_checkout(tmp_path):
    (tmp_path / "configs").mkdir()
    assert load_from(tmp_path).config_path() == tmp_path / "configs"


def test_wheel_layout_prefers_the_configs_of_the_package(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "gram_ppl" / "configs").mkdir(parents=True)
    assert load_from(tmp_path).config_path() == tmp_path / "gram_ppl" / "configs"


def test_missing_configs_say_where_they_were_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected Hydra configs in"):
        load_from(tmp_path).config_path()


def test_this_installation_finds_the_configs():
    assert configuration.config_path() == ROOT / "configs"


def test_installed_version_is_that_of_the_package():
    assert metadata.version("gram-ppl") == gram_ppl.__version__


def test_wheel_holds_package_configs_and_typing_marker_only(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "gram_ppl").rglob("*.py")}
    configs = {f"gram_ppl/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert expected | configs | {"gram_ppl/py.typed"} <= names
    assert {name.split("/")[0] for name in names} == {"gram_ppl", f"gram_ppl-{gram_ppl.__version__}.dist-info"}
    assert all(
        name.endswith((".py", ".yaml", "py.typed", ".gitkeep")) for name in names if name.startswith("gram_ppl/")
    )


def test_wheel_finds_its_own_configs(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "from gram_ppl.configuration import config_path; print(config_path())"
    command = [sys.executable, "-P", "-c", program]
    run = subprocess.run(
        command, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(run.stdout.strip()) == tmp_path / "gram_ppl" / "configs"
