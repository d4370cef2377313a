from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batch_scan.endpoint.visionular.gathering import subject_of
from batch_scan.endpoint.visionular.ids import stream_digest
from batch_scan.endpoint.visionular.records import UNKNOWN_SCORE, ReadingRules, read_records
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer, Digest, Request, RequestId, Sample, Score
from batch_scan.vocabulary import Category, Medium
from tests.endpoint.visionular.live import detection, raw_of

SAMPLE = Sample(Medium.STREAM, 0.0, 60.0, Digest("d"), "video/*", None, path=Path("/film.mp4"))
REQUEST = Request(RequestId("r"), "visionular", "live-audit", (SAMPLE,), 60)
EVENT: dict[str, Any] = {
    "type": "audit_check",
    "data": {"stream_info": {"stream_id": "202510-M2Y1", "stream_session_id": "x"}, "alerts": []},
}


def read(raw: str, start_offset_s: float = 0.0) -> list[Score]:
    answer = Answer(raw=raw, tokens_charged=0)
    return read_records("visionular", REQUEST, answer, ReadingRules(0.5, 20.0, start_offset_s)).scores


def played(
    moments_s: list[float], *, played_s: float, interval: int = 1, beats: list[list[float]] | None = None
) -> str:
    """Return an answer with one clean record at each of these seconds of the session."""
    record = json.loads(raw_of([detection()]))["records"][0]
    records = [record | {"id": at, "review_at": 1_763_554_494_000 + int(at * 1000)} for at in moments_s]
    whole = json.loads(raw_of([])) | {"played_s": played_s, "frame_interval": interval, "records": records}
    return json.dumps(whole | {"beats": beats or [[0.0, 0.0]]})


@pytest.mark.parametrize(
    ("said", "category", "score", "severity", "unclean"),
    [
        (detection("nude", 0.32, "pass"), Category.NUDITY, 0.32, "pass", False),
        (detection("nude", 0.68, "review"), Category.NUDITY, 0.68, "review", True),
        (detection("weapon", 0.9, "reject"), Category.WEAPON, 0.9, "reject", True),
        (detection("gore", 0.9, "reject"), Category.OTHER, 0.9, "reject", True),
        (detection("nude", 0.1, "BLOCK"), Category.NUDITY, 0.1, "BLOCK", True),
        ({"model": "nude", "risk_level": "reject"}, Category.NUDITY, UNKNOWN_SCORE, "reject", True),
        ({"model": "nude", "confidence": 7, "risk_level": "pass"}, Category.NUDITY, 1.0, "pass", False),
        ({"risk_level": "reject"}, Category.OTHER, UNKNOWN_SCORE, "reject", True),
    ],
)
def test_a_detection_becomes_a_score(
    said: dict[str, Any], category: Category, score: float, severity: str, *, unclean: bool
) -> None:
    (made,) = read(raw_of([said]))
    assert (made.category, made.score, made.severity, made.unclean) == (category, score, severity, unclean)
    assert (made.start_s, made.end_s) == (1.0, 1.0)


def test_the_status_of_a_detection_is_not_what_judges() -> None:
    raw = json.loads(raw_of([detection("nude", 0.32)]))
    raw["records"][0]["detect_status"] = 99
    assert not any(score.unclean for score in read(json.dumps(raw)))


def test_a_pass_of_a_model_without_a_name_is_no_answer_of_the_one_that_was_asked_for() -> None:
    with pytest.raises(EndpointError, match="only 0 of about 1 pictures came back judged for nude"):
        read(raw_of([{"risk_level": "pass"}]))


@pytest.mark.parametrize("said", ["nonsense", "{", '{"model": "nude"}', "[7]", "null", None, 7])
def test_a_record_that_cannot_be_read_is_unclean_beside_others_and_no_answer_alone(said: Any) -> None:
    raw = json.loads(raw_of([detection()]))
    broken = raw["records"][0] | {"id": 2, "detect_info": said}
    (score,) = [one for one in read(json.dumps(raw | {"records": [*raw["records"], broken]})) if one.unclean]
    assert (score.category, score.score) == (Category.OTHER, UNKNOWN_SCORE)
    with pytest.raises(EndpointError) as caught:
        read(json.dumps(raw | {"records": [broken]}))
    assert caught.value.failure is Failure.REFUSED


def test_pictures_in_which_no_model_said_anything_are_no_answer() -> None:
    with pytest.raises(EndpointError, match="verdict"):
        read(raw_of([]))


