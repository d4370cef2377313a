from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.endpoint.premises import MemoryHandles, Premises
from batch_scan.endpoint.visionular.closing import INTENTION, STREAM
from batch_scan.endpoint.visionular.endpoint import build
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.sandbox.visionular.server import VisionularServer
from batch_scan.vocabulary import Category, Medium
from tests.callbacks.posting import receiving
from tests.corpus_media import truncated
from tests.endpoint.visionular.live import (
    CLIP_S,
    CLIP_TOKENS,
    TOKEN_VARIABLE,
    film,
    judge,
    quick,
    request_for,
    sample_of,
)
from tests.endpoint.visionular.playing_child import FileHandles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from batch_scan.endpoint.visionular.endpoint import Visionular
    from batch_scan.model import Answer, Score
    from batch_scan.sandbox.vendor import Seen

ROOT = Path(__file__).parents[3]
LONG_S = 30.0
"""A film that no test plays to its end."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VisionularServer]:
    with VisionularServer(judge=judge()) as running:
        monkeypatch.setenv(TOKEN_VARIABLE, running.token)
        yield running


def made(server: VisionularServer, **table: Any) -> Visionular:
    endpoint = build(quick(base_url=server.url, ingest_url=server.ingest_url, **table))
    endpoint.premises = Premises()
    return endpoint


@pytest.fixture
async def endpoint(server: VisionularServer) -> AsyncIterator[Visionular]:
    opened = made(server)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "clip.mp4", ("green", CLIP_S))


@pytest.fixture
def long_film(tmp_path: Path) -> Path:
    return film(tmp_path / "long.mp4", ("red", LONG_S))


async def played(endpoint: Visionular, path: Path, seconds: float) -> tuple[Answer, list[Score]]:
    request = request_for(endpoint, sample_of(path, seconds))
    answer = await endpoint.submit(request)
    return answer, endpoint.read(request, answer)


def statuses(server: VisionularServer) -> list[str]:
    return [f"{seen.method} {seen.path.rpartition('/')[2]} {seen.status}" for seen in server.requests]


# ------------------------------------------------------------------------------------------------------ what it finds


async def test_what_is_found_stands_within_two_seconds_of_where_it_is(
    endpoint: Visionular, server: VisionularServer, tmp_path: Path
) -> None:
    path = film(tmp_path / "f.mp4", ("green", 2.0), ("red", 2.0), ("blue", 2.4))
    answer, scores = await played(endpoint, path, 6.4)
    unclean = [(score.category, score.start_s) for score in scores if score.unclean]
    nude, armed = ([at_s for of, at_s in unclean if of is kind] for kind in (Category.NUDITY, Category.WEAPON))
    assert nude
    assert armed
    assert all(2.0 - 2.0 <= at_s <= 4.0 + 2.0 for at_s in nude)
    assert all(4.0 - 2.0 <= at_s <= 6.4 for at_s in armed)
    assert max(nude) < max(armed)
    clean = [score for score in scores if not score.unclean]
    assert {score.score for score in clean} == {0.0}
    assert answer.tokens_charged == server.tokens_used == 7


async def test_several_files_are_played_at_once(endpoint: Visionular, server: VisionularServer, tmp_path: Path) -> None:
    paths = [film(tmp_path / f"{name}.mp4", (name, CLIP_S)) for name in ("red", "green", "blue")]
    answers = await asyncio.gather(*(played(endpoint, path, CLIP_S) for path in paths))
    found = [{score.category for score in scores if score.unclean} for _, scores in answers]
    assert found == [{Category.NUDITY}, set(), {Category.WEAPON}]
    assert server.tokens_used == sum(answer.tokens_charged for answer, _ in answers) == 3 * CLIP_TOKENS
    assert not server.left_open


async def test_records_that_come_late_are_waited_for(server: VisionularServer, clip: Path) -> None:
    server.records_late_s = 1.0
    late = made(server, settle_s=1.5)
    await late.open()
    answer, _ = await played(late, clip, CLIP_S)
    assert len(json.loads(answer.raw)["records"]) == len(server.records) >= 2
    await late.close()


@pytest.mark.parametrize("newest_first", [True, False])
async def test_every_page_is_read_however_small_and_in_whatever_order(
    server: VisionularServer, clip: Path, *, newest_first: bool
) -> None:
    server.newest_first, server.max_limit = newest_first, 1
    endpoint = made(server)
    await endpoint.open()
    answer, _ = await played(endpoint, clip, CLIP_S)
    assert len(json.loads(answer.raw)["records"]) == len(server.records) >= 2
    await endpoint.close()


async def test_callbacks_say_the_same_as_the_records_once(server: VisionularServer, tmp_path: Path) -> None:
    path = film(tmp_path / "red.mp4", ("red", CLIP_S))
    async with receiving(tmp_path) as receiver:
        endpoint = made(server, webhook=True)
        endpoint.premises = Premises(callbacks=receiver)
        await endpoint.open()
        server.webhook_url = receiver.mailbox("visionular", lambda _headers, _body: None).url
        await endpoint.close()
        await endpoint.open()
        answer, scores = await played(endpoint, path, CLIP_S)
        await endpoint.close()
    assert len(server.events_sent) == len(server.records) >= 2
    assert len([score for score in scores if score.unclean]) == len(server.records)
    assert not any("callback" in record for record in json.loads(answer.raw)["records"])


async def test_callbacks_alone_will_do_where_no_record_is_listed(server: VisionularServer, tmp_path: Path) -> None:
    path = film(tmp_path / "red.mp4", ("red", CLIP_S))
    server.records_late_s = 3600.0
    async with receiving(tmp_path) as receiver:
        endpoint = made(server, webhook=True, settle_s=0.5)
        endpoint.premises = Premises(callbacks=receiver)
        await endpoint.open()
        server.webhook_url = f"{receiver.local_url}/{receiver._path}/visionular"
        _, scores = await played(endpoint, path, CLIP_S)
        await endpoint.close()
    assert [score.category for score in scores if score.unclean] == [Category.NUDITY] * len(server.records) != []
    assert not server.left_open


# --------------------------------------------------------------------------------------------------- what it is asked


async def test_a_stream_is_asked_for_as_the_contract_says(server: VisionularServer, clip: Path) -> None:
    endpoint = made(server, frame_interval=2, models={"nude": 0.5}, latency_mode="low")
    await endpoint.open()
    await played(endpoint, clip, CLIP_S)
    await endpoint.close()
    (call,) = server.calls
    asked = {"audit_settings": {"frame_interval": 2, "models": {"nude": 0.5}}, "latency_mode": "low"}
    assert call.fields == asked | {"user_metadata": call.fields["user_metadata"]}
    assert call.fields["user_metadata"].startswith("batch-scan ")


async def test_basic_authentication_and_the_older_word_for_message_will_do(
    server: VisionularServer, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONULAR_ACCESS_KEY", server.access_key)
    monkeypatch.setenv("VISIONULAR_SECRET_KEY", server.secret_key)
    server.message_key = "msg"
    endpoint = made(server, auth="basic")
    await endpoint.open()
    assert (await played(endpoint, clip, CLIP_S))[0].tokens_charged == CLIP_TOKENS
    assert {seen.headers.get("auth-type") for seen in server.requests} == {"use-basic"}
    await endpoint.close()


async def test_everything_is_closed_in_the_vendors_order(
    endpoint: Visionular, server: VisionularServer, clip: Path
) -> None:
    await played(endpoint, clip, CLIP_S)
    assert statuses(server)[-3:] == ["POST stop-audit-task 200", "DELETE audit-settings 204", "PUT disable 200"]
    assert server.stopped_sessions == [session.id for session in server.sessions]
    assert not server.left_open


async def test_the_stream_key_is_kept_nowhere(server: VisionularServer, clip: Path) -> None:
    handles = _Remembering()
    endpoint = made(server)
    endpoint.premises = Premises(handles=handles)
    await endpoint.open()
    answer, _ = await played(endpoint, clip, CLIP_S)
    await endpoint.close()
    (session,) = server.sessions
    kept = answer.raw + " ".join(handles.ever)
    assert session.stream.key not in kept
    assert session.id not in kept
    assert handles.kinds == [INTENTION, STREAM]


async def test_further_calls_wait_for_their_turn(server: VisionularServer, clip: Path) -> None:
    turns: list[int] = []

    async def pace(size_bytes: int) -> None:
        turns.append(size_bytes)

    endpoint = made(server)
    endpoint.premises = Premises(pace=pace)
    await endpoint.open()
    await played(endpoint, clip, CLIP_S)
    await endpoint.close()
    assert len(turns) == len(server.requests) - len(server.calls)


class _Remembering(MemoryHandles):
    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []
        self.ever: list[str] = []

    async def opened(self, kind: str, handle: str) -> None:
        self.kinds.append(kind)
        self.ever.append(handle)
        await super().opened(kind, handle)


# ---------------------------------------------------------------------------------------------------- what goes wrong


async def test_without_an_ingest_url_the_user_is_told_which_key_is_missing(server: VisionularServer) -> None:
    with pytest.raises(UsageError, match=r"endpoints\.visionular\.ingest_url"):
        await build(quick(base_url=server.url)).open()


async def test_callbacks_without_a_receiver_are_a_usage_error(server: VisionularServer) -> None:
    with pytest.raises(UsageError, match="callbacks"):
        await made(server, webhook=True).open()


async def test_a_file_that_is_not_at_hand_or_too_long_costs_nothing(
    endpoint: Visionular, server: VisionularServer, clip: Path
) -> None:
    sample = sample_of(clip, CLIP_S)
    for bad in (replace(sample, path=None), replace(sample, end_s=30_000.0)):
        with pytest.raises(EndpointError) as caught:
            await endpoint.submit(request_for(endpoint, bad))
        assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, False)
    assert not server.calls


@pytest.mark.parametrize(
    ("code", "failure"),
    [(400, Failure.REFUSED), (401, Failure.FATAL), (429, Failure.RATE_LIMITED), (7, Failure.TRANSIENT)],
)
async def test_a_code_in_a_200_is_an_error(
    endpoint: Visionular, server: VisionularServer, clip: Path, code: int, failure: Failure
) -> None:
    server.faults.queue(faults.changed(code=code, message="no\x1b[0m", data=None))
    with pytest.raises(EndpointError) as caught:
        await endpoint.submit(request_for(endpoint, sample_of(clip, CLIP_S)))
    assert (caught.value.failure, caught.value.vendor_code) == (failure, str(code))
    assert "\x1b" not in caught.value.detail


async def test_a_play_that_is_cut_off_is_not_answered(
    endpoint: Visionular, server: VisionularServer, long_film: Path
) -> None:
    asking = asyncio.create_task(played(endpoint, long_film, LONG_S))
    await asyncio.to_thread(server.wait_for_sessions, 1)
    server._loop.call_soon_threadsafe(server._ingest.send_away, server.sessions[0].stream.key)  # type: ignore[union-attr]
    with pytest.raises(EndpointError) as caught:
        await asking
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, True)
    assert server.sessions[0].stream.key not in caught.value.detail
    assert not server.left_open


async def test_a_file_that_ends_early_is_not_answered(
    endpoint: Visionular, server: VisionularServer, tmp_path: Path
) -> None:
    whole = film(tmp_path / "whole.mkv", ("green", 8.0))
    half = truncated(whole, tmp_path / "half.mkv", 0.5)
    with pytest.raises(EndpointError, match="could be played") as caught:
        await played(endpoint, half, 8.0)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)
    assert not server.left_open


async def test_what_is_no_film_is_refused_and_leaves_nothing_open(
    endpoint: Visionular, server: VisionularServer, tmp_path: Path
) -> None:
    path = tmp_path / "no.mp4"
    path.write_bytes(b"no film at all" * 100)
    with pytest.raises(EndpointError) as caught:
        await played(endpoint, path, 5.0)
    assert caught.value.failure is Failure.REFUSED
    assert server.tokens_used == 0
    assert not server.left_open


async def test_a_play_of_which_no_record_comes_says_nothing_of_the_file(server: VisionularServer, clip: Path) -> None:
    server.records_late_s = 3600.0
    endpoint = made(server, settle_max_s=1.0)
    await endpoint.open()
    with pytest.raises(EndpointError, match="no record came") as caught:
        await played(endpoint, clip, CLIP_S)
    assert caught.value.failure is Failure.REFUSED
    await endpoint.close()
    assert not server.left_open


async def test_too_few_records_are_no_answer_and_one_that_found_something_says_that_more_is_missing(
    server: VisionularServer, tmp_path: Path
) -> None:
    endpoint = made(server)
    await endpoint.open()
    for colour in ("green", "red"):
        request = request_for(endpoint, sample_of(film(tmp_path / f"{colour}.mp4", (colour, CLIP_S)), CLIP_S))
        answer = await endpoint.submit(request)
        body = json.loads(answer.raw)
        few = replace(answer, raw=json.dumps(body | {"records": body["records"][:1], "played_s": 100.0}))
        if colour == "green":
            with pytest.raises(EndpointError, match="only 1 of about 100"):
                endpoint.read(request, few)
        else:
            assert [score.unclean for score in endpoint.read(request, few)].count(True) == 1
            gap = endpoint.shortfall(request, few)
            assert gap is not None
            assert "only 1 of about 100" in gap.detail
        assert endpoint.shortfall(request, answer) is None
    await endpoint.close()


async def test_a_look_that_fails_for_a_moment_does_not_lose_the_play(
    endpoint: Visionular, server: VisionularServer, clip: Path
) -> None:
    server.other_faults.when(lambda seen: seen.path.endswith("moderation-records"), faults.bad_gateway(), times=2)
    assert (await played(endpoint, clip, CLIP_S))[0].tokens_charged == CLIP_TOKENS


async def test_a_play_whose_records_came_is_paid_once_though_later_looks_fail(
    server: VisionularServer, clip: Path
) -> None:
    asked = itertools.count(1)

    def is_late(seen: Seen) -> bool:
        is_all_there = len(server.records) >= int(CLIP_S)
        return seen.path.endswith("moderation-records") and is_all_there and next(asked) > 10

    server.other_faults.when(is_late, faults.bad_gateway())
    endpoint = made(server, settle_s=10.0, settle_max_s=2.0)
    await endpoint.open()
    answer, scores = await played(endpoint, clip, CLIP_S)
    assert next(asked) > 11, "some looks failed"
    assert json.loads(answer.raw)["settled"] is False
    assert len(scores) >= int(CLIP_S)
    server.other_faults.clear()
    await endpoint.close()


async def test_looks_that_go_on_failing_are_no_answer(server: VisionularServer, clip: Path) -> None:
    server.other_faults.when(lambda seen: seen.path.endswith("moderation-records"), faults.bad_gateway())
    endpoint = made(server, settle_max_s=0.5)
    await endpoint.open()
    with pytest.raises(EndpointError) as caught:
        await played(endpoint, clip, CLIP_S)
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.TRANSIENT, True)
    server.other_faults.clear()
    await endpoint.close()
    assert not server.left_open


# ------------------------------------------------------------------------------------------------------ closing, later


@pytest.mark.parametrize("step", ["stop-audit-task", "audit-settings", "disable"])
async def test_a_step_of_closing_that_fails_stops_no_other_and_is_tried_again(
    server: VisionularServer, clip: Path, step: str
) -> None:
    handles = MemoryHandles()
    endpoint = made(server)
    endpoint.premises = Premises(handles=handles)
    await endpoint.open()
    server.other_faults.when(lambda seen: seen.path.endswith(step), faults.status(500), times=2)
    await played(endpoint, clip, CLIP_S)
    tried = [line for line in statuses(server) if line.split()[1] in {"stop-audit-task", "audit-settings", "disable"}]
    assert [line.split()[1] for line in tried] == ["stop-audit-task", "audit-settings", "disable"]
    await endpoint.close()
    assert len(handles.left_open(STREAM)) == 1
    again = made(server)
    again.premises = endpoint.premises
    assert (await again.open()).note == ""
    assert not handles.left_open(STREAM)
    assert not server.left_open
    await again.close()


async def test_cancelled_in_the_middle_everything_is_closed(
    endpoint: Visionular, server: VisionularServer, long_film: Path
) -> None:
    asking = asyncio.create_task(played(endpoint, long_film, LONG_S))
    await asyncio.to_thread(server.wait_for_sessions, 1)
    asking.cancel()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await endpoint.close()
    assert not server.left_open
    assert server.tokens_used < 10


async def test_a_stream_whose_creation_was_never_answered_is_found_by_its_metadata(
    endpoint: Visionular, server: VisionularServer, clip: Path
) -> None:
    server.faults.queue(faults.Fault(faults.Kind.TRUNCATE))
    with pytest.raises(EndpointError):
        await endpoint.submit(request_for(endpoint, sample_of(clip, CLIP_S)))
    assert len(server.streams) == 1
    assert not server.left_open


async def test_a_stream_that_was_created_though_a_code_says_it_failed_is_closed(
    server: VisionularServer, clip: Path
) -> None:
    server.faults.queue(Fault(Kind.CHANGE, change=lambda body: {**body, "code": 500, "data": None}))
    endpoint = made(server)
    await endpoint.open()
    with pytest.raises(EndpointError, match="code 500"):
        await played(endpoint, clip, CLIP_S)
    assert not server.left_open
    await endpoint.close()


async def test_streams_of_others_are_left_alone(server: VisionularServer, clip: Path) -> None:
    endpoint, other = made(server), made(server)
    for one in (endpoint, other):
        await one.open()
    theirs = asyncio.create_task(played(other, clip, CLIP_S))
    await asyncio.to_thread(server.wait_for_sessions, 1)
    server.faults.queue(faults.Fault(faults.Kind.TRUNCATE))
    with pytest.raises(EndpointError):
        await endpoint.submit(request_for(endpoint, sample_of(clip, CLIP_S)))
    assert (await theirs)[0].tokens_charged == CLIP_TOKENS
    for one in (endpoint, other):
        await one.close()


async def test_killed_in_the_middle_the_next_start_leaves_nothing_open(
    server: VisionularServer, long_film: Path, tmp_path: Path
) -> None:
    handles = tmp_path / "handles.json"
    where = (server.url, server.ingest_url, str(handles))
    child = subprocess.Popen(  # noqa: ASYNC220 - starts at once, and is waited for once it is killed
        [sys.executable, "-m", "tests.endpoint.visionular.playing_child", str(long_film), str(LONG_S), *where],
        cwd=ROOT,
        env={**os.environ, TOKEN_VARIABLE: server.token},
    )
    try:
        await asyncio.to_thread(server.wait_for_sessions, 1)
    finally:
        child.kill()
        child.wait()
    assert server.left_open
    await asyncio.to_thread(server.wait_until_quiet)  # nobody would hear of the rest, and it would be paid
    assert server.tokens_used < LONG_S / 2
    endpoint = made(server)
    endpoint.premises = Premises(handles=FileHandles(handles))
    assert (await endpoint.open()).note == ""
    assert not server.left_open
    assert json.loads(handles.read_text()) == []
    await endpoint.close()


async def test_killed_before_the_stream_was_known_the_next_start_finds_it(server: VisionularServer, clip: Path) -> None:
    handles = MemoryHandles()
    endpoint = made(server)
    await endpoint.open()
    await endpoint.close()
    await handles.opened(INTENTION, "batch-scan aaaa 1")
    await handles.opened(STREAM, "not a handle of ours")
    endpoint.premises = Premises(handles=handles)
    server.create_stream("batch-scan aaaa 1")
    server.create_stream("of somebody else")
    assert len(server.open_streams) == 2
    await endpoint.open()
    assert [server.streams[one].metadata for one in server.open_streams] == ["of somebody else"]
    assert not handles.left_open(INTENTION) + handles.left_open(STREAM)
    await endpoint.close()


async def test_an_audit_task_that_is_gone_needs_no_stopping(server: VisionularServer, clip: Path) -> None:
    server.other_faults.when(lambda seen: seen.path.endswith("stop-audit-task"), faults.status(404, b"{}"))
    endpoint = made(server)
    await endpoint.open()
    await played(endpoint, clip, CLIP_S)
    assert not endpoint.premises.handles.left_open(STREAM)
    await endpoint.close()


async def test_an_intention_stays_where_not_every_stream_could_be_looked_at(server: VisionularServer) -> None:
    handles = MemoryHandles()
    await handles.opened(INTENTION, "batch-scan aaaa 1")
    lost = server.create_stream("batch-scan aaaa 1", {"frame_interval": 1, "models": {"nude": 0.5}})
    server.create_stream("of somebody else")
    server.max_limit = 1
    for pages, left in ((1, ["batch-scan aaaa 1"]), (10, [])):
        endpoint = made(server, max_pages=pages)
        endpoint.premises = Premises(handles=handles)
        note = (await endpoint.open()).note
        assert ("max_pages" in note) == bool(left)
        assert handles.left_open(INTENTION) == left
        assert lost.enabled == bool(left)
        await endpoint.close()


async def test_what_cannot_be_closed_at_the_start_is_told(server: VisionularServer) -> None:
    handles = MemoryHandles()
    await handles.opened(INTENTION, "batch-scan aaaa 1")
    server.other_faults.when(lambda seen: "limit" in seen.query and seen.query["limit"] != "1", faults.bad_gateway())
    endpoint = made(server)
    endpoint.premises = Premises(handles=handles)
    assert "left open by an earlier run" in (await endpoint.open()).note
    assert handles.left_open(INTENTION)
    await endpoint.close()


# ------------------------------------------------------------------------------------------------------ what it costs


def test_a_quote_is_the_seconds_begun_and_the_cap_where_they_are_not_known(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", ("green", 0.5))
    endpoint = build(quick(max_play_s=100.0))
    quotes = [endpoint.quote(Medium.STREAM, [sample_of(path, seconds)]) for seconds in (0.5, 59.0, 59.2, 0.0)]
    assert quotes == [1, 59, 60, 100]
    assert endpoint.lasts_s(Medium.STREAM, [sample_of(path, 59.2), sample_of(path, 0.0)]) == 159.2


async def test_a_file_of_unknown_length_is_played_to_its_end(
    endpoint: Visionular, server: VisionularServer, clip: Path
) -> None:
    answer, scores = await played(endpoint, clip, 0.0)
    assert answer.tokens_charged == server.tokens_used == CLIP_TOKENS
    assert len(scores) == 2 * len(server.records) >= 4


async def test_an_unknown_length_beyond_the_cap_is_no_answer(server: VisionularServer, clip: Path) -> None:
    endpoint = made(server, max_play_s=1.5)
    await endpoint.open()
    with pytest.raises(EndpointError, match="max_play_s"):
        await played(endpoint, clip, 0.0)
    await endpoint.close()
    assert not server.left_open


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"models": {"nude": 0.6}}, True),
        ({"frame_interval": 3}, True),
        ({"latency_mode": "low"}, True),
        ({"settle_s": 1.0}, False),
        ({"min_coverage": 0.9}, False),
        ({"start_offset_s": 2.0}, False),
        ({"base_url": "http://127.0.0.1:1"}, False),
        ({"ingest_url": "rtmp://example.com/live"}, False),
    ],
)
def test_settings_change_with_what_changes_an_answer(change: dict[str, Any], *, matters: bool) -> None:
    assert (build(quick()).settings != build(quick(**change)).settings) == matters


async def test_more_pages_than_allowed_are_no_answer_rather_than_half_of_one(
    server: VisionularServer, clip: Path
) -> None:
    server.max_limit = 1
    endpoint = made(server, max_pages=1)
    await endpoint.open()
    with pytest.raises(EndpointError, match="max_pages") as caught:
        await played(endpoint, clip, CLIP_S)
    assert caught.value.failure is Failure.REFUSED
    await endpoint.close()
    assert not server.left_open
