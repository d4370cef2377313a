from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.media.chunks import measure
from batch_scan.media.soundbuffer import GATE_S, SoundBuffer

RATE = 100
WINDOW = 10

blocks = st.lists(
    st.one_of(
        st.integers(1, 500).map(lambda length: ("hole", length)),
        st.integers(1, 900).map(lambda length: ("noise", length)),
        st.integers(1, 900).map(lambda length: ("hush", length)),
    ),
    max_size=12,
)


@given(blocks, st.data())
def test_what_is_read_is_what_came_but_for_long_silence(plan: list[tuple[str, int]], data: st.DataObject) -> None:
    buffer = SoundBuffer(RATE)
    whole = np.zeros(0, np.int16)
    source = np.random.default_rng(0)
    for kind, length in plan:
        if kind == "hole":
            buffer.append_hole(length)
            whole = np.concatenate([whole, np.zeros(length, np.int16)])
            continue
        level = 30 if kind == "hush" else 30_000
        pcm = source.integers(-level, level + 1, length).astype(np.int16)
        buffer.append(pcm, list(measure(pcm, buffer.end, WINDOW)))
        whole = np.concatenate([whole, pcm])
    assert buffer.end == len(whole)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    buffer.drop_before(data.draw(st.integers(0, start)))
    got = np.frombuffer(b"".join(buffer.read(start, end)), "<i2")
    assert len(got) == end - start
    wanted = whole[start:end]
    assert np.array_equal(got[np.abs(wanted) > 32], wanted[np.abs(wanted) > 32])
    assert np.all((got == wanted) | (got == 0))


def test_only_silence_beyond_the_gate_becomes_zeros() -> None:
    buffer = SoundBuffer(RATE)
    hush = np.full(int(2 * GATE_S * RATE), 7, np.int16)
    buffer.append(hush, list(measure(hush, 0, WINDOW)))
    got = np.frombuffer(b"".join(buffer.read(0, len(hush))), "<i2")
    gate = int(GATE_S * RATE)
    assert (got[:gate] == 7).all()
    assert not got[gate:].any()


def test_parts_are_bounded_and_holes_take_no_memory() -> None:
    buffer = SoundBuffer(RATE)
    buffer.append_hole(10**12)
    parts = buffer.read(5, 10**12)
    assert len(next(parts)) == len(next(parts)) == 1 << 19
