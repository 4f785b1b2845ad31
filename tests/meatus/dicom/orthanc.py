"""A DICOM server of one's own, on this machine alone, for one test."""

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.programs import program

PATIENCE_S = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def orthanc(folder):
    """Its address; the test that asks for it is skipped where Orthanc is not installed."""
    server_program = program("Orthanc", "orthanc")
    port = free_port()
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": port,
                "HttpBindAddresses": ["127.0.0.1"],
                "RemoteAccessAllowed": False,
                "DicomServerEnabled": False,
                "Plugins": [],
            }
        )
    )
    with subprocess.Popen(
        [server_program, str(folder / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address)
            yield address
        finally:
            server.terminate()
            server.wait()


def wait_for(address):
    started = time.monotonic()
    while True:
        try:
            request(f"{address}/system")
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() - started > PATIENCE_S:
                pytest.fail("Orthanc does not answer")
            time.sleep(0.1)


def request(url, data=None):
    asked = urllib.request.Request(url, data=data)
    asked.add_header("Authorization", "Basic " + base64.b64encode(b"orthanc:orthanc").decode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(asked, timeout=PATIENCE_S) as answer:
        return answer.read()
