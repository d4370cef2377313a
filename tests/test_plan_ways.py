from __future__ import annotations

from dataclasses import replace

import pytest

from batch_scan.media.ways import FrameWork, SoundWork, Whole
from batch_scan.model import AudioTrack, FileResult, FileRow, Item, MediaInfo, VideoTrack
from batch_scan.plan_ways import WayCount, ways_told
from batch_scan.vocabulary import Status, Verdict

SELECTIVE = FrameWork(
    track=0,
    interval_s=10.7,
    packets=7500,
    keyframes=150,
    group_s=2.0,
    behind_s=1.0,
    sent=700,
    decoded=370,
    taken=29,
    cpu_s=3.0,
)
KEYFRAMES = replace(SELECTIVE, sent=29, decoded=29, alone=28, cpu_s=1.0)
WHOLE = replace(SELECTIVE, keyframes=0, group_s=0.0, sent=7500, decoded=7500, cpu_s=46.0, whole=Whole.NO_TIMES)
COVER = FrameWork(1, 10.7, packets=1, sent=1, decoded=1, taken=1, whole=Whole.COVER)


def result(*works: FrameWork) -> FileResult:
    tracks = (VideoTrack(0, "h264", 1920, 1080, 300.0), VideoTrack(1, "mjpeg", 100, 100, None, is_cover=True))
    media = MediaInfo("mp4", 300.0, (), tracks)
    row = FileRow(Item(0, "/a", "0:/a", "/a"), Verdict.KEEP, Status.COMPLETE, media=media)
    return FileResult(row, frame_works=works)


def test_a_pass_tells_what_it_decodes_and_what_it_spares() -> None:
    (told,) = ways_told(result(SELECTIVE))
    said, cost = told.split("; ")
    assert said == "one pass, 370 of 7,500 pictures decoded: keyframes every 2.0 s, one wanted every 10.7 s"
    assert cost.startswith("3.0 s of CPU, about ")
    assert cost.endswith(" were every picture decoded")


def test_an_interval_below_the_distance_of_keyframes_is_the_reason_for_decoding_much() -> None:
    (told,) = ways_told(result(replace(SELECTIVE, interval_s=1.0, sent=7000, decoded=3000, taken=300, cpu_s=20.0)))
    assert told.startswith(
        "one pass, 3,000 of 7,500 pictures decoded: one wanted every 1.0 s, less than the 2.0 s between keyframes"
    )


def test_keyframes_alone_answer_what_is_wanted() -> None:
    (told,) = ways_told(result(KEYFRAMES))
    said = "keyframes alone, 29 of 7,500 pictures decoded: keyframes every 2.0 s answer one wanted every 10.7 s; "
    assert told.startswith(said)


def test_a_single_keyframe_is_told_as_one() -> None:
    (told,) = ways_told(result(replace(KEYFRAMES, packets=41, keyframes=1, group_s=0.0, decoded=1, taken=1, cpu_s=0.0)))
    assert told == "keyframes alone, 1 of 41 pictures decoded: a single keyframe answers one wanted every 10.7 s"


@pytest.mark.parametrize("why", [why for why in Whole if why is not Whole.COVER])
def test_a_film_decoded_whole_has_its_reason(why: Whole) -> None:
    (told,) = ways_told(result(replace(WHOLE, whole=why)))
    assert told.startswith("every picture decoded: ")
    assert not told.startswith("every picture decoded: ;")
    assert told.endswith("; 46.0 s of CPU")


def test_a_photograph_is_a_single_picture_and_a_cover_is_not_told() -> None:
    photograph = FrameWork(0, 5.0, packets=1, keyframes=1, sent=1, decoded=1, taken=1, cpu_s=0.01)
    assert ways_told(result(photograph)) == ["a single picture"]
    assert ways_told(result(COVER)) == []


def test_ways_are_counted_over_files() -> None:
    count = WayCount()
    for works in ((SELECTIVE, COVER), (SELECTIVE,), (KEYFRAMES,), (WHOLE,), ()):
        count.add(result(*works))
    assert count.text.startswith(
        "4 films, 2 in one pass up to each wanted picture, 1 by keyframes alone, 1 with every picture decoded; "
        "8,269 of 30,000 pictures; 53.0 s of CPU, about "
    )
    assert count.values == {
        "tracks": {"selective": 2, "keyframes": 1, "whole": 1},
        "pictures": 30_000,
        "pictures_decoded": 8269,
        "cpu_s": 53.0,
        "whole_cpu_s": pytest.approx(count.whole_s, abs=0.001),
    }
    assert count.whole_s > 100


def test_an_archive_without_films_has_nothing_to_tell() -> None:
    count = WayCount()
    count.add(result(COVER))
    assert count.text == ""
    assert count.values["tracks"] == {}


def sounding(*works: SoundWork) -> FileResult:
    tracks = (AudioTrack(0, "mp3", 2, 44_100, 90.0), AudioTrack(1, "opus", 2, 48_000, 90.0))[: len(works)]
    row = FileRow(Item(0, "/a", "0:/a", "/a"), Verdict.KEEP, Status.COMPLETE, media=MediaInfo("matroska", 90.0, tracks))
    return FileResult(row, sound_works=works)


def test_sound_that_is_copied_is_told_and_why_it_is_not() -> None:
    decoded = SoundWork(1, because="opus is taken by nobody undecoded")
    assert ways_told(sounding(SoundWork(0, copied_s=90.0))) == ["sound copied: 1 min 30 s of mp3, taken undecoded"]
    assert ways_told(sounding(SoundWork(0, copied_s=90.0), decoded)) == [
        "sound of track 0 copied: 1 min 30 s of mp3, taken undecoded",
        "sound of track 1 decoded: opus is taken by nobody undecoded",
    ]
