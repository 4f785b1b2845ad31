"""What the program never does: reach for the network, run what it reads, name a patient."""

import ast
import json
import shutil
import subprocess
import sys

import pytest

from meatus.service.path_scrubbing import HIDDEN, name_hider
from tests.meatus.tiny_runs import ROOT, run, run_here, save_scan, write_weights

SOURCES = sorted((ROOT / "inference" / "meatus").rglob("*.py"))
UNSAFE_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"),
    *("subprocess", "pty", "code", "runpy", "yaml"),
    *("socket", "ssl", "http", "urllib", "urllib3", "requests", "httpx", "ftplib", "smtplib"),
}
HARMLESS = {"urllib.parse"}  # quotes text, reaches for nothing
# The viewer's page listens on this machine alone; tests/meatus/viewer see to that.
ALLOWED = {"inference/meatus/viewer/commands.py": {"socket"}}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "os.fork", "os.posix_spawn", "os.startfile"),
    *("np.load", "numpy.load"),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def unsafe(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in UNSAFE_CALLS or called.startswith(("os.exec", "os.spawn")):
                yield called
            if any(word.arg in ("shell", "allow_pickle") for word in node.keywords):
                yield ast.unparse(node)
            continue
        else:
            continue
        yield from (
            name
            for name in names
            if name.partition(".")[0] in UNSAFE_MODULES and name not in HARMLESS
        )


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_pickle_no_eval_no_shell_no_network(file):
    allowed = ALLOWED.get(file.relative_to(ROOT).as_posix(), set())
    assert set(unsafe(ast.parse(file.read_text()))) <= allowed


UNSAFE_LINES = (
    "import pickle",
    "from urllib.request import urlopen",
    "eval(text)",
    "os.system('ls')",
    "os.execv(path, [])",
    "np.load(path)",
    "read(path, allow_pickle=True)",
)


@pytest.mark.parametrize("line", UNSAFE_LINES)
def test_an_unsafe_line_would_be_found(line):
    assert list(unsafe(ast.parse(line)))


def test_a_run_needs_no_network(tmp_path, weights):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    save_scan(tmp_path / "a_T2.nii.gz")
    arguments = ("predict", tmp_path, tmp_path / "out", "--weights", weights)

    done = run(*arguments, wrapper=("unshare", "-rn"))

    if done.stderr.startswith("unshare:"):
        pytest.skip("this user may not make a network namespace here")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "a.nii.gz").exists()


def secret_folder(tmp_path):
    """Scans that are named after patients: two good ones, one damaged, one that is no image."""
    folder = tmp_path / "Prof. Kowalski" / "Nowak Jan"
    folder.mkdir(parents=True)
    save_scan(folder / "Anna Müller_T2.nii.gz")
    save_scan(folder / "Zoë_T2.nii.gz")
    cut = save_scan(folder / "Peter's_T2.nii.gz")
    cut.write_bytes(cut.read_bytes()[:2000])
    (folder / "Maria.mha").write_bytes(b"no image")
    (folder / "Orłowska_T2.nii.gz").symlink_to(folder / "vanished.nii.gz")
    return folder


NAMES = ("Kowalski", "Nowak", "Anna", "Müller", "Zo", "Peter", "Maria", "Or", "vanished", "_T2")


def test_an_anonymous_log_calls_cases_by_number(tmp_path, weights):
    folder = secret_folder(tmp_path)
    out = tmp_path / "Prof. Kowalski" / "out"

    done = run("predict", folder, out, "--weights", weights, "--anonymous-log")

    for stream in (done.stdout, done.stderr):
        assert not [name for name in NAMES if name in stream], stream
        assert str(tmp_path) not in stream
    assert done.returncode == 1
    assert "[1/5] case 1  no VS, cochleae 2, check: no tumour found  " in done.stdout
    assert {line[:15] for line in done.stderr.splitlines()} == {
        "error: case 2: ",
        "error: case 3: ",
        "error: case 4: ",
    }
    assert (out / "Anna Müller.nii.gz").exists()


def test_an_anonymous_log_hides_names_when_nothing_starts(tmp_path, weights):
    twins, out = secret_folder(tmp_path), tmp_path / "out"
    save_scan(twins / "Zoë_0000.nii.gz")
    (tmp_path / "Kowalski").mkdir()
    wrong = (
        (twins, "--weights", weights),
        (tmp_path / "Kowalski", "--weights", weights),
        (tmp_path / "Nowak Jan_T2.nii.gz", "--weights", weights),
        (twins / "Maria.mha", "--weights", tmp_path / "Peter"),
        (twins / "Maria.mha", "--weights", weights, "--debug"),
    )
    for source, *more in wrong:
        done = run_here("predict", source, out, *more, "--anonymous-log")

        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1
        assert not [name for name in NAMES if name in done.output], done.output


def test_an_anonymous_log_can_be_asked_for_by_the_environment(tmp_path, weights):
    save_scan(tmp_path / "Anna_T2.nii.gz")

    done = run(
        *("predict", tmp_path, tmp_path / "out", "--weights", weights, "--quality", "fast"),
        MEATUS_ANONYMOUS_LOG="1",
    )

    assert done.returncode == 0
    assert "[1/1] case 1  " in done.stdout
    assert "Anna" not in done.stdout + done.stderr


def test_an_anonymous_log_holds_on_grand_challenge_too(tmp_path, weights):
    socket = {"slug": "t2", "relative_path": "images/t2"}
    (tmp_path / "images" / "t2").mkdir(parents=True)
    (tmp_path / "images" / "t2" / "Maria.mha").write_bytes(b"no image")
    (tmp_path / "inputs.json").write_text(json.dumps([{"socket": socket}]))

    done = run("predict", tmp_path, tmp_path / "o", "--weights", weights, "--anonymous-log")

    assert done.returncode == 1
    assert done.stderr.startswith("error: case 1: ")
    assert "Maria" not in done.stdout + done.stderr


def test_known_names_and_whatever_looks_like_a_path_are_hidden(tmp_path):
    hide = name_hider([tmp_path], [tmp_path / "Anna M_T2.nii.gz"])

    assert hide(f"{tmp_path}/Anna M_T2.nii.gz: 4 x 4") == f"{HIDDEN}: 4 x 4"
    assert hide("case Anna M is cut") == f"case {HIDDEN} is cut"
    assert hide("no '/other place/x' or b.mha.") == f"no {HIDDEN} or {HIDDEN}."
    assert hide("no ../place/x: gone") == f"no {HIDDEN} gone"
    assert hide("1.5 mm/s, 3/4 and/or") == "1.5 mm/s, 3/4 and/or"


def test_openvino_is_imported_without_its_telemetry():
    code = (
        "from meatus.engines.openvino_cpu import openvino_module\n"
        "import sys; openvino_module()\n"
        "sys.exit(any(name.startswith('openvino_telemetry') and module is not None"
        " for name, module in sys.modules.items()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
