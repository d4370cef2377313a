from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.errors import MediaError
from batch_scan.media.play import Played, PlaySpec, Progress, moment_in_file, play
from batch_scan.sandbox.visionular.server import VisionularServer
from batch_scan.vocabulary import Reason
from tests.corpus_media import H264, hls_in_disguise, make, numbered_source, numbered_video
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = st.floats(0, 1000, allow_nan=False)


@pytest.fixture
def server() -> Iterator[VisionularServer]:
    with VisionularServer(judge=ScriptedJudge()) as running:
        yield running


def target(server: VisionularServer) -> str:
    audit = {"frame_interval": 1, "models": {"nude": 0.5}}
    return f"{server.ingest_url}/{server.create_stream('', audit).key}"


async def push(server: VisionularServer, path: Path, seconds: float, **spec: Any) -> Played:
    played = await play(path, 0, target(server), PlaySpec(**spec), duration_s=seconds)
    await asyncio.to_thread(server.wait_until_quiet)
    return played


async def test_h264_goes_out_as_it_is_at_its_own_speed(server: VisionularServer, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.mp4", 3, sound=True)
    began_s = time.monotonic()
    played = await push(server, path, 3.0)
    assert time.monotonic() - began_s > 2.0
    assert played.copied
    assert played.seconds == pytest.approx(3.0, abs=0.2)
    assert server.sessions[0].played_s == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        pytest.param("film.mkv", ("-c:v", "mpeg4"), id="another codec"),
        pytest.param("film.webm", ("-c:v", "libvpx", "-deadline", "realtime"), id="webm"),
        pytest.param("film.mp4", (*H264[:4], "-pix_fmt", "yuv422p"), id="H.264 that few decoders take"),
    ],
)
async def test_what_does_not_fit_is_encoded_anew(
    server: VisionularServer, tmp_path: Path, name: str, args: tuple[str, ...]
) -> None:
    path = make(tmp_path / name, *numbered_source(1.5, size="322x242"), *args)
    played = await push(server, path, 1.5)
    assert not played.copied
    assert server.sessions[0].played_s == pytest.approx(1.5, abs=0.3)


async def test_a_film_that_is_shown_turned_goes_out_upright(server: VisionularServer, tmp_path: Path) -> None:
    lying = make(tmp_path / "lying.mp4", *numbered_source(1.5, size="322x242"), *H264)
    turned = make(tmp_path / "turned.mp4", "-display_rotation", "90", "-i", str(lying), "-c", "copy")
    assert (await push(server, lying, 1.5)).copied
    assert not (await push(server, turned, 1.5)).copied


async def test_above_the_bit_rate_or_of_unknown_length_it_is_encoded_anew(
    server: VisionularServer, tmp_path: Path
) -> None:
    path = numbered_video(tmp_path / "film.mp4", 1)
    assert not (await push(server, path, 1.0, max_kbps=10)).copied
    assert not (await push(server, path, 0.0)).copied


async def test_sound_goes_with_it_where_it_is_wanted(server: VisionularServer, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.mp4", 1, sound=True)
    assert (await push(server, path, 1.0, sound=True)).seconds == pytest.approx(1.0, abs=0.3)
    assert server.sessions[0].frames == 10


async def test_it_ends_at_the_cap(server: VisionularServer, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.mp4", 20)
    assert (await push(server, path, 20.0, max_s=1.0)).seconds == pytest.approx(1.0, abs=0.2)


async def test_the_key_is_not_in_what_is_said_of_a_refusal(server: VisionularServer, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.mp4", 1)
    with pytest.raises(MediaError) as caught:
        await play(path, 0, f"{server.ingest_url}/a-secret-key", PlaySpec(), duration_s=1.0)
    assert "there is no such stream" in caught.value.detail
    assert "a-secret-key" not in caught.value.detail
    assert server.ingest_url not in caught.value.detail


async def test_nobody_there_is_told(tmp_path: Path, server: VisionularServer) -> None:
    path = numbered_video(tmp_path / "film.mp4", 1)
    where = target(server)
    server.stop()
    with pytest.raises(MediaError) as caught:
        await play(path, 0, where, PlaySpec(), duration_s=1.0)
    assert caught.value.reason is Reason.DAMAGED


async def test_a_playlist_in_disguise_is_not_played(server: VisionularServer, tmp_path: Path) -> None:
    other = numbered_video(tmp_path / "other.ts", 1)
    path = hls_in_disguise(tmp_path / "film.mp4", other)
    with pytest.raises(MediaError) as caught:
        await play(path, 0, target(server), PlaySpec(), duration_s=1.0)
    assert caught.value.reason is Reason.NOT_MEDIA
    assert not server.sessions


async def test_a_file_that_is_gone_is_told(server: VisionularServer, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        await play(tmp_path / "gone.mp4", 0, target(server), PlaySpec(), duration_s=1.0)
    assert caught.value.reason is Reason.UNREADABLE


async def test_cancelled_the_push_ends(server: VisionularServer, tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "film.mp4", 20)
    pushing = asyncio.create_task(play(path, 0, target(server), PlaySpec(), duration_s=20.0))
    await asyncio.to_thread(server.wait_for_sessions, 1)
    pushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pushing
    await asyncio.to_thread(server.wait_until_quiet)


@given(st.lists(st.tuples(_SECONDS, _SECONDS), max_size=5), _SECONDS, st.floats(-100, 2000))
def test_a_moment_in_the_file_is_never_outside_what_was_played(
    beats: list[tuple[float, float]], played_s: float, session_s: float
) -> None:
    ordered = ((0.0, 0.0), *sorted(beats))
    assert 0.0 <= moment_in_file(ordered, played_s, session_s) <= played_s


def test_falling_behind_and_catching_up_is_noted() -> None:
    progress = Progress()
    for played_s, now_s in ((0.0, 99.0), (0.5, 100.0), (1.5, 101.1), (1.6, 104.0), (4.5, 104.1), (5.0, 104.6)):
        progress.take(played_s, now_s)
    assert progress.played_s == 5.0
    assert progress.beats == [(0.0, 0.0), (4.5, 2.9), (4.6, 0.1)]
    assert [moment_in_file(tuple(progress.beats), 5.0, at_s) for at_s in (1.0, 4.55, 5.0)] == pytest.approx(
        [1.0, 1.65, 4.9]
    )
