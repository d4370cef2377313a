from __future__ import annotations

import asyncio
import logging
import resource
import socket
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.errors import FetchError
from batch_scan.model import Item
from batch_scan.source.http import HttpFiles
from batch_scan.source.options import SourceOptions
from batch_scan.vocabulary import Reason
from tests.source.loopback import Loopback, endless, in_turn, respond, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.source.loopback import Handler

_CUT = respond(200, b"only the beginning", content_length="100000")


async def _refuse_lookup(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


def _files(scratch: Path, *allow: str, **options: Any) -> HttpFiles:
    return HttpFiles(
        SourceOptions(allow_hosts=allow, scratch=scratch, **options), retry_wait_s=0.0, resolve=_refuse_lookup
    )


def _item(url: str) -> Item:
    return Item(0, "shown", "0:shown", url)


def _left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def _get(files: HttpFiles, url: str) -> bytes:
    async with files.fetch(_item(url)) as path:
        return path.read_bytes()


async def _failure(files: HttpFiles, url: str, scratch: Path) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await _get(files, url)
    assert _left_in(scratch) == []
    assert caught.value.detail.isprintable()
    assert "hunter2" not in caught.value.detail
    return caught.value


async def _failure_of(handler: Handler, scratch: Path, **options: Any) -> tuple[FetchError, Loopback]:
    async with serving({"/x?key=hunter2": handler}) as server:
        files = _files(scratch, server.netloc, **options)
        return await _failure(files, f"http://{server.netloc}/x?key=hunter2", scratch), server


async def test_the_scratch_file_is_its_owners_alone(tmp_path: Path) -> None:
    async with (
        serving({"/x": respond(200, b"x")}) as server,
        _files(tmp_path, server.netloc).fetch(_item(f"http://{server.netloc}/x")) as path,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.parent == tmp_path


async def test_user_and_password_of_the_url_are_sent_to_its_host(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"x")}) as server:
        await _get(_files(tmp_path, server.netloc), f"http://u:hunter2@{server.netloc}/x")
    assert server.headers[0]["authorization"].startswith("basic ")
    assert server.headers[0]["host"] == server.netloc


async def test_secrets_of_a_url_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving({"/x?key=hunter2": respond(200, b"x")}) as server:
        await _get(_files(tmp_path, server.netloc), f"http://u:hunter2@{server.netloc}/x?key=hunter2")
    assert "httpcore" in caplog.text  # something listened
    assert "hunter2" not in caplog.text


async def test_a_name_whose_addresses_are_all_public_is_asked_at_these(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]

    files = HttpFiles(SourceOptions(allow_hosts=("media.test",), scratch=tmp_path), resolve=resolve)
    addresses = await files._addresses(httpx.URL("https://media.test/x"))
    assert addresses == ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with serving({"/x": respond(200, b"x")}) as server:
        assert await _get(_files(tmp_path, server.netloc), f"http://{server.netloc}/x") == b"x"


async def test_a_host_that_is_not_allowed_is_not_even_looked_up(tmp_path: Path) -> None:
    failure = await _failure(_files(tmp_path, "media.test"), "http://other.test/x", tmp_path)
    assert failure.reason is Reason.HOST_REFUSED
    assert "source.allow_hosts" in failure.detail


async def test_localhost_is_refused_although_it_is_allowed_by_name(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"x")}) as server:
        files = HttpFiles(SourceOptions(allow_hosts=(f"localhost:{server.port}",), scratch=tmp_path))
        failure = await _failure(files, f"http://localhost:{server.port}/x", tmp_path)
    assert failure.reason is Reason.HOST_REFUSED
    assert "not a public address" in failure.detail
    assert server.paths == []


