from __future__ import annotations

import asyncio
import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.extraction import ExtractionRecord, dump_record, load_record, settings_fingerprint
from batch_scan.media.interface import (
    AudioCodec,
    AudioSpec,
    AudioTally,
    Chunk,
    FrameMode,
    FrameSpec,
    FrameTally,
    MediaLimits,
    Silence,
)
from batch_scan.model import AudioTrack, Digest, MediaInfo, Sample, Shortfall, VideoTrack
from batch_scan.vocabulary import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from batch_scan.extraction import Event

TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
TIMES = st.floats(0, 1e6)
INDEXES = st.integers(0, 63)
DURATIONS = st.none() | TIMES
MEDIA = st.builds(
    MediaInfo,
    TEXT,
    DURATIONS,
    st.tuples(st.builds(AudioTrack, INDEXES, TEXT, INDEXES, INDEXES, DURATIONS, TEXT)),
    st.tuples(st.builds(VideoTrack, INDEXES, TEXT, INDEXES, INDEXES, DURATIONS, st.booleans())),
)
SAMPLES = st.builds(
    Sample,
    st.sampled_from([Medium.FRAME, Medium.AUDIO]),
    TIMES,
    TIMES,
    st.builds(Digest, TEXT),
    TEXT,
    st.none() | st.binary(max_size=4),
    INDEXES,
    st.integers(1, 9),
)
SPECS = st.builds(AudioSpec, st.sampled_from(AudioCodec), TIMES, st.integers(1, 10**9), skip_silence=st.booleans())
SHORTFALLS = st.builds(Shortfall, st.sampled_from(Reason), TEXT, TEXT)
PICTURES = st.lists(
    st.one_of(SAMPLES, st.builds(FrameTally, INDEXES, INDEXES, INDEXES, INDEXES), SHORTFALLS), max_size=6
)
SOUND = st.lists(
    st.one_of(
        st.builds(Chunk, SPECS, SAMPLES),
        st.builds(Silence, SPECS, INDEXES, TIMES, TIMES),
        st.builds(AudioTally, INDEXES, TIMES, TIMES),
        SHORTFALLS,
    ),
    max_size=6,
)


