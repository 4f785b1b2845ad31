"""Who may ask the viewer for anything: the page that was opened with its token, from here."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost")

# The page loads and asks for nothing that does not come from here, and sends nothing elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Lets through what comes to ``/<token>/...`` of this machine's own address.

    A foreign name in ``Host`` is how a page elsewhere reaches into this machine (DNS rebinding);
    a foreign ``Origin`` is how it sends something unseen. A change needs its own ``Origin``.
    """

    app: App
    token: str
    port: int

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing else is spoken here
        refused = self._refused(scope)
        if refused:
            await _answer(send, refused)
            return
        path = scope["path"].removeprefix(f"/{self.token}")
        inner = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(inner, receive, _with_headers(send))

    def _refused(self, scope: Message) -> str:
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        own = [f"{host}:{self.port}" for host in HOSTS]
        if len(hosts) != 1 or hosts[0] not in own:
            return "asked for under another name than this machine's"
        if origins and origins != [f"http://{hosts[0]}"]:
            return "asked for by a page from elsewhere"
        if not origins and scope["method"] not in ("GET", "HEAD"):
            return "a change that does not say where it comes from"
        given = scope["path"].split("/")[1]
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return "no token, or another one; open the address that the command printed"
        return ""


async def _answer(send: Send, why: str) -> None:
    headers = HEADERS | {"content-type": "text/plain; charset=utf-8"}
    await send({"type": "http.response.start", "status": 403, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_raw(HEADERS)]}
        await send(message)

    return sending


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