@pytest.mark.parametrize("port_named", [True, False])
async def test_odd_spellings_of_loopback_are_refused(tmp_path: Path, *, port_named: bool) -> None:
    async with serving({"/x": respond(200, b"x")}) as server:
        port = f":{server.port}"
        for host in ("2130706433", "127.1", "0x7f000001"):
            files = HttpFiles(SourceOptions(allow_hosts=(host + port * port_named,), scratch=tmp_path))
            assert (await _failure(files, f"http://{host}{port}/x", tmp_path)).reason is Reason.HOST_REFUSED
    assert server.paths == []


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:169.254.169.254"], ["fe80::1%eth0"]]
)
async def test_a_name_with_any_address_that_is_not_public_is_refused(tmp_path: Path, addresses: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    files = HttpFiles(SourceOptions(allow_hosts=("media.test",), scratch=tmp_path), resolve=resolve)
    assert (await _failure(files, "https://media.test/x", tmp_path)).reason is Reason.HOST_REFUSED


@pytest.mark.parametrize(("code", "lookups"), [(socket.EAI_AGAIN, 3), (socket.EAI_NONAME, 1)])
async def test_a_failed_lookup_is_repeated_only_where_that_can_help(tmp_path: Path, code: int, lookups: int) -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        raise socket.gaierror(code, "no such luck")

    files = HttpFiles(SourceOptions(allow_hosts=("media.test",), scratch=tmp_path), retry_wait_s=0.0, resolve=resolve)
    failure = await _failure(files, "https://media.test/x", tmp_path)
    assert failure.reason is Reason.FETCH_FAILED
    assert "media.test cannot be looked up" in failure.detail
    assert asked == [("media.test", 443)] * lookups


async def test_a_name_without_address_is_an_error(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return []

    files = HttpFiles(SourceOptions(allow_hosts=("media.test",), scratch=tmp_path), resolve=resolve)
    assert (await _failure(files, "https://media.test/x", tmp_path)).reason is Reason.FETCH_FAILED


async def test_three_redirects_are_followed_and_a_fourth_is_not(tmp_path: Path) -> None:
    handlers = {f"/{n}": respond(302, location=f"/{n + 1}") for n in range(4)}
    async with serving({**handlers, "/4": respond(200, b"here")}) as server:
        files = _files(tmp_path, server.netloc)
        assert await _get(files, f"http://{server.netloc}/1") == b"here"
        failure = await _failure(files, f"http://{server.netloc}/0", tmp_path)
    assert failure.reason is Reason.FETCH_FAILED
    assert "redirects" in failure.detail


async def test_a_redirect_to_another_host_is_refused_and_that_host_not_asked(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"secret")}) as other:
        for target in (f"http://{other.netloc}/x", f"//{other.netloc}/x", f"http://localhost:{other.port}/x"):
            async with serving({"/x": respond(302, location=target)}) as server:
                failure = await _failure(_files(tmp_path, server.netloc), f"http://{server.netloc}/x", tmp_path)
            assert failure.reason is Reason.HOST_REFUSED
    assert other.paths == []


async def test_a_redirect_to_an_allowed_name_at_a_private_address_is_refused(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"secret")}) as other:
        target = f"http://localhost:{other.port}/x"
        async with serving({"/x": respond(307, location=target)}) as server:
            options = SourceOptions(allow_hosts=(server.netloc, f"localhost:{other.port}"), scratch=tmp_path)
            failure = await _failure(HttpFiles(options), f"http://{server.netloc}/x", tmp_path)
    assert failure.reason is Reason.HOST_REFUSED
    assert other.paths == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://media.test/x", "http://[bad", "", "http://:99999/"])
async def test_a_redirect_that_leads_nowhere_is_an_error(tmp_path: Path, target: str) -> None:
    failure, server = await _failure_of(respond(302, location=target), tmp_path)
    assert failure.reason is Reason.FETCH_FAILED
    assert len(server.paths) == 1


async def test_neither_password_nor_cookies_follow_a_redirect(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"x")}) as other:
        hop = respond(302, location=f"http://{other.netloc}/x", set_cookie="session=hunter2")
        async with serving({"/x": hop}) as server:
            await _get(_files(tmp_path, server.netloc, other.netloc), f"http://u:hunter2@{server.netloc}/x")
    assert not {"authorization", "cookie"} & set(other.headers[0])


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [
        (404, Reason.MISSING, 1),
        (410, Reason.MISSING, 1),
        (403, Reason.FETCH_FAILED, 1),
        (206, Reason.FETCH_FAILED, 1),
        (304, Reason.FETCH_FAILED, 1),
        (429, Reason.FETCH_FAILED, 3),
        (500, Reason.FETCH_FAILED, 3),
        (503, Reason.FETCH_FAILED, 3),
    ],
)
async def test_a_refusal_has_its_reason_and_is_repeated_only_where_that_can_help(
    tmp_path: Path, status: int, reason: Reason, requests: int
) -> None:
    failure, server = await _failure_of(respond(status, b"" if status == 304 else b"page"), tmp_path)
    assert failure.reason is reason
    assert str(status) in failure.detail
    assert len(server.paths) == requests


async def test_a_cut_transfer_is_repeated_from_the_start(tmp_path: Path) -> None:
    async with serving({"/x": in_turn(_CUT, respond(503), respond(200, b"whole"))}) as server:
        assert await _get(_files(tmp_path, server.netloc), f"http://{server.netloc}/x") == b"whole"


async def test_a_transfer_that_is_cut_every_time_is_an_error(tmp_path: Path) -> None:
    failure, server = await _failure_of(_CUT, tmp_path)
    assert failure.reason is Reason.FETCH_FAILED
    assert "broke off" in failure.detail
    assert len(server.paths) == 3


async def test_a_chunked_transfer_without_its_end_is_an_error(tmp_path: Path) -> None:
    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    failure, _ = await _failure_of(handler, tmp_path)
    assert failure.reason is Reason.FETCH_FAILED