async def events_of(events: Sequence[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def kept(media: MediaInfo, pictures: Sequence[Event], sound: Sequence[Event]) -> ExtractionRecord:
    async def main() -> ExtractionRecord:
        record = ExtractionRecord(media)
        assert [event async for event in record.keep_frames(events_of(pictures))] == pictures  # type: ignore[arg-type]
        assert [event async for event in record.keep_audio(events_of(sound))] == sound  # type: ignore[arg-type]
        return record

    return asyncio.run(main())


def replayed(record: ExtractionRecord) -> tuple[list[Event], list[Event]]:
    async def main() -> tuple[list[Event], list[Event]]:
        return [event async for event in record.replay_frames()], [event async for event in record.replay_audio()]

    return asyncio.run(main())


def without_bytes(event: Event) -> Event:
    if isinstance(event, Chunk):
        return replace(event, sample=replace(event.sample, data=None))
    return replace(event, data=None) if isinstance(event, Sample) else event


@given(MEDIA, PICTURES, SOUND)
def test_a_record_holds_everything_but_the_bytes_and_comes_back_as_it_was(
    media: MediaInfo, pictures: list[Event], sound: list[Event]
) -> None:
    record = kept(media, pictures, sound)
    loaded = load_record(dump_record(record))
    assert loaded == record
    assert loaded is not None
    for replay, events in zip(replayed(loaded), (pictures, sound), strict=True):
        assert sorted(map(repr, replay)) == sorted(repr(without_bytes(event)) for event in events)


@pytest.mark.parametrize(
    ("reason", "lasting"),
    [
        (Reason.DAMAGED, True),
        (Reason.CODEC_UNSUPPORTED, True),
        (Reason.FRAME_CAP, True),
        (Reason.DECODER_CRASHED, False),
        (Reason.DECODER_TIMEOUT, False),
        (Reason.DECODER_LIMIT, False),
        (Reason.INTERNAL, False),
    ],
)
def test_a_record_lasts_unless_another_attempt_may_go_better(reason: Reason, lasting: bool) -> None:  # noqa: FBT001
    gap, media = Shortfall(reason, "why"), MediaInfo("mp3", 1.0)
    assert ExtractionRecord(media).is_lasting
    assert ExtractionRecord(media, frame_shortfalls=[gap]).is_lasting is lasting
    assert ExtractionRecord(media, audio_shortfalls=[gap]).is_lasting is lasting


@pytest.mark.parametrize(
    "stored", [b"", b"null", b"{}", b"\xff\xfe", b'{"media": {"container": 3}}', b'{"frames": []}', b"[" * 10_000]
)
def test_a_record_that_cannot_be_read_is_none(stored: bytes) -> None:
    assert load_record(stored) is None


@given(st.data())
def test_a_record_that_was_cut_or_changed_never_raises(data: st.DataObject) -> None:
    whole = dump_record(
        ExtractionRecord(MediaInfo("mp3", 1.0), frames=[Sample(Medium.FRAME, 0, 0, Digest("d"), "m", None)])
    )
    at = data.draw(st.integers(0, len(whole) - 1))
    load_record(whole[:at] + data.draw(st.binary(max_size=3)))


# -------------------------------------------------------------------------------------------------- what it is named


def _changed(value: object) -> Any:
    match value:
        case FrameMode() | AudioCodec():
            return next(member for member in type(value) if member is not value)
        case bool():
            return not value
        case int() | float():
            return value + 1
        case ():
            return ("mp3",)
        case _:
            raise AssertionError(f"no other value known for {value!r}")


@pytest.mark.parametrize("place", [field.name for field in fields(FrameSpec)])
def test_every_setting_of_pictures_names_another_extraction(place: str) -> None:
    spec = FrameSpec()
    other = replace(spec, **{place: _changed(getattr(spec, place))})
    assert settings_fingerprint(spec, (), MediaLimits()) != settings_fingerprint(other, (), MediaLimits())


@pytest.mark.parametrize("place", [field.name for field in fields(AudioSpec)])
def test_every_setting_of_sound_names_another_extraction(place: str) -> None:
    spec = AudioSpec()
    other = replace(spec, **{place: _changed(getattr(spec, place))})
    assert settings_fingerprint(None, (spec,), MediaLimits()) != settings_fingerprint(None, (other,), MediaLimits())


@pytest.mark.parametrize("place", [field.name for field in fields(MediaLimits)])
def test_every_limit_names_another_extraction(place: str) -> None:
    limits = MediaLimits()
    other = replace(limits, **{place: _changed(getattr(limits, place))})
    assert settings_fingerprint(None, (), limits) != settings_fingerprint(None, (), other)


def test_what_was_remembered_before_sound_could_be_copied_is_remembered_still() -> None:
    """The name that these settings have in ledgers from before."""
    sound = (AudioSpec(), AudioSpec(codec=AudioCodec.MP3))
    before = "054b7fbda84c9c1b9bfcca525cbbf215db6df3923fdd1b820d066e0c6b3312af"
    assert settings_fingerprint(FrameSpec(), sound, MediaLimits()) == before


def test_a_record_from_before_sound_could_be_copied_can_be_read() -> None:
    sample = Sample(Medium.AUDIO, 0.0, 1.0, Digest("d"), "audio/flac", None)
    record = ExtractionRecord(
        MediaInfo("mp3", 1.0), chunks=[Chunk(AudioSpec(), sample)], audio_tallies=[AudioTally(0, 1.0, 1.0)]
    )
    stored = json.loads(dump_record(record))
    (chunk,), (tally,) = stored["chunks"], stored["audio_tallies"]
    del chunk["sample"]["copied"], chunk["spec"]["copies"], tally["work"]
    assert load_record(json.dumps(stored).encode()) == record


def test_nobody_for_pictures_is_another_extraction_and_the_order_of_takers_is_not() -> None:
    limits, one, other = MediaLimits(), AudioSpec(), AudioSpec(codec=AudioCodec.WAV)
    assert settings_fingerprint(FrameSpec(), (), limits) != settings_fingerprint(None, (), limits)
    assert settings_fingerprint(None, (one, other), limits) == settings_fingerprint(None, (other, one), limits)
    assert settings_fingerprint(None, (one,), limits) != settings_fingerprint(None, (one, other), limits)
