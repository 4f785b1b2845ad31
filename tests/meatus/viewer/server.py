"""The viewer on a port of this machine, for as long as a test lasts."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from meatus.service.inputs import find_inputs
from meatus.service.output_folder import open_output_folder
from meatus.service.request import Request
from meatus.viewer.app import make_app
from meatus.viewer.incoming import Incoming
from meatus.viewer.results import Results

TOKEN = "a-token"


@dataclass(frozen=True)
class Viewer:
    port: int
    out: Path

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"

    def ask(self, path, *, method="GET", body=None, token=TOKEN, **headers):
        """Status, headers and content; ``path`` goes out as it is."""
        own = f"127.0.0.1:{self.port}"
        sent = {"Host": own, "Origin": f"http://{own}"}
        sent |= {name.capitalize(): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, f"/{token}/{path}", skip_host=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def told(self, path, **about):
        status, _, content = self.ask(path, **about)
        return status, json.loads(content)


@contextmanager
def viewer(out, scans, weights, report=None):
    results = Results(report, "Ada")
    results.add(find_inputs(scans, out, lambda _line: None).cases)
    with open_output_folder(out) as own, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        request = Request(out, out, device="cpu", quality="fast", report=report)
        app = make_app(results, Incoming(request, weights, own, results), TOKEN, port)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Viewer(port, out)
        finally:
            server.should_exit = True
            thread.join()
