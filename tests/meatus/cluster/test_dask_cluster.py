"""Cases shared by the workers of a Dask cluster, of which one is killed in the middle."""

from functools import partial

import dask
import distributed  # noqa: F401 (it fills the configuration that a test changes)
import nibabel as nib
import pytest

from meatus.cluster import dask_cluster
from meatus.cluster.dask_cluster import on_cluster
from meatus.cluster.work import Work, leave_work
from meatus.errors import UsageError
from meatus.service.cases import Case
from meatus.service.output_folder import open_output_folder
from meatus.service.request import Request
from tests.meatus.cluster.deadly import label_or_die
from tests.meatus.tiny_runs import run, save_scan, write_weights


@pytest.mark.filterwarnings("default")  # of Dask, on workers that it did not expect to lose
def test_a_case_whose_worker_dies_is_labelled_by_another_and_one_that_kills_them_all_is_given_up(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(dask_cluster, "MANY", 0)  # as of many cases: two at once
    monkeypatch.setattr(dask_cluster, "BATCH", 2)
    weights, out = write_weights(tmp_path), tmp_path / "out"
    (tmp_path / "died").mkdir()
    jobs = [
        (Case(name, save_scan(tmp_path / f"{name}_T2.nii.gz"), out / f"{name}.nii.gz"), ("nifti",))
        for name in "abcd"
    ]
    request = Request(
        tmp_path, out, device="cpu", quality="fast", threads=1, report=tmp_path / "report"
    )
    label = partial(label_or_die, Work(request, weights, out), str(tmp_path / "died"))

    # A case that two deaths beside it took along is no killer: it must not be given up for them.
    with dask.config.set({"distributed.scheduler.allowed-failures": 3}):
        outcomes = dict(on_cluster(label, jobs, "local:2", leave_work))

    told = {case.name: outcome and outcome.error for (case, _), outcome in outcomes.items()}
    assert {name: told[name] for name in "abd"} == dict.fromkeys("abd")
    assert outcomes[jobs[2]] is None
    assert outcomes[jobs[0]].measures.cochleas == 2
    assert [outcome.result for outcome in outcomes.values() if outcome] == [None] * 3
    with open_output_folder(out):  # as label_elsewhere does at the end
        pass
    assert sorted(file.name for file in out.iterdir()) == ["a.nii.gz", "b.nii.gz", "d.nii.gz"]
    assert nib.load(out / "b.nii.gz").get_fdata().max() == 3
    assert sorted(file.name for file in (tmp_path / "report" / "cases").glob("*.json")) == [
        "a.json", "b.json", "d.json",
    ]  # fmt: skip


@pytest.mark.parametrize("cluster", ["local:", "local:0", "local:-1", "local:x", "local:٣"])
def test_what_names_no_cluster_is_told(cluster):
    with pytest.raises(UsageError, match="expected local:N, as local:4, or an address"):
        next(iter(on_cluster(abs, [1], cluster)))


def test_an_address_without_a_scheduler_ends_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("meatus.cluster.dask_cluster.PATIENCE_S", 1.0)

    with pytest.raises(UsageError, match="no scheduler of Dask answers there") as caught:
        next(iter(on_cluster(abs, [1], "tcp://127.0.0.1:9")))

    assert "\n" not in str(caught.value)


def test_predict_shares_its_cases_among_workers(tmp_path):
    weights = write_weights(tmp_path)
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / "a_T2.nii.gz")
    (tmp_path / "in" / "b_T2.nii.gz").write_bytes(b"no scan")

    done = run(
        "predict", tmp_path / "in", tmp_path / "out", "--weights", weights, "--device", "cpu",
        "--quality", "fast", "--cluster", "local:1", "--report", tmp_path / "report",
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: b: ")
    assert "1 of 2 cases done, 1 failed" in done.stdout
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.nii.gz"]
    assert "a,done," in (tmp_path / "report" / "report.csv").read_text()
