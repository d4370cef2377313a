from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.ways import FrameWork, Way, Whole, costs_s, predict

HOUR = FrameWork(0, 10.7, packets=90_000, keyframes=1800, group_s=2.0, behind_s=1.0, frame_s=0.04)
"""An hour with a keyframe every 2 s."""

amounts = st.floats(0, 1e6)
works = st.builds(
    FrameWork,
    track=st.just(0),
    interval_s=st.floats(0.01, 1e5),
    packets=st.integers(0, 10**7),
    keyframes=st.integers(0, 10**6),
    group_s=amounts,
    behind_s=amounts,
    frame_s=st.floats(0.001, 10),
    sent=st.integers(0, 10**7),
    decoded=st.integers(0, 10**7),
    alone=st.integers(0, 10**6),
    taken=st.integers(0, 10**6),
    cpu_s=amounts,
    whole=st.none() | st.sampled_from(Whole),
)


@pytest.mark.parametrize(
    ("codec", "interval_s", "group_s", "mean_ms", "measured_s"),
    [
        ("h264", 10.7, 2.0, 6.1, 35.0),
        ("h264", 1.0, 2.0, 6.1, 202.0),
        ("h264", 10.7, 10.0, 6.1, 163.0),
        ("hevc", 10.7, 4.6, 3.4, 61.0),
        ("vp9", 10.7, 2.7, 3.3, 58.0),
        ("av1", 10.7, 5.0, 1.67, 41.0),
        ("mpeg2video", 10.7, 0.43, 0.63, 4.5),
    ],
)
def test_the_model_gives_what_was_measured(
    codec: str, interval_s: float, group_s: float, mean_ms: float, measured_s: float
) -> None:
    keyframes = round(3600 / group_s)
    work = replace(HOUR, interval_s=interval_s, group_s=group_s, behind_s=group_s / 2, keyframes=keyframes)
    said_s = predict(work, codec)[Way.SELECTIVE].units * mean_ms / 1000
    assert measured_s / 1.6 <= said_s <= 1.6 * measured_s


@given(works, st.sampled_from(["h264", "hevc", "vp9", "av1", "mpeg2video", "theora", ""]))
def test_a_pass_never_costs_more_than_the_whole_and_keyframes_never_more_than_a_pass(
    work: FrameWork, codec: str
) -> None:
    keys, selective, whole = (predict(work, codec)[way] for way in Way)
    assert 0 <= keys.pictures <= selective.pictures + 1e-6
    assert 0 <= selective.units <= whole.units
    assert selective.pictures <= work.packets + 1e-6
    if work.whole is None:
        assert all(seconds >= 0 for seconds in costs_s(work, codec).values())


def test_the_bound_of_a_pass_is_met_where_the_interval_is_short() -> None:
    every = predict(replace(HOUR, interval_s=0.01), "h264")
    assert every[Way.SELECTIVE].pictures == every[Way.WHOLE].pictures == HOUR.packets
    rare = replace(HOUR, interval_s=1.0, group_s=60.0, behind_s=30.0, keyframes=60)
    assert predict(rare, "h264")[Way.SELECTIVE].pictures == pytest.approx(0.5 * 90_000, rel=0.02)


def test_nothing_is_decoded_behind_the_last_wanted_picture_of_a_group() -> None:
    assert predict(replace(HOUR, interval_s=1.0), "h264")[Way.SELECTIVE].pictures == 1800 * (1 + 1.5 * 25 * 0.5)


def test_the_way_follows_from_what_was_done() -> None:
    assert replace(HOUR, sent=9000, decoded=4000, taken=337).way is Way.SELECTIVE
    assert replace(HOUR, sent=337, decoded=337, taken=337).way is Way.KEYFRAMES
    assert replace(HOUR, sent=400, decoded=400, alone=330, taken=337).way is Way.KEYFRAMES
    assert replace(HOUR, sent=337, decoded=337, taken=337, keyframes=1).way is Way.SELECTIVE
    assert replace(HOUR, decoded=90_000, whole=Whole.NO_TIMES).way is Way.WHOLE


def test_other_ways_cost_in_proportion_to_what_this_one_took() -> None:
    work = replace(HOUR, sent=9000, decoded=4500, taken=337, cpu_s=36.0)
    costs = costs_s(work, "h264")
    assert costs[Way.SELECTIVE] == 36.0
    assert costs[Way.KEYFRAMES] < 15
    assert 400 < costs[Way.WHOLE] < 800