def test_no_record_at_all_is_no_answer() -> None:
    with pytest.raises(EndpointError, match="no record came") as caught:
        read(played([], played_s=30.0))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)


@pytest.mark.parametrize(("moments", "enough"), [(5, True), (4, False)])
def test_half_of_the_pictures_that_were_due_are_enough(moments: int, *, enough: bool) -> None:
    raw = played([float(2 * at) for at in range(moments)], played_s=20.0, interval=2)
    if enough:
        assert len(read(raw)) == 5
    else:
        with pytest.raises(EndpointError, match="only 4 of about 10"):
            read(raw)


@pytest.mark.parametrize("moments", [10, 9])
def test_where_looking_ended_too_soon_every_picture_must_have_come(moments: int) -> None:
    raw = json.loads(played([float(2 * at) for at in range(moments)], played_s=20.0, interval=2)) | {"settled": False}
    if moments == 10:
        assert len(read(json.dumps(raw))) == 10
        return
    with pytest.raises(EndpointError, match=r"only 9 of about 10 .* more may have been on its way") as caught:
        read(json.dumps(raw))
    assert (caught.value.failure, caught.value.maybe_charged) == (Failure.REFUSED, True)
    raw["records"][0]["detect_info"] = json.dumps([detection("nude", 0.9, "reject")])
    answer = Answer(raw=json.dumps(raw), tokens_charged=0)
    judged = read_records("visionular", REQUEST, answer, ReadingRules(0.5, 20.0, 0.0))
    assert len(judged.scores) == 9
    assert judged.gap is not None


def test_a_film_of_which_a_long_stretch_was_not_looked_at_is_no_answer() -> None:
    first = [float(at) for at in range(60)]
    assert len(read(played([*first, *(float(at) for at in range(79, 100))], played_s=100.0))) == 81
    for moments in (first, [at + 40.0 for at in first], [*first[:30], *(at + 40.0 for at in first[20:])]):
        with pytest.raises(EndpointError, match=r"no picture between (59 and 100|0 and 40|29 and 60) s"):
            read(played(moments, played_s=100.0))


def test_a_gap_is_never_shorter_than_three_intervals() -> None:
    assert len(read(played([0.0, 80.0, 120.0, 160.0], played_s=200.0, interval=40))) == 4


def test_every_model_must_have_said_something_of_enough_pictures() -> None:
    both = json.loads(raw_of([detection("nude"), detection("weapon")], models=("nude", "weapon")))
    assert len(read(json.dumps(both))) == 2
    both["records"][0]["detect_info"] = json.dumps([detection("nude")])
    with pytest.raises(EndpointError, match="only 0 of about 1 pictures came back judged for weapon"):
        read(json.dumps(both))


def test_a_picture_counts_once_however_often_it_is_listed() -> None:
    with pytest.raises(EndpointError, match="only 1 of about 10"):
        read(played([1.0] * 10, played_s=10.0))


def test_a_moment_before_or_after_the_play_is_its_first_or_last() -> None:
    assert [score.start_s for score in read(played([-3.0, 4.0, 99.0], played_s=5.0))] == [0.0, 4.0, 5.0]


def test_the_first_picture_may_come_later_than_the_name_of_the_session_tells() -> None:
    assert [score.start_s for score in read(played([1.0, 4.0], played_s=5.0, interval=2), start_offset_s=2.0)] == [
        0.0,
        2.0,
    ]


def test_where_playing_fell_behind_the_file_is_behind_the_clock() -> None:
    raw = played([2.0, 9.0, 20.0], played_s=15.0, interval=5, beats=[[0.0, 0.0], [5.0, 3.0], [15.0, 6.0]])
    assert [score.start_s for score in read(raw)] == [2.0, 6.0, 14.0]


def test_callbacks_are_sorted_by_their_stream() -> None:
    assert subject_of({}, json.dumps(EVENT).encode()) == "202510-M2Y1"
    older = {**EVENT, "event_type": "audit_check"}
    del older["type"]
    assert subject_of({}, json.dumps(older).encode()) == "202510-M2Y1"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"\xff", b'{"type":"audit_check"}', b'{"event_type":"push","live_stream_id":"x"}',
     b'{"type":"audit_check","data":{"stream_info":{"stream_id":7}}}'],
)  # fmt: skip
def test_whatever_a_stranger_posts_is_nobodys(body: bytes) -> None:
    assert subject_of({}, body) is None


def test_a_stream_is_named_without_its_key() -> None:
    assert "202601-key" not in stream_digest("202601-key")
