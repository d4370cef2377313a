"""Which pictures are taken, and under which times, against what is known by construction."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_scan.media import wire
from batch_scan.media.ways import FrameWork, Way, Whole, costs_s, predict
from batch_scan.media.worker_frames import TrackFrames
from batch_scan.media.worker_open import LibavLog, open_media
from batch_scan.media.worker_probe import describe
from tests.corpus_media import (
    H264,
    corrupted,
    gap_bomb,
    hole_video,
    long_video,
    make,
    numbered_source,
    numbered_video,
    recut,
    shown_number,
    still_video,
    tiny_clip,
    truncated,
    with_duration,
)

SECONDS = 11.2
X264 = ("-c:v", "libx264", "-preset", "medium", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params")
QUIET = "log-level=none:keyint=20:bframes=4"
FILMS: dict[str, tuple[str, ...]] = {
    "closed.mp4": (*X264, "-g", "25"),
    "one_group.mp4": (*X264, "-g", "250"),
    "open.mp4": (*X264, "-x264-params", "open-gop=1:keyint=12:min-keyint=12:scenecut=0"),
    "open.ts": (*X264, "-x264-params", "open-gop=1:keyint=12:bframes=5:b-pyramid=normal:scenecut=0"),
    "refresh.mp4": (*X264, "-x264-params", "intra-refresh=1:keyint=20"),
    "all_key.mp4": (*X264, "-g", "1"),
    "fragments.mp4": (*X264, "-g", "20", "-movflags", "frag_keyframe+empty_moov"),
    "interlaced.ts": (*X264, "-flags", "+ildct+ilme", "-g", "20"),
    "h264.mkv": (*X264, "-g", "20", "-bf", "5"),
    "h264.avi": (*X264, "-g", "20", "-bf", "3"),
    "h264.flv": (*X264, "-g", "20"),
    "hevc_open.mp4": (*X265, f"{QUIET}:open-gop=1"),
    "hevc_open.ts": (*X265, f"{QUIET}:open-gop=1"),
    "hevc_leading.mkv": (*X265, f"{QUIET}:open-gop=0:radl=2"),
    "vp8.webm": ("-c:v", "libvpx", "-g", "20", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-b:v", "200k"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-g", "20", "-lag-in-frames", "10", "-cpu-used", "8", "-b:v", "200k"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "12", "-g", "20"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-q:v", "3"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-q:v", "3"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "20", "-q:v", "3"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3"),
    "wmv.wmv": ("-c:v", "wmv2", "-g", "20", "-b:v", "500k"),
    "theora.ogv": ("-c:v", "libtheora", "-g", "20", "-q:v", "7"),
    "animated.gif": ("-c:v", "gif"),
}
ONLY_25 = {"mpeg2.ts", "mpeg2.mpg"}

LOG = LibavLog()
DEFAULTS: dict[str, Any] = {
    "mode": "exact",
    "interval_s": 2.0,
    "longest_px": 320,
    "tolerance_s": 0.0,
    "max_frames": 0,
    "dedup": False,
    "jpeg_quality": 85,
    "max_streams": 64,
    "max_pixels": 100_000_000,
    "max_duration_s": 86_400.0,
    "max_wanted_frames": 100_000,
}


class Taken:
    """What a worker says about the first picture track of a file."""

    def __init__(self, path: Path, **changes: Any) -> None:
        request = {**DEFAULTS, **changes, "path": str(path)}
        self.pictures: list[wire.Picture] = []
        self.shortfalls: list[tuple[str, str]] = []
        self.tally: dict[str, int] = {}
        LOG.reset()
        with open_media(request["path"], request, LOG) as container:
            info = describe(container, LOG)
        request["duration_s"] = info["duration_s"]
        track = next(track for track in info["tracks"] if track["type"] == "video")
        TrackFrames(request, track, LOG, self._take).run()

    def _take(self, message: bytes) -> None:
        kind, _ = wire.unpack_header(message[: wire.HEADER.size])
        body = message[wire.HEADER.size :]
        if kind is wire.Kind.PICTURE:
            self.pictures.append(wire.unpack_picture(body))
        elif kind is wire.Kind.SHORTFALL:
            told = wire.unpack_json(body)
            self.shortfalls.append((told["reason"], told["detail"]))
        else:
            told = wire.unpack_json(body)
            work = told.pop("work")
            self.tally = told
            self.work = FrameWork(**{**work, "whole": work["whole"] and Whole(work["whole"])})

    @property
    def shown(self) -> list[tuple[float, int]]:
        """Time and number of each picture."""
        return [(round(picture.start_s, 3), shown_number(picture.jpeg)) for picture in self.pictures]

    @property
    def reasons(self) -> set[str]:
        return {reason for reason, _ in self.shortfalls}


def wanted_numbers(count: int, fps: int, interval_s: float) -> list[int]:
    """The pictures that are wanted of `count` at a constant rate, told from the definition."""
    wanted = []
    index = 0
    while index * interval_s < count / fps - 1e-6:
        wanted.append(min(math.ceil(index * interval_s * fps - 1e-5), count - 1))
        index += 1
    return sorted(set(wanted))


@pytest.fixture(autouse=True)
def _libav_may_complain(expected_errors: list[str]) -> None:
    """What libav says of damaged files in this process is kept by `LibavLog` and is no error of ours."""
    expected_errors.append("")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def film(films: Path, name: str) -> tuple[Path, int]:
    """A film by its name, and its pictures per second."""
    path, fps = films / name, 25 if name in ONLY_25 else 10
    if not path.exists():
        numbered_video(path, SECONDS, *FILMS[name], fps=fps, size="160x120")
    return path, fps


@pytest.mark.parametrize("name", FILMS)
def test_the_right_pictures_come_under_their_true_times(films: Path, name: str) -> None:
    path, fps = film(films, name)
    for interval_s in (0.04, 0.3, 0.7, 1.0, 2.0, 3.3, 5.0, 30.0):
        taken = Taken(path, interval_s=interval_s)
        numbers = wanted_numbers(round(SECONDS * fps), fps, interval_s)
        assert taken.shown == [(round(number / fps, 3), number) for number in numbers]
        assert taken.shortfalls == []
        assert taken.tally == {"track": 0, "planned": len(numbers), "extracted": len(numbers), "deduplicated": 0}


@pytest.mark.parametrize("name", ["open.ts", "one_group.mp4", "hevc_leading.mkv", "vp9.webm"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(interval_ms=st.integers(50, 12_000))
def test_any_interval_gives_the_right_pictures(films: Path, name: str, interval_ms: int) -> None:
    path, fps = film(films, name)
    numbers = wanted_numbers(round(SECONDS * fps), fps, interval_ms / 1000)
    assert [number for _, number in Taken(path, interval_s=interval_ms / 1000).shown] == numbers


# ----------------------------------------------------------------------------------------------------------- the way


@pytest.mark.parametrize("name", ["closed.mp4", "h264.mkv", "mpeg2.ts", "vp9.webm", "mjpeg.avi"])
@pytest.mark.parametrize("interval_s", [0.5, 3.3])
def test_a_pass_decodes_about_as_many_pictures_as_the_model_says(films: Path, name: str, interval_s: float) -> None:
    path, fps = film(films, name)
    work = Taken(path, interval_s=interval_s).work
    codec = {"mpeg2.ts": "mpeg2video", "vp9.webm": "vp9", "mjpeg.avi": "mjpeg"}.get(name, "h264")
    predicted = predict(work, codec)
    assert work.packets == round(SECONDS * fps)
    assert work.taken <= work.decoded <= work.sent <= work.packets
    assert predicted[work.way].pictures / 2 <= work.decoded <= 2 * predicted[work.way].pictures
    assert costs_s(work, codec)[work.way] == work.cpu_s > 0


@pytest.mark.parametrize("name", ["closed.mp4", "h264.mkv", "h264.flv", "vp9.webm", "fragments.mp4"])
def test_nothing_behind_a_wanted_picture_is_decoded_to_get_it_out(films: Path, name: str) -> None:
    path, fps = film(films, name)
    with av.open(str(path)) as container:
        start_s, stream = (container.start_time or 0) / 1e6, container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        numbers = [round((float((packet.pts or 0) * (stream.time_base or 0)) - start_s) * fps) for packet in packets]
        keys = [at for at, packet in enumerate(packets) if packet.is_keyframe]
    wanted = wanted_numbers(round(SECONDS * fps), fps, 3.3)
    places = [numbers.index(number) for number in wanted]
    needed = sum(place + 1 - max(key for key in keys if key <= place) for place in places)
    work = Taken(path, interval_s=3.3).work
    assert work.sent == needed
    assert work.alone == sum(place in keys for place in places if name != "vp9.webm")  # VP9 holds nothing back


def test_a_keyframe_of_a_film_in_interlaced_pictures_is_decoded_alone(films: Path) -> None:
    work = Taken(film(films, "interlaced.ts")[0], interval_s=3.0, mode="keyframe").work
    assert work.sent == work.decoded == work.alone == work.taken == 4


def test_a_track_tells_how_far_apart_its_keyframes_are(films: Path) -> None:
    work = Taken(film(films, "closed.mp4")[0], interval_s=3.3).work
    with av.open(str(films / "closed.mp4")) as container:
        ticks = [packet.pts or 0 for packet in container.demux(video=0) if packet.is_keyframe]
        keys_s = [at * float(container.streams.video[0].time_base or 0) for at in ticks]
    groups_s = np.diff(keys_s)
    assert work.keyframes == len(keys_s) > 3
    assert work.group_s == pytest.approx(groups_s.mean())
    assert work.behind_s == pytest.approx((groups_s**2).sum() / groups_s.sum() / 2)
    assert (work.way, work.whole) == (Way.SELECTIVE, None)
    assert work.sent < work.packets


def test_keyframes_decoded_alone_are_told(films: Path) -> None:
    work = Taken(film(films, "all_key.mp4")[0], interval_s=2.5).work
    assert (work.way, work.decoded, work.taken) == (Way.KEYFRAMES, 5, 5)
    assert Taken(film(films, "vp9.webm")[0], interval_s=3.0, mode="keyframe").work.way is Way.KEYFRAMES


def test_a_single_picture_is_a_keyframe(tmp_path: Path) -> None:
    assert Taken(tiny_clip(tmp_path / "a.mp4")).work.way is Way.KEYFRAMES


def test_every_picture_decoded_is_told_with_its_reason(films: Path, tmp_path: Path) -> None:
    raw = make(tmp_path / "raw.h264", "-i", str(film(films, "closed.mp4")[0]), "-c", "copy")
    timeless = Taken(raw, interval_s=2.0).work
    assert (timeless.way, timeless.whole, timeless.decoded) == (Way.WHOLE, Whole.NO_TIMES, timeless.packets)


@pytest.mark.parametrize("name", ["closed.mp4", "hevc_open.ts", "vp9.webm", "mpeg4.avi"])
def test_keyframe_mode_takes_keyframes_under_their_own_times(films: Path, name: str) -> None:
    path, fps = film(films, name)
    taken = Taken(path, interval_s=3.0, mode="keyframe")
    assert all(number == round(time_s * fps) for time_s, number in taken.shown)
    assert 3 <= len(taken.shown) <= 4
    assert taken.shortfalls == []


def test_keyframe_mode_does_not_let_a_film_of_one_keyframe_pass_with_one_picture(films: Path) -> None:
    path = numbered_video(films / "endless_group.mp4", 40, *H264, "-g", "9999", size="160x120")
    assert [number for _, number in Taken(path, interval_s=5.0, mode="keyframe").shown] == list(range(0, 400, 50))


def test_a_keyframe_within_the_tolerance_is_taken_instead(films: Path) -> None:
    path, _ = film(films, "closed.mp4")  # keyframes at the latest every 2.5 s
    taken = Taken(path, interval_s=2.4, tolerance_s=0.3)
    exact = [number for _, number in Taken(path, interval_s=2.4).shown]
    assert [abs(number - other) <= 3 for (_, number), other in zip(taken.shown, exact, strict=True)] == [True] * 5
    assert all(number == round(time_s * 10) for time_s, number in taken.shown)


@pytest.mark.parametrize("codec", [X264, (*X265, "log-level=none:keyint=50")])
def test_fast_mode_looks_the_same_to_the_eye(tmp_path: Path, codec: tuple[str, ...]) -> None:
    moving = "testsrc2=s=640x360:r=25:d=4,noise=alls=6:allf=t"
    path = make(tmp_path / "a.mp4", "-f", "lavfi", "-i", moving, *codec, "-g", "50")
    exact, fast = (Taken(path, interval_s=0.7, longest_px=640, mode=mode).pictures for mode in ("exact", "fast"))
    errors = [
        np.mean(np.square(np.subtract(*(simplejpeg.decode_jpeg(one.jpeg, "GRAY").astype(float) for one in pair))))
        for pair in zip(exact, fast, strict=True)
    ]
    assert 0 < max(errors) < 255**2 / 10**4  # 40 dB


def test_fast_mode_takes_the_same_pictures(films: Path) -> None:
    path, _ = film(films, "closed.mp4")
    assert Taken(path, mode="fast").shown == Taken(path).shown


def test_a_cap_spreads_the_pictures_over_the_film(films: Path) -> None:
    taken = Taken(film(films, "closed.mp4")[0], interval_s=1.0, max_frames=3)
    times_s = [time_s for time_s, _ in taken.shown]
    assert len(times_s) == 3
    assert times_s[-1] > SECONDS / 2
    assert taken.tally["planned"] == 3
    assert taken.shortfalls == []


def test_a_clip_shorter_than_the_interval_gives_its_first_picture(tmp_path: Path) -> None:
    taken = Taken(tiny_clip(tmp_path / "tiny.mp4"), interval_s=5.0)
    assert taken.shown == [(0.0, 0)]
    assert taken.tally["planned"] == 1


def test_a_still_picture_counts_as_a_film_of_one_picture(tmp_path: Path) -> None:
    for name in ("picture.png", "picture.jpg", "picture.webp", "%03d.png"):
        path = make(tmp_path / name.replace("%", "%%"), *numbered_source(0.1), "-frames:v", "1", "-update", "1")
        taken = Taken(path.rename(tmp_path / f"_{name}"))
        assert [time_s for time_s, _ in taken.shown] == [0.0]
        assert taken.shortfalls == []


def test_the_last_wanted_time_before_the_end_gets_the_last_picture(films: Path) -> None:
    path, _ = film(films, "closed.mp4")
    assert Taken(path, interval_s=11.15).shown == [(0.0, 0), (11.1, 111)]


def test_a_hole_in_the_time_line_gives_the_next_picture_once(tmp_path: Path) -> None:
    taken = Taken(hole_video(tmp_path / "hole.mkv"), interval_s=1.0)
    assert taken.shown == [(0.0, 0), (1.0, 10), (12.0, 20), (13.0, 30)]
    assert taken.shortfalls == []
    assert taken.tally["planned"] == 4


def test_a_hole_of_hours_costs_nothing(tmp_path: Path) -> None:
    taken = Taken(gap_bomb(tmp_path / "bomb.mkv"), interval_s=0.1)
    assert taken.shown == [(0.0, 0), (20_000.0, 1)]


def test_recordings_joined_end_to_end_are_looked_at_wholly(films: Path) -> None:
    path = films / "joined.ts"
    path.write_bytes(film(films, "open.ts")[0].read_bytes() * 3)
    taken = Taken(path, interval_s=1.0)
    times_s = [time_s for time_s, _ in taken.shown]
    assert len(times_s) == 34
    assert times_s == sorted(times_s)
    assert times_s[-1] == pytest.approx(33, abs=0.3)


def test_a_film_that_starts_late_keeps_the_time_line_of_its_sound(tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=d=8")
    path = make(tmp_path / "late.mkv", *sound, "-itsoffset", "3", *numbered_source(5), *H264, "-c:a", "aac")
    start_s = Taken(path, interval_s=2.0).shown[0][0]
    assert start_s == pytest.approx(3.0, abs=0.03)


def test_a_cut_recording_begins_with_what_can_be_decoded(films: Path) -> None:
    path = films / "cut.ts"
    path.write_bytes(film(films, "open.ts")[0].read_bytes()[188 * 40 :])
    taken = Taken(path)
    assert len(taken.shown) >= 4
    assert taken.shortfalls == []


@pytest.mark.parametrize("name", ["closed.mp4", "open.ts", "hevc_open.ts", "vp9.webm", "av1.mkv", "mpeg2.ts"])
@pytest.mark.parametrize("mode", ["exact", "keyframe"])
def test_a_recording_that_begins_between_keyframes_lacks_nothing(films: Path, name: str, mode: str) -> None:
    suffix = ".ts" if name.endswith(".ts") else ".mkv"
    given, _ = film(films, name)
    if name == "av1.mkv":  # PyAV copies no track that it has no encoder for
        path = make(films / "begun_av1.mkv", "-i", str(given), "-c", "copy", "-bsf:v", r"noise=drop=lt(n\,7)")
    else:
        path = recut(given, films / f"begun_{name}{suffix}", from_s=0.3)
    taken = Taken(path, interval_s=5.0, mode=mode)
    assert taken.shortfalls == []
    assert taken.pictures
    assert taken.work.whole is None


def test_a_recording_cut_at_any_packet_lacks_nothing(films: Path) -> None:
    data = film(films, "open.ts")[0].read_bytes()
    for skipped in (1, 17, 59, 83, 113):
        (films / "any.ts").write_bytes(data[188 * skipped :])
        assert Taken(films / "any.ts", interval_s=5.0).shortfalls == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("mode", ["exact", "fast", "keyframe"])
def test_a_first_keyframe_that_cannot_be_decoded_is_told_with_what_hangs_on_it(
    films: Path, tmp_path: Path, suffix: str, mode: str
) -> None:
    given, _ = film(films, "h264.avi" if suffix == "avi" else "h264.mkv")
    path = recut(given, tmp_path / f"a.{suffix}", nonsense_s=(0.0, 0.15))
    taken = Taken(path, interval_s=5.0, mode=mode)
    ((reason, detail),) = taken.shortfalls
    assert reason == "damaged"
    assert "from 0.0 s to 2.0 s" in detail
    assert taken.pictures[0].start_s == pytest.approx(2.0, abs=0.1)


def test_nonsense_for_less_than_half_a_second_is_within_what_a_beginning_may_lack(films: Path, tmp_path: Path) -> None:
    path = recut(film(films, "all_key.mp4")[0], tmp_path / "a.mkv", nonsense_s=(0.0, 0.35))
    assert Taken(path, interval_s=5.0).shortfalls == []
    path = recut(film(films, "all_key.mp4")[0], tmp_path / "b.mkv", nonsense_s=(0.0, 0.65))
    assert Taken(path, interval_s=5.0).reasons == {"damaged"}


def test_a_beginning_known_to_be_damaged_is_told_where_no_keyframe_is_left_of_it(tmp_path: Path) -> None:
    whole = numbered_video(tmp_path / "a.ts", 10, *X264, "-g", "20")
    packets = bytearray(recut(whole, tmp_path / "b.ts", from_s=0.3).read_bytes())
    picture_at = [at for at in range(0, len(packets), 188) if packets[at + 1] & 0x1F == 1 and packets[at + 2] == 0]
    packets[picture_at[1] + 1] |= 0x80  # transport error: the receiver knew
    (tmp_path / "b.ts").write_bytes(packets)
    ((reason, detail),) = Taken(tmp_path / "b.ts", interval_s=5.0).shortfalls
    assert reason == "damaged"
    assert "from 0.0 s to 1." in detail


def test_what_can_be_decoded_without_a_keyframe_is_looked_at(films: Path, tmp_path: Path) -> None:
    path = recut(film(films, "mpeg4.avi")[0], tmp_path / "a.mkv", from_s=0.3)
    taken = Taken(path, interval_s=5.0)
    assert taken.pictures[0].start_s == pytest.approx(0.0, abs=0.15)
    assert taken.work.whole is Whole.NO_KEYFRAME


def test_pictures_before_an_edit_list_are_not_missing(tmp_path: Path) -> None:
    whole = numbered_video(tmp_path / "whole.mp4", 10, *X264, "-g", "40")
    path = make(tmp_path / "a.mp4", "-ss", "2.5", "-i", str(whole), "-c", "copy")
    taken = Taken(path, interval_s=3.0)
    assert taken.shown[0] == (0.0, 25)
    assert taken.shortfalls == []


def test_pictures_that_change_size_in_mid_stream_are_taken(tmp_path: Path) -> None:
    small = make(tmp_path / "a.ts", *numbered_source(3, 10, "160x120"), *H264, "-g", "10")
    large = make(tmp_path / "b.ts", *numbered_source(3, 10, "320x240"), *H264, "-g", "10", "-output_ts_offset", "3")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    numbers = [number for _, number in Taken(both, interval_s=1.0).shown]
    assert numbers[:3] == [0, 10, 20]
    assert len(numbers) == 6


def test_an_unmoving_film_is_one_picture_a_minute(tmp_path: Path) -> None:
    path = still_video(tmp_path / "still.mp4", 150, *H264, "-g", "50", fps=2)
    taken = Taken(path, interval_s=5.0, dedup=True)
    assert [(picture.start_s, picture.end_s, picture.stands_for) for picture in taken.pictures] == [
        (0.0, 60.0, 13),
        (65.0, 125.0, 13),
        (130.0, 145.0, 4),
    ]
    assert taken.tally == {"track": 0, "planned": 30, "extracted": 30, "deduplicated": 27}


def test_a_small_change_in_an_unmoving_film_is_seen(tmp_path: Path) -> None:
    spot = "drawbox=x=500:y=300:w=10:h=10:color=gray:t=fill:enable='between(t,9,11)'"
    source = ("-f", "lavfi", "-i", f"smptebars=s=1280x720:r=2:d=20,{spot}")
    path = make(tmp_path / "spot.mp4", *source, *H264, "-g", "10")
    taken = Taken(path, interval_s=2.0, dedup=True, longest_px=640)
    assert [picture.start_s for picture in taken.pictures] == [0.0, 10.0, 12.0]


def test_a_small_change_in_a_large_picture_is_seen(tmp_path: Path) -> None:
    spot = "drawbox=x=2000:y=1100:w=14:h=14:c=0x909090:t=fill:enable='gte(t,5)'"
    source = ("-f", "lavfi", "-i", f"color=c=0x606060:s=4096x2304:r=1:d=8,{spot}")
    path = make(tmp_path / "spot.mp4", *source, *H264)
    taken = Taken(path, interval_s=2.0, dedup=True, longest_px=4096)
    assert [picture.start_s for picture in taken.pictures] == [0.0, 6.0]


def test_a_faint_change_in_the_dark_is_seen(tmp_path: Path) -> None:
    bar = "drawbox=x=100:y=100:w=8:h=60:c=0x0c0c0c:t=fill:enable='gte(t,5)'"
    path = make(tmp_path / "dark.mp4", "-f", "lavfi", "-i", f"color=c=black:s=640x360:r=1:d=8,{bar}", *H264)
    taken = Taken(path, interval_s=2.0, dedup=True, longest_px=640)
    assert [picture.start_s for picture in taken.pictures] == [0.0, 6.0]


@pytest.mark.parametrize("light", [1, 0.1])
def test_an_unmoving_picture_is_its_own_twin_however_coarsely_it_was_coded(tmp_path: Path, light: float) -> None:
    dimmed = f"lutyuv=y=16+(val-16)*{light}:u=128+(val-128)*{light}:v=128+(val-128)*{light}"
    still = f"mandelbrot=s=640x360:r=5,trim=end_frame=1,{dimmed},loop=60:1,setpts=N/5/TB"
    path = make(tmp_path / "a.mp4", "-f", "lavfi", "-i", still, *H264, "-crf", "30", "-g", "12", "-t", "12")
    taken = Taken(path, interval_s=2.0, dedup=True, longest_px=640)
    assert [picture.stands_for for picture in taken.pictures] == [6]


# ------------------------------------------------------------------------------------------------------- damage


@pytest.fixture(scope="session")
def whole(films: Path) -> Path:
    return numbered_video(films / "whole.mp4", 30, *H264, "-g", "20", "-movflags", "+faststart", sound=True)


def test_half_a_film_is_told_with_both_figures(tmp_path: Path, whole: Path) -> None:
    taken = Taken(truncated(whole, tmp_path / "half.mp4", 0.47))
    assert taken.tally["planned"] == 15
    assert taken.tally["extracted"] == len(taken.shown) < 10
    ((reason, detail),) = taken.shortfalls
    assert reason == "damaged"
    assert "of 30.0 s declared" in detail


@pytest.mark.parametrize("suffix", ["mkv", "webm", "flv"])
def test_truncation_is_told_in_every_container_that_declares_a_length(tmp_path: Path, suffix: str) -> None:
    codec = ("-c:v", "libvpx", "-b:v", "300k") if suffix == "webm" else (*H264, "-g", "20")
    path = truncated(numbered_video(tmp_path / f"a.{suffix}", 20, *codec), tmp_path / f"half.{suffix}")
    taken = Taken(path)
    assert taken.reasons == {"damaged"}
    assert taken.tally["planned"] == 10
    assert len(taken.shown) < 8


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_damage_inside_is_never_a_silent_hole(tmp_path: Path, suffix: str) -> None:
    codec = ("-c:v", "mpeg4", "-g", "20") if suffix == "avi" else (*H264, "-g", "20")
    path = numbered_video(tmp_path / f"a.{suffix}", 30, *codec)
    taken = Taken(corrupted(path, tmp_path / f"b.{suffix}", 0.3, 0.6))
    assert "damaged" in taken.reasons
    assert taken.tally["planned"] > 12


def test_a_hole_left_by_lost_packets_is_told(tmp_path: Path) -> None:
    data = numbered_video(tmp_path / "a.ts", 30, *H264, "-g", "20").read_bytes()
    third, half = len(data) // 188 // 3 * 188, len(data) // 188 // 2 * 188
    (tmp_path / "lost.ts").write_bytes(data[:third] + data[half:])
    assert Taken(tmp_path / "lost.ts").reasons == {"damaged"}


def test_sound_that_outlasts_the_pictures_is_no_damage(tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=d=20")
    for name in ("long_sound.mkv", "long_sound.mp4", "long_sound.ts"):
        path = make(tmp_path / name, *numbered_source(5), *sound, *H264, "-c:a", "aac")
        assert Taken(path).shortfalls == []


def test_a_file_that_claims_weeks_is_told_and_bounded(tmp_path: Path) -> None:
    path = with_duration(hole_video(tmp_path / "a.mkv"), tmp_path / "weeks.mkv", 2e6)
    taken = Taken(path, interval_s=1.0)
    assert taken.reasons == {"damaged"}
    assert taken.tally["planned"] == DEFAULTS["max_wanted_frames"]
    assert len(taken.shown) == 4


def test_more_than_the_longest_duration_is_told(tmp_path: Path) -> None:
    taken = Taken(long_video(tmp_path / "long.mkv", hours=3), max_duration_s=7000.0, interval_s=600.0)
    assert len(taken.shown) == 12
    assert taken.reasons == {"too_long"}
    assert taken.tally["planned"] == 18


def test_more_pictures_than_the_bound_are_told(films: Path) -> None:
    taken = Taken(film(films, "closed.mp4")[0], interval_s=0.1, max_wanted_frames=10)
    assert len(taken.shown) == 10
    assert taken.reasons == {"frame_cap"}


@pytest.mark.parametrize(
    ("name", "codec", "unknown"), [("vp9.webm", b"V_VP9", b"V_QQQ"), ("mjpeg.avi", b"MJPG", b"QQQQ")]
)
def test_a_codec_that_nobody_knows_is_told(
    films: Path, tmp_path: Path, name: str, codec: bytes, unknown: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(film(films, name)[0].read_bytes().replace(codec, unknown))
    assert Taken(path).reasons == {"codec_unsupported"}


def test_a_track_of_noise_is_told(tmp_path: Path, whole: Path) -> None:
    taken = Taken(corrupted(whole, tmp_path / "noise.mp4", 0.1, 1.0))
    assert "damaged" in taken.reasons
    assert taken.tally["extracted"] < taken.tally["planned"]


# --------------------------------------------------------------------- damage that leaves no hole in the time line


def test_what_the_demuxer_complains_of_is_told_where_nothing_else_tells_of_damage(films: Path, tmp_path: Path) -> None:
    data = bytearray(film(films, "theora.ogv")[0].read_bytes())
    pages = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    for end in [*pages[len(pages) // 3 :], len(data)]:
        data[end - 1] ^= 0xFF
    (tmp_path / "a.ogv").write_bytes(data)
    ((reason, detail),) = Taken(tmp_path / "a.ogv", interval_s=5.0).shortfalls
    assert reason == "damaged"
    assert "CRC mismatch!, " in detail


def test_packets_that_are_marked_as_damaged_are_told_though_no_wanted_picture_is_in_them(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.ts", 10, *X264, "-g", "20")
    packets = bytearray(path.read_bytes())
    picture_at = [at for at in range(0, len(packets), 188) if packets[at + 1] & 0x1F == 1 and packets[at + 2] == 0]
    packets[picture_at[30] + 1] |= 0x80  # transport error: the receiver knew
    path.write_bytes(packets)
    ((reason, detail),) = Taken(path, interval_s=30.0).shortfalls
    assert (reason, "marked as damaged" in detail) == ("damaged", True)


def test_recordings_joined_end_to_end_are_not_damaged_for_their_counters(films: Path) -> None:
    path = films / "joined_again.ts"
    path.write_bytes(film(films, "open.ts")[0].read_bytes() * 2)
    assert Taken(path, interval_s=7.0).shortfalls == []


@pytest.mark.parametrize("name", ["theora.ogv", "animated.gif"])
def test_a_film_cut_short_is_told_though_it_declares_no_length(films: Path, tmp_path: Path, name: str) -> None:
    path, _ = film(films, name)
    assert Taken(path).shortfalls == []
    assert Taken(truncated(path, tmp_path / name, 0.6)).reasons == {"damaged"}


def test_an_ogg_film_that_lacks_its_last_pages_is_told(films: Path, tmp_path: Path) -> None:
    data = film(films, "theora.ogv")[0].read_bytes()
    (tmp_path / "a.ogv").write_bytes(data[: data.rindex(b"OggS")])
    ((reason, detail),) = Taken(tmp_path / "a.ogv").shortfalls
    assert (reason, "not whole" in detail) == ("damaged", True)


def test_a_film_cut_short_is_told_though_its_times_jump(tmp_path: Path) -> None:
    whole = numbered_video(tmp_path / "a.ivf", 20, "-c:v", "libvpx", "-g", "20", "-auto-alt-ref", "0")
    data = bytearray(whole.read_bytes())
    frames_at = [32]
    while (following := frames_at[-1] + 12 + int.from_bytes(data[frames_at[-1] :][:4], "little")) < len(data):
        frames_at.append(following)
    for number, at in enumerate(frames_at[100:], 100):
        data[at + 4 : at + 12] = (number - 30).to_bytes(8, "little")
    (tmp_path / "jumps.ivf").write_bytes(data)
    assert Taken(tmp_path / "jumps.ivf").shortfalls == []
    (tmp_path / "half.ivf").write_bytes(data[: frames_at[150]])
    taken = Taken(tmp_path / "half.ivf")
    ((reason, detail),) = taken.shortfalls
    assert (reason, "to 15.0 s of 20.0 s" in detail) == ("damaged", True)
    assert (taken.tally["planned"], taken.tally["extracted"]) == (10, 8)


def without_slice(path: Path, at_s: float) -> Path:
    """A film in MP4 with sliced pictures of which the first of one picture is called something that nobody knows."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        packet = min(packets, key=lambda one: abs(float((one.pts or 0) * (one.time_base or 0)) - at_s))
        content = bytes(packet)
    data = bytearray(path.read_bytes())
    at = data.index(content)
    while data[at + 4] & 0x1F not in {1, 5} if b"avc1" in data else data[at + 4] >> 1 > 21:
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    data[at + 4] = data[at + 4] & 0xE0 | 24 if b"avc1" in data else 48 << 1
    path.write_bytes(data)
    return path


