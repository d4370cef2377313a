from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.deepcleer.answer import bt_id_of, image_bt_ids
from batch_scan.endpoint.deepcleer.codes import code_error, code_of
from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
from batch_scan.endpoint.deepcleer.endpoint import build
from batch_scan.endpoint.deepcleer.fields import number, pick, without_echo
from batch_scan.endpoint.deepcleer.labels import category_of
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer, Score
from batch_scan.vocabulary import Category
from tests.endpoint.deepcleer.kit import audio_raw, audio_sample, frame_sample, images_raw, request_of

ENDPOINT = build(DeepCleerConfig())
FRAME = request_of(ENDPOINT, frame_sample(b"jpeg"))
SOUND = request_of(ENDPOINT, audio_sample(b"sound", 30.0))
PASS: dict[str, Any] = {"riskLevel": "PASS", "riskLabel1": "normal"}


def of_picture(table: dict[str, Any] | None = None, **told: Any) -> list[Score]:
    endpoint = build(DeepCleerConfig.model_validate(table or {}))
    return endpoint.read(FRAME, Answer(json.dumps(images_raw(FRAME.key, told)), 1))


def of_sound(body: dict[str, Any], table: dict[str, Any] | None = None) -> list[Score]:
    endpoint = build(DeepCleerConfig.model_validate(table or {}))
    return endpoint.read(SOUND, Answer(json.dumps({"code": 1100, "btId": SOUND.key, **body}), 1))


@pytest.mark.parametrize(
    ("level", "score", "unclean"),
    [("PASS", 0.0, False), ("REVIEW", 0.5, True), ("REJECT", 0.9, True), ("reject ", 0.9, True), ("BLOCK", 0.5, True)],
)
def test_a_risk_level_is_a_score(level: str, score: float, *, unclean: bool) -> None:
    (told,) = of_picture(riskLevel=level, riskLabel1="politics")
    assert (told.score, told.unclean, told.severity) == (score, unclean, level.strip())


def test_the_scores_of_levels_are_the_users() -> None:
    table = {"risk_scores": {"review": 0.6, "reject": 1.0}}
    assert [of_picture(table, riskLevel=level)[0].score for level in ("REVIEW", "REJECT")] == [0.6, 1.0]


@pytest.mark.parametrize(
    ("labels", "category"),
    [
        (("politics",), Category.POLITICAL),
        (("porn", "sexy"), Category.NUDITY),
        (("violence", "weapon", "gun"), Category.WEAPON),
        (("ban", "drugs"), Category.DRUGS),
        (("ban", "", ""), Category.OTHER),
        (("abuse",), Category.HARASSMENT),
        (("Ad_Law",), Category.SPAM),
        (("anthen",), Category.MUSIC),
        (("minor",), Category.MINOR),
        (("frobnication",), Category.OTHER),
        ((), Category.OTHER),
    ],
)
def test_the_narrowest_known_label_decides(labels: tuple[str, ...], category: Category) -> None:
    assert category_of(labels) is category


def test_labels_are_kept_from_wide_to_narrow() -> None:
    (score,) = of_picture(riskLevel="REJECT", riskLabel1="ban", riskLabel2="drugs", riskLabel3="smoking")
    assert (score.vendor_label, score.category) == ("ban/drugs/smoking", Category.DRUGS)


def test_other_labels_are_scores_of_their_own() -> None:
    main = {"riskLabel1": "violence", "riskLevel": "REJECT", "probability": 0.99}
    other = {"riskLabel1": "politics", "riskLevel": "REVIEW", "probability": 0.7}
    bare = {"riskLabel1": "ad", "probability": 0.3}
    broken = {"riskLabel1": "abuse"}
    scores = of_picture(riskLevel="REJECT", riskLabel1="violence", allLabels=[main, other, bare, broken])
    assert [(score.vendor_label, score.score, score.unclean) for score in scores] == [
        ("violence", 0.9, True),
        ("politics", 0.5, True),
        ("ad", 0.3, False),
        ("abuse", 0.5, True),
    ]
    assert scores[1].context == "probability 0.7"


@pytest.mark.parametrize("final", [0, "0", False, "no"])
def test_what_people_still_look_at_is_never_clean(final: Any) -> None:
    (score,) = of_picture(**PASS, finalResult=final)
    assert (score.unclean, score.score, "finalResult" in score.context) == (True, 0.5, True)


def test_what_people_need_not_look_at_is_what_it_is() -> None:
    assert [score.unclean for score in of_picture(**PASS, finalResult=1)] == [False]


def test_words_read_in_a_picture_are_told() -> None:
    found = {"matchedLists": [{"name": "l", "words": [{"word": "buy"}, {"word": "now"}]}], "text": "buy it now"}
    (score,) = of_picture(riskLevel="REJECT", riskLabel1="ad", riskDetail={"ocrText": found})
    assert (score.text, score.context) == ("buy; now", "buy it now")


def test_a_description_is_shown_and_not_looked_at() -> None:
    (score,) = of_picture(**PASS, riskDescription="politics: leader")
    assert (score.category, score.unclean, score.context) == (Category.OTHER, False, "politics: leader")


@pytest.mark.parametrize("listed", ["yes", 1, {"riskLabel1": "porn"}, True])
def test_labels_in_a_shape_that_is_not_known_are_not_clean(listed: Any) -> None:
    assert any(score.unclean for score in of_picture(**PASS, allLabels=listed))


def test_childrens_voices_are_told_where_they_were_asked_for() -> None:
    label = {"businessLabel1": "age", "businessLabel2": "minor", "probability": 0.8}
    body = {**PASS, "businessLabels": [label, {"businessLabel1": "gender", "businessLabel2": "female"}]}
    assert [score.category for score in of_sound(body)] == [Category.OTHER]
    told = of_sound(body, {"business_types": ["MINOR"]})
    assert [(score.category, score.score, score.unclean) for score in told][1:] == [(Category.MINOR, 0.8, False)]


