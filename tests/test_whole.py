from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from batch_scan.endpoint.interface import StreamNeeds
from batch_scan.model import AudioTrack, MediaInfo, VideoTrack
from batch_scan.vocabulary import Medium, Reason
from batch_scan.whole import PICTURES, SOUND, stream_sample, unplayed_tracks

SEEN, HEARD = StreamNeeds(pictures=True), StreamNeeds(sound=True, by_url=True)
COVER = VideoTrack(0, "mjpeg", 300, 300, None, is_cover=True)
FILM = VideoTrack(1, "h264", 640, 480, 9.5)
SPEECH = AudioTrack(2, "aac", 2, 48_000, 10.0)


def test_a_film_is_one_sample_as_long_as_its_pictures() -> None:
    media = MediaInfo("mov", None, (SPEECH,), (COVER, FILM))
    sample = stream_sample(SEEN, media, "d" * 64, Path("/archive/a.mp4"), "")
    assert sample is not None
    assert (sample.medium, sample.start_s, sample.end_s, sample.digest) == (Medium.STREAM, 0.0, 9.5, "d" * 64)
    assert (sample.mime, sample.track, sample.data, sample.path) == (PICTURES, 1, None, Path("/archive/a.mp4"))


def test_a_sound_under_a_url_is_one_sample() -> None:
    sample = stream_sample(
        HEARD, MediaInfo("mp3", 12.0, (replace(SPEECH, duration_s=None),)), "d" * 64, None, "https://host/a.mp3"
    )
    assert sample is not None
    assert (sample.mime, sample.track, sample.end_s, sample.url) == (SOUND, 2, 12.0, "https://host/a.mp3")


@pytest.mark.parametrize(
    ("needs", "media"),
    [
        pytest.param(SEEN, MediaInfo("mp3", 10.0, (SPEECH,), (COVER,)), id="cover art is no film"),
        pytest.param(HEARD, MediaInfo("mov", 10.0, (), (FILM,)), id="a silent film has nothing to hear"),
    ],
)
def test_a_file_without_what_is_wanted_is_no_sample(needs: StreamNeeds, media: MediaInfo) -> None:
    assert stream_sample(needs, media, "d" * 64, None, "") is None


def test_a_file_of_unknown_length_ends_at_nought() -> None:
    sample = stream_sample(HEARD, MediaInfo("aac", None, (AudioTrack(0, "aac", 2, 48_000, None),)), "d", None, "u")
    assert sample is not None
    assert sample.end_s == 0.0


def test_tracks_beside_the_one_that_is_played_are_told() -> None:
    media = MediaInfo("mov", 10.0, (SPEECH, SPEECH), (COVER, FILM))
    for needs, kind in ((SEEN, "picture"), (HEARD, "sound")):
        gap = unplayed_tracks(needs, media)
        assert gap is not None
        assert (gap.reason, f"2 {kind} tracks" in gap.detail) == (Reason.TRACK_NOT_PLAYED, True)
    assert unplayed_tracks(SEEN, MediaInfo("mov", 10.0, (SPEECH, SPEECH), (FILM,))) is None


def test_cover_art_of_a_sound_is_told_where_pictures_are_played() -> None:
    gap = unplayed_tracks(SEEN, MediaInfo("mp3", 10.0, (SPEECH,), (COVER,)))
    assert gap is not None
    assert (gap.reason, "cover art" in gap.detail) == (Reason.TRACK_NOT_PLAYED, True)
    assert unplayed_tracks(SEEN, MediaInfo("mp3", 10.0, (SPEECH,))) is None
