"""What is built and installed: four packages of one version, whole, that say what they need."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions, version
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from meatus import __version__
from tests.meatus.tiny_runs import save_scan
from tests.test_architecture import FOLDERS, MODULES, ROOT

# Of what is imported only where it is there, or is asked for by an extra.
OPTIONAL = {
    "meatus": {"distributed", "fastapi", "uvicorn"},
    "meatus_evaluation": {"medpy"},
    "meatus_training": {"monai", "nncf", "nnunetv2"},
}

WHERE = "import meatus, sys; print(meatus.__file__, 'torch' in sys.modules)"


def project(package):
    return tomllib.loads((ROOT / FOLDERS[package] / "pyproject.toml").read_text())["project"]


def declared(package):
    """The distributions that ``package`` asks for, by name."""
    found = [Requirement(line) for line in project(package)["dependencies"]]
    return {canonicalize_name(one.name): one.specifier for one in found}


def pins():
    """Every package that the two requirements files name."""
    text = "".join(
        (ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")
    )
    return {
        canonicalize_name(name): number
        for name, number in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def built(folder, kind, out):
    """The wheel or sdist of the package in ``folder``, as its build backend makes it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    ending = {"wheel": "*.whl", "sdist": "*.tar.gz"}[kind]
    (file,) = out.glob(ending)
    return file


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A wheel of each package."""
    folder = tmp_path_factory.mktemp("wheels")
    return {
        package: built(ROOT / place, "wheel", folder / package)
        for package, place in FOLDERS.items()
    }


def names_in(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


def test_all_packages_have_the_version_that_stands_in_one_file():
    assert {version(project(package)["name"]) for package in FOLDERS} == {__version__}
    for package in FOLDERS:
        assert "version" in project(package)["dynamic"]


@pytest.mark.parametrize("package", FOLDERS)
def test_a_package_declares_what_it_imports(package):
    files = [file for name, file in MODULES.items() if name.split(".")[0] == package]
    imported = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    foreign = imported - sys.stdlib_module_names - OPTIONAL.get(package, set()) - {package}

    whose = packages_distributions()  # editable ones, which are ours, are not among them
    missing = {
        name
        for name in foreign
        if not set(map(canonicalize_name, whose.get(name, [name]))) & declared(package).keys()
    }
    assert missing == set()


@pytest.mark.parametrize("package", FOLDERS)
def test_what_is_tested_lies_within_the_declared_ranges(package):
    for name, allowed in declared(package).items():
        tested = __version__ if name.startswith("meatus") else pins()[name]
        assert tested in allowed, name


@pytest.mark.parametrize("package", FOLDERS)
def test_a_package_bears_the_projects_licence(package):
    assert (ROOT / FOLDERS[package] / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_citation_names_the_project():
    card = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert (card["title"], card["license"]) == ("Meatus", "Apache-2.0")
    assert card["authors"] == [{"name": "Meatus contributors"}]


@pytest.mark.parametrize("package", FOLDERS)
def test_a_wheel_holds_the_package_with_its_data_and_no_more(package, wheels):
    names = names_in(wheels[package])

    folder = ROOT / FOLDERS[package]
    files = {
        str(file.relative_to(folder))
        for file in (folder / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    inside = {name for name in names if name.startswith(f"{package}/")}
    weights = {name for name in inside if name.startswith("meatus/shipped_weights/")}
    assert inside - weights == files
    told = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert names - inside == {f"{package}-{__version__}.dist-info/{name}" for name in told}
    shipped = {
        "manifest.json",
        "MODEL_CARD.md",
        *(file.name for file in (ROOT / "weights").glob("*.onnx")),
    }
    assert {Path(name).name for name in weights} == (shipped if package == "meatus" else set())


@pytest.mark.parametrize("package", FOLDERS)
def test_a_wheel_from_the_sdist_is_the_same(package, wheels, tmp_path):
    with tarfile.open(built(ROOT / FOLDERS[package], "sdist", tmp_path / "sdist")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob(f"{package}-*")

    wheel = built(folder, "wheel", tmp_path / "wheel")

    one, other = zipfile.ZipFile(wheels[package]), zipfile.ZipFile(wheel)
    assert names_in(wheel) == names_in(wheels[package])
    for name in one.namelist():
        assert name.endswith("RECORD") or one.read(name) == other.read(name), name


def test_the_slim_wheel_labels_a_scan_from_another_folder(wheels, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=os.name != "nt")
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *options, wheels["meatus"]],
        check=True,
    )
    # The packages that ours needs; what is installed editable here stays unknown there.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    borrowed = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "borrowed.pth").write_text("\n".join(borrowed))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    scan = save_scan(elsewhere / "a_T2.nii.gz")

    def run(*command):
        variables = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(part) for part in command],
            cwd=elsewhere, env=variables, capture_output=True, text=True,
        )  # fmt: skip

    where = run(python, "-c", WHERE)
    labelled = run(python.with_name("meatus"), "predict", scan.name, "out", "--quality", "fast")

    assert where.stdout.split() == [str(packages / "meatus" / "__init__.py"), "False"], where.stderr
    assert (labelled.returncode, labelled.stderr) == (0, "")
    labels = nib.load(elsewhere / "out" / "a.nii.gz")
    assert labels.shape == nib.load(scan).shape
    assert labels.get_data_dtype() == np.uint8
    told = run(python.with_name("meatus"), "info")
    assert "weights phantom-a.onnx: SHA-256 as in the manifest" in told.stdout