@pytest.mark.parametrize("key", ["errorCode", "errorcode", "ErrorCode"])
@pytest.mark.parametrize("problem", [2003, 2007, "2007", {}])
def test_a_sound_that_was_not_heard_is_no_answer(key: str, problem: Any) -> None:
    with pytest.raises(EndpointError, match="not heard"):
        of_sound({**PASS, "auxInfo": {key: problem}})


def test_a_picture_that_was_not_seen_is_no_answer() -> None:
    with pytest.raises(EndpointError) as caught:
        of_picture(**PASS, auxInfo={"errorCode": 2004})
    assert caught.value.failure is Failure.REFUSED


def test_both_nestings_are_read_alike() -> None:
    told = {"riskLevel": "REJECT", "riskLabel1": "abuse", "audioTime": 30}
    assert of_sound({"detail": told}) == of_sound(told)


@pytest.mark.parametrize("worse", ["riskLevel", "detail"])
def test_of_two_levels_the_better_does_not_cover_the_worse(worse: str) -> None:
    bad = {"riskLevel": "REJECT", "riskLabel1": "abuse"}
    body = {**bad, "detail": PASS} if worse == "riskLevel" else {**PASS, "detail": bad}
    assert any(score.unclean for score in of_sound(body))


def test_more_stretches_than_are_read_are_not_clean() -> None:
    stretch = {"audioStarttime": 0, "audioEndtime": 10, **PASS}
    assert not any(score.unclean for score in of_sound({**PASS, "audioDetail": [stretch] * 1000}))
    assert any(score.unclean for score in of_sound({**PASS, "audioDetail": [stretch] * 1001}))


def test_a_code_inside_that_is_no_success_is_no_answer() -> None:
    for body in ({"detail": {"code": 1905, **PASS}}, {"code": 1905, **PASS}):
        with pytest.raises(EndpointError, match="1905"):
            of_sound(body)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        (0, 10, (10.0, 20.0)),
        ("10", "20.5", (20.0, 30.5)),
        (20, 30.9, (30.0, 40.0)),
        (20_000, 30_000, (10.0, 40.0)),
        (None, 5, (10.0, 40.0)),
        (9, 5, (10.0, 40.0)),
    ],
)
def test_a_stretch_has_its_own_seconds_where_they_can_be_right(start: Any, end: Any, span: tuple[float, float]) -> None:
    stretch = {"audioStarttime": start, "audioEndtime": end, "riskLevel": "REJECT", "riskLabel1": "abuse"}
    scores = of_sound({"riskLevel": "REJECT", "riskLabel1": "abuse", "audioDetail": [stretch]})
    assert [(score.start_s, score.end_s) for score in scores] == [span]


def test_a_sound_that_is_worse_than_its_stretches_is_a_score_too() -> None:
    stretch = {"audioStarttime": 0, "audioEndtime": 10, "riskLevel": "REVIEW", "riskLabel1": "abuse"}
    scores = of_sound({"riskLevel": "REJECT", "riskLabel1": "politics", "audioDetail": [stretch]})
    assert [(score.vendor_label, score.end_s - score.start_s) for score in scores] == [("abuse", 10), ("politics", 30)]


def test_a_bad_stretch_in_a_sound_that_passed_is_not_clean() -> None:
    stretch = {"audioStarttime": 0, "audioEndtime": 10, "riskLevel": "REVIEW", "riskLabel1": "abuse"}
    assert any(score.unclean for score in of_sound({**PASS, "audioDetail": [stretch]}))


@pytest.mark.parametrize("detail", ["x", 1, True, [{}], [1], {}, [{"riskLevel": "PASS", "code": 1903}]])
def test_stretches_in_a_shape_that_is_not_known_are_not_clean(detail: Any) -> None:
    assert any(score.unclean for score in of_sound({**PASS, "audioDetail": detail}))


def test_fields_are_found_however_they_are_spelled() -> None:
    assert [pick({name: 7}, "requestId") for name in ("requestId", "reques-tId", "requestid")] == [7, 7, 7]
    assert [pick({name: 7}, "btId") for name in ("btId", "btid", "bt-id")] == [7, 7, 7]
    assert pick({"btid": 1, "btId": 2}, "btId") == 2


def test_our_own_question_is_not_kept() -> None:
    told = {"code": 1100, "requestParams": {"url": "x"}, "detail": {"requestParams": {"url": "x"}, "a": [1]}}
    assert without_echo(told) == {"code": 1100, "detail": {"a": [1]}}


def test_names_of_submissions_are_as_long_as_the_vendor_takes_them() -> None:
    batch = request_of(ENDPOINT, *(frame_sample(bytes([at])) for at in range(12)))
    assert max(map(len, image_bt_ids(batch))) <= 30
    assert len(set(image_bt_ids(batch))) == 12
    assert len(bt_id_of(SOUND)) <= 128
    assert bt_id_of(SOUND) == bt_id_of(request_of(ENDPOINT, audio_sample(b"sound", 30.0)))


def test_the_sound_of_the_contract_suite_is_read() -> None:
    assert of_sound(audio_raw(SOUND.key, {"riskLevel": "REJECT", "riskLabel1": "abuse"}))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_code_is_a_code_or_none(code: Any) -> None:
    error = code_error({"code": code}, "anything")
    assert error.failure in Failure
    assert code_of({"code": code}) is None or str(code_of({"code": code})) == error.vendor_code
    assert number(code) is None or isinstance(number(code), float)