def test_pictures_predicted_from_a_concealed_one_are_damaged_too(tmp_path: Path) -> None:
    sliced = (*X264, "-x264-params", "keyint=40:min-keyint=40:scenecut=0:slices=4:bframes=3:b-pyramid=normal:b-adapt=0")
    path = numbered_video(tmp_path / "a.mp4", 12, *sliced, size="320x240")
    assert Taken(path, interval_s=0.1).shortfalls == []
    without_slice(path, 5.6)
    ((reason, detail),) = Taken(path, interval_s=3.0).shortfalls
    assert (reason, "the picture at 6.0 s is damaged" in detail) == ("damaged", True)
    ((_, detail),) = Taken(path, interval_s=0.1).shortfalls
    assert "the picture at 5.3 s is damaged (26 more pictures alike)" in detail  # to 7.9; its B-pictures lean on it too
    assert Taken(path, interval_s=8.0).shortfalls == []


def test_a_picture_of_which_the_decoder_drops_what_it_cannot_place_is_damaged(tmp_path: Path) -> None:
    sliced = (*X265, "log-level=none:keyint=40:min-keyint=40:scenecut=0:slices=2:bframes=0")
    path = numbered_video(tmp_path / "a.mp4", 8, *sliced, size="320x240")
    assert Taken(path, interval_s=0.1).shortfalls == []
    ((reason, _),) = Taken(without_slice(path, 5.6), interval_s=3.0).shortfalls
    assert reason == "damaged"


@pytest.mark.parametrize("params", ["keyint=300", "keyint=300:open-gop=1", "keyint=40:min-keyint=40:open-gop=1"])
def test_pictures_of_which_predecessors_were_lost_are_damaged(tmp_path: Path, params: str) -> None:
    moving = ("-f", "lavfi", "-i", "testsrc2=s=192x112:r=25:d=14")
    whole = make(tmp_path / "a.mkv", *moving, *X264, "-x264-params", f"{params}:scenecut=0")
    for interval_s in (0.3, 1.0, 5.0):
        assert Taken(whole, interval_s=interval_s).shortfalls == []
    drop = r"noise=drop=gt(n\,40)*eq(mod(n\,7)\,3)*not(key)"
    path = make(tmp_path / "b.mkv", "-i", str(whole), "-c", "copy", "-bsf:v", drop)
    assert Taken(path, interval_s=1.0).reasons == {"damaged"}
