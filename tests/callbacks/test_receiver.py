from __future__ import annotations

import asyncio
import gzip
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.callbacks.table import CallbacksTable
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.secret import SecretRef
from tests.callbacks.posting import RUN, by_id, callback, receiving, vendor
from tests.ledger_kit import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

CHILD = "tests.callbacks.receiving_child"
ROOT = Path(__file__).parents[2]


def kept(state: Path) -> int:
    return int(str(rows_of(state, "SELECT count(*) FROM callbacks")[0][0]))


async def test_what_came_before_anybody_asked_comes_in_the_order_of_arrival(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        for number in range(5):
            for about in ("a", "b"):
                assert (await client.post(box.url, content=callback(about, number))).status_code == 200
        for about in ("a", "b"):
            assert [await box.next(about, 0.0) for _ in range(5)] == [callback(about, number) for number in range(5)]


async def test_whoever_waits_gets_it_as_it_comes(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        waiting = asyncio.create_task(box.next("a", 20.0))
        await client.post(box.url, content=callback("b"))
        assert not waiting.done()
        await client.post(box.url, content=callback("a"))
        assert await waiting == callback("a")


async def test_waiting_ends(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver:
        with pytest.raises(TimeoutError):
            await receiver.mailbox("toy", by_id).next("a", 0.01)


async def test_a_callback_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        for number in range(3):
            await client.post(box.url, content=callback("a", number))
            assert kept(tmp_path) == number + 1


async def test_what_is_sent_again_is_acknowledged_and_comes_once(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        replies = await asyncio.gather(*(client.post(box.url, content=callback("a")) for _ in range(10)))
        assert [reply.status_code for reply in replies] == [200] * 10
        assert await box.next("a", 0.0) == callback("a")
        assert (await client.post(box.url, content=callback("a"))).status_code == 200
        with pytest.raises(TimeoutError):
            await box.next("a", 0.01)
        assert kept(tmp_path) == 1


async def test_two_services_are_told_apart(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        one, other = receiver.mailbox("one", by_id), receiver.mailbox("transcribe.other", by_id)
        assert one.url != other.url
        await client.post(other.url, content=callback("a"))
        assert await other.next("a", 0.0) == callback("a")
        await client.post(one.url, content=callback("a"))
        assert await one.next("a", 0.0) == callback("a")


async def test_strangers_learn_and_leave_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        caplog.clear()
        base, path, service = box.url.rsplit("/", 2)
        strange = [
            *("/", "//", "/toy", f"/{path}", f"/{path}/", f"/{path}/other", f"/{path}/toy/", f"/{service}/{path}"),
            *(f"/{'0' * len(path)}/{service}", f"/{path[:-1]}/{service}", f"/{path.upper()}x/{service}", "/%ff%00/toy"),
        ]
        for tail in strange:
            reply = await client.post(base + tail, content=callback("a"))
            assert (reply.status_code, reply.content) == (404, b""), tail
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            known, unknown = [await client.request(method, url) for url in (box.url, f"{base}/{'0' * 48}/toy")]
            assert (known.status_code, known.headers, known.content) == (405, unknown.headers, unknown.content)
            assert unknown.status_code == 405
        assert kept(tmp_path) == 0
        assert caplog.records == []


async def test_what_the_service_does_not_know_is_acknowledged_and_not_kept(tmp_path: Path) -> None:
    def breaks(_headers: Mapping[str, str], body: bytes) -> str | None:
        return body.decode()  # raises for what is not UTF-8

    async with receiving(tmp_path) as receiver, vendor() as client:
        toy, careless = receiver.mailbox("toy", by_id), receiver.mailbox("careless", breaks)
        for box, body in (
            *((toy, body) for body in (b"", b"[]", b"{}", b"\xff", b'{"about": 7}', b'{"about": "\\ud800"}')),
            *((careless, body) for body in (b"", b"\xff", b"x" * 600)),
        ):
            assert (await client.post(box.url, content=body)).status_code == 200
        assert kept(tmp_path) == 0


async def test_headers_reach_the_service_in_lower_case(tmp_path: Path) -> None:
    def signed(headers: Mapping[str, str], _body: bytes) -> str | None:
        return "a" if {**headers}.get("x-signature") == "right" else None

    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", signed)
        for signature in ("wrong", "right"):
            await client.post(box.url, content=signature.encode(), headers={"X-Signature": signature})
        assert await box.next("a", 0.0) == b"right"
        assert kept(tmp_path) == 1


async def test_a_body_that_is_too_large_is_refused_and_whoever_waits_learns_it(tmp_path: Path) -> None:
    async with receiving(tmp_path, CallbacksTable(bind="127.0.0.1:0", max_body_bytes=1_000)) as receiver:
        box, other = receiver.mailbox("toy", by_id), receiver.mailbox("other", by_id)
        waiting = asyncio.create_task(box.next("a", 20.0))
        async with vendor() as client:
            assert (await client.post(box.url, content=callback("a", padding=1_000))).status_code == 413
        with pytest.raises(EndpointError, match=r"larger than max_body_bytes = 1,000") as lost:
            await waiting
        assert lost.value.failure is Failure.FATAL
        with pytest.raises(TimeoutError):
            await other.next("a", 0.01)
        assert kept(tmp_path) == 0


async def test_a_compressed_body_is_handed_on_as_it_came(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def unpacking(headers: Mapping[str, str], body: bytes) -> str | None:
        return by_id(headers, gzip.decompress(body))

    packed, compressed = gzip.compress(callback("a")), {"content-encoding": "gzip"}
    async with receiving(tmp_path) as receiver, vendor() as client:
        box, plain = receiver.mailbox("toy", unpacking), receiver.mailbox("plain", by_id)
        for one in (box, plain):
            assert (await client.post(one.url, headers=compressed, content=packed)).status_code == 200
        assert await box.next("a", 0.0) == packed
        assert kept(tmp_path) == 1
    assert "callbacks for plain: one came compressed" in caplog.text


async def test_a_stream_of_bytes_without_end_is_cut_off(tmp_path: Path) -> None:
    async with receiving(tmp_path, CallbacksTable(bind="127.0.0.1:0", max_body_bytes=1_000)) as receiver:
        box = receiver.mailbox("toy", by_id)
        host, port = box.url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {box.url[box.url.index(port) + len(port) :]} HTTP/1.1\r\nHost: x\r\n".encode())
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n" + b"800\r\n" + b"x" * 0x800 + b"\r\n")
        assert (await reader.readline()).split()[1] == b"413"
        writer.close()


async def test_a_callback_that_does_not_come_whole_is_given_up(tmp_path: Path) -> None:
    async with receiving(tmp_path, body_timeout_s=0.05) as receiver:
        box = receiver.mailbox("toy", by_id)
        reader, writer = await started(box.url, whole=False)
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()
        assert kept(tmp_path) == 0


async def started(url: str, *, whole: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    _, _, host_port, path = url.split("/", 3)
    host, port = host_port.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = callback("a")
    sent = body if whole else body[:5]
    writer.write(f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + sent)
    await writer.drain()
    return reader, writer


async def test_closing_ends_what_is_under_way_and_hangs_up(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        async with receiving(tmp_path) as receiver:
            box = receiver.mailbox("toy", by_id)
            reader, writer = await started(box.url, whole=False)
            silent_reader, silent_writer = await asyncio.open_connection(*address_of(box.url))
            async with vendor() as client:
                await client.post(box.url, content=callback("b"))  # by now the first one has arrived too
        answer = await reader.read()
        assert b" 200 " not in answer
        assert await silent_reader.read() == b""
        for one in (writer, silent_writer):
            one.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address_of(box.url))
    assert kept(tmp_path) == 1


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.split("/")[2].partition(":")
    return host, int(port)


async def test_a_run_that_goes_on_has_the_same_url_and_what_came_before(tmp_path: Path) -> None:
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        path = box.url.split("/")[3]
        for number in range(3):
            await client.post(box.url, content=callback("a", number))
        assert await box.next("a", 0.0) == callback("a", 0)  # read, but who knows what became of it
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        assert box.url.split("/")[3] == path
        assert len(path) >= 32
        assert (await client.post(box.url, content=callback("a", 1))).status_code == 200
        assert [await box.next("a", 0.0) for _ in range(3)] == [callback("a", number) for number in range(3)]
        with pytest.raises(TimeoutError):
            await box.next("a", 0.01)
    async with receiving(tmp_path, run_id="run-2") as receiver:
        assert receiver.mailbox("toy", by_id).url.split("/")[3] != path


async def test_a_killed_process_leaves_what_it_acknowledged_to_the_next(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", CHILD, str(tmp_path), RUN, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    url = (await child.stdout.readline()).decode().strip()
    async with vendor() as client:
        for number in range(20):
            assert (await client.post(url, content=callback("a", number))).status_code == 200
    child.send_signal(signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    async with receiving(tmp_path) as receiver:
        box = receiver.mailbox("toy", by_id)
        assert box.url.split("/")[3] == url.split("/")[3]
        assert [await box.next("a", 0.0) for _ in range(20)] == [callback("a", number) for number in range(20)]


async def test_nothing_listens_before_a_service_asks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        table = CallbacksTable(bind=f"127.0.0.1:{taken.getsockname()[1]}")
        async with receiving(tmp_path, table) as receiver:
            with pytest.raises(
                UsageError, match=rf"\[callbacks\] bind: nothing can listen at {table.bind}: Address already in use; "
            ):
                receiver.mailbox("toy", by_id)


async def test_a_name_that_leads_nowhere_is_a_usage_error(tmp_path: Path) -> None:
    table = CallbacksTable(bind="nowhere.invalid:8088", public_url="https://example.org")
    async with receiving(tmp_path, table) as receiver:
        with pytest.raises(UsageError, match=r"nothing can listen at nowhere.invalid:8088: \w"):
            receiver.mailbox("toy", by_id)


def test_what_is_not_installed_is_named_with_its_mend(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
sys.modules[{{0!r}}] = None
from pathlib import Path
from tests.callbacks.posting import by_id, receiving

async def ask():
    async with receiving(Path({str(tmp_path)!r})) as receiver:
        receiver.mailbox("toy", by_id)

asyncio.run(ask())
"""
    for package in ("uvicorn", "starlette"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(package)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert f"UsageError: [callbacks]: {package}" in done.stderr
        assert "is not installed; endpoints that call back need: pip install 'batch-scan[callbacks]'" in done.stderr


async def test_an_address_of_another_machine_is_a_usage_error(tmp_path: Path) -> None:
    table = CallbacksTable(bind="203.0.113.1:8088", public_url="https://example.org/hooks")
    async with receiving(tmp_path, table) as receiver:
        with pytest.raises(UsageError, match=r"nothing can listen at 203.0.113.1:8088: Cannot assign requested"):
            receiver.mailbox("toy", by_id)


async def test_a_proxy_may_keep_its_own_path_in_front(tmp_path: Path) -> None:
    table = CallbacksTable(bind="127.0.0.1:0", public_url="https://example.org/hooks/")
    async with receiving(tmp_path, table) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        assert box.url.startswith("https://example.org/hooks/")
        for prefix in ("", "/hooks", "/some/where"):
            local = receiver.local_url + prefix + box.url.removeprefix("https://example.org/hooks")
            assert (await client.post(local, content=callback("a", len(prefix)))).status_code == 200
        assert kept(tmp_path) == 3


async def test_a_path_of_ones_own_is_used_and_never_short(tmp_path: Path) -> None:
    (tmp_path / "path").write_text("k" * 40 + "\n")
    (tmp_path / "short").write_text("k" * 31 + "\n")
    own = CallbacksTable(bind="127.0.0.1:0", path=SecretRef(file=tmp_path / "path"))
    async with receiving(tmp_path / "state", own) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        assert box.url.split("/")[3] == "k" * 40
        assert (await client.post(box.url, content=callback("a"))).status_code == 200
    with pytest.raises(UsageError, match=r"\[callbacks\] path: what file .*short holds is not 32 to 128"):
        async with receiving(tmp_path / "state", own.model_copy(update={"path": SecretRef(file=tmp_path / "short")})):
            pass


async def test_a_ledger_that_cannot_be_written_makes_the_vendor_send_again(
    tmp_path: Path, expected_errors: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    expected_errors.append("callbacks are not taken")
    async with receiving(tmp_path) as receiver, vendor() as client:
        box = receiver.mailbox("toy", by_id)
        change(tmp_path, "CREATE TRIGGER full BEFORE INSERT ON callbacks BEGIN SELECT RAISE(FAIL, 'no room'); END")
        for _ in range(3):
            assert (await client.post(box.url, content=callback("a"))).status_code == 503
        change(tmp_path, "DROP TRIGGER full")
        assert (await client.post(box.url, content=callback("a"))).status_code == 200
        assert await box.next("a", 0.0) == callback("a")
    assert sum("callbacks are not taken" in record.getMessage() for record in caplog.records) == 1


def change(state: Path, sql: str) -> None:
    with closing(sqlite3.connect(state / "ledger.sqlite3")) as connection:
        connection.execute(sql)
        connection.commit()
