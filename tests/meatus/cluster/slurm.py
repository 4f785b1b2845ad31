"""A Slurm cluster of one node on this machine, with folders and keys of its own."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.programs import program

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
PATIENCE_S = 60


def _free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def slurm(folder):
    """The environment of Slurm's commands; the test is skipped where it does not start here."""
    os.environ["PATH"] += ":/usr/sbin"
    programs = [program(name, "slurm-wlm") for name in ("munged", "slurmctld", "slurmd", "sbatch")]
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(host=host, folder=folder, ports=_free_ports(2), cpus=os.cpu_count())
    )
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)
    environment = os.environ | {"SLURM_CONF": str(conf)}
    munged, slurmctld, slurmd, _ = programs
    commands = [
        [munged, "--foreground", "--force", f"--socket={folder}/munge.socket",
         f"--key-file={key}", f"--log-file={folder}/munge.log", f"--pid-file={folder}/munge.pid",
         f"--seed-file={folder}/munge.seed"],
        [slurmctld, "-D", "-f", str(conf)],
        [slurmd, "-D", "-f", str(conf), "-N", host],
    ]  # fmt: skip
    running = []
    try:
        for command in commands:
            log = (folder / f"{len(running)}.out").open("wb")
            running.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
            log.close()
            time.sleep(1)
        if not _ready(environment):
            pytest.skip(f"Slurm does not start here: {_why(folder)}")
        yield environment
    finally:
        for one in reversed(running):
            one.terminate()
        for one in running:
            one.wait(timeout=PATIENCE_S)


def _ready(environment):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        told = subprocess.run(
            [shutil.which("sinfo"), "--noheader", "--format=%T"],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if told.stdout.strip() == "idle":
            return True
        time.sleep(1)
    return False


def _why(folder):
    lines = [
        line
        for log in ("0.out", "1.out", "2.out")
        for line in (folder / log).read_text(errors="replace").splitlines()
        if "error" in line.lower()
    ]
    return lines[-1] if lines else "no reason given"