async def test_an_answer_that_is_no_http_is_an_error(tmp_path: Path) -> None:
    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff\x1b[31mSSH-2.0\r\n\r\n")

    failure, _ = await _failure_of(handler, tmp_path)
    assert failure.reason is Reason.FETCH_FAILED


async def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        netloc = f"127.0.0.1:{bound.getsockname()[1]}"
        failure = await _failure(_files(tmp_path, netloc), f"http://{netloc}/x", tmp_path)
    assert failure.reason is Reason.FETCH_FAILED
    assert "cannot connect" in failure.detail


async def test_a_body_without_content_is_refused(tmp_path: Path) -> None:
    failure, _ = await _failure_of(respond(200), tmp_path)
    assert failure.reason is Reason.EMPTY


async def test_a_packed_body_is_refused(tmp_path: Path) -> None:
    failure, _ = await _failure_of(respond(200, b"x", content_encoding="gzip"), tmp_path)
    assert failure.reason is Reason.FETCH_FAILED


async def test_a_file_of_just_the_largest_size_is_fetched(tmp_path: Path) -> None:
    async with serving({"/x": respond(200, b"x" * 1000)}) as server:
        assert (
            await _get(_files(tmp_path, server.netloc, max_file_bytes=1000), f"http://{server.netloc}/x") == b"x" * 1000
        )


async def test_a_file_that_says_it_is_too_large_is_refused_before_its_content(tmp_path: Path) -> None:
    failure, server = await _failure_of(respond(200, b"x", content_length="1001"), tmp_path, max_file_bytes=1000)
    assert failure.reason is Reason.TOO_LARGE
    assert len(server.paths) == 1


async def test_a_file_that_does_not_say_its_size_is_cut_off_at_the_largest(tmp_path: Path) -> None:
    failure, server = await _failure_of(endless(b"x" * 10_000), tmp_path, max_file_bytes=1_000_000)
    assert failure.reason is Reason.TOO_LARGE
    assert len(server.paths) == 1


async def test_a_trickle_ends_with_the_time_of_the_whole_fetch(tmp_path: Path) -> None:
    failure, server = await _failure_of(endless(b"x", pause_s=0.01), tmp_path, fetch_timeout_s=0.3)
    assert failure.reason is Reason.FETCH_FAILED
    assert "did not arrive within 0.3 s" in failure.detail
    assert len(server.paths) == 1


async def test_retries_and_redirects_share_the_time_of_the_whole_fetch(tmp_path: Path) -> None:
    async with serving({"/x": respond(503)}) as server:
        options = SourceOptions(allow_hosts=(server.netloc,), scratch=tmp_path, fetch_timeout_s=0.3)
        failure = await _failure(HttpFiles(options, retry_wait_s=60.0), f"http://{server.netloc}/x", tmp_path)
    assert "did not arrive" in failure.detail


async def test_a_fetch_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        await writer.drain()
        arrived.set()
        await asyncio.Event().wait()

    async with serving({"/x": handler}) as server:
        fetch = asyncio.create_task(_get(_files(tmp_path, server.netloc), f"http://{server.netloc}/x"))
        await arrived.wait()
        assert len(_left_in(tmp_path)) == 1
        fetch.cancel()
        with suppress(asyncio.CancelledError):
            await fetch
        assert fetch.cancelled()
    assert _left_in(tmp_path) == []


async def test_a_scratch_file_that_cannot_hold_it_is_an_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with serving({"/x": respond(200, b"x" * 1_000_000)}) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, before[1]))
        try:
            failure = await _failure(_files(tmp_path, server.netloc), f"http://{server.netloc}/x", tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failure.reason is Reason.FETCH_FAILED
    assert "scratch file cannot be written" in failure.detail


async def test_a_scratch_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    files = _files(tmp_path / "gone", "media.test")
    with pytest.raises(FetchError, match="no scratch file") as caught:
        await _get(files, "http://media.test/x")
    assert caught.value.reason is Reason.FETCH_FAILED


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Thu, 01 Jan 2026 00:00:00 GMT", False),
        ("Thu, 01 Jan 2026 00:00:01 GMT", True),
        ("Wed, 31 Dec 2025 23:59:59 -0000", False),
        ("", True),
        ("yesterday", True),
    ],
)
async def test_what_was_not_modified_since_is_left_out_and_its_body_not_read(
    tmp_path: Path, said: str, *, wanted: bool
) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)
    async with serving({"/x": respond(200, b"content", last_modified=said)}) as server:
        files = _files(tmp_path, server.netloc, modified_after=after)
        url = f"http://{server.netloc}/x"
        if wanted:
            assert await _get(files, url) == b"content"
            return
        error = await _failure(files, url, tmp_path)
    assert error.reason is Reason.EXCLUDED
    assert "source.modified_after" in error.detail
    assert server.paths == ["/x"]
