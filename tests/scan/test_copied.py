"""Whole scans with `copy_sound`: what is heard of sound that nobody here decodes, and what is not called clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import make
from tests.scan.harness import Place, job_text
from tests.scan.sandboxed import CHAT_HZ, INSULT_HZ, film, scripted_judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MP3 = ("-c:a", "libmp3lame", "-b:a", "64k", "-ar", "44100")
SWITCH = "[extract]\ncopy_sound = true"


@pytest.fixture
def server() -> Iterator[SafeCommsServer]:
    with SafeCommsServer(judge=scripted_judge()) as server:
        yield server


def said(path: Path, *tones: tuple[float, float], args: tuple[str, ...] = MP3) -> Path:
    """Make a recording of stretches of (Hz, seconds); 0 Hz is silence."""
    sources = [f"sine=frequency={hz:g}:duration={s}" if hz else f"anullsrc=r=44100:cl=mono:d={s}" for hz, s in tones]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    joined = "".join(f"[{at}:a]" for at in range(len(tones))) + f"concat=n={len(tones)}:v=0:a=1[a]"
    return make(path, *inputs, "-filter_complex", joined, "-map", "[a]", *args)


def archive(place: Place, server: SafeCommsServer, *, extra: str = "", endpoint: str = "") -> Path:
    directory = place.directory / "archive"
    directory.mkdir()
    text = job_text(directory, server.url, extra=extra, endpoint=endpoint)
    place.write_job(text.replace("[extract]", SWITCH))
    return directory


def test_sound_is_heard_and_judged_though_nobody_here_decoded_it_and_a_second_run_costs_nothing(
    place: Place, server: SafeCommsServer
) -> None:
    directory = archive(place, server)
    said(directory / "good.mp3", (CHAT_HZ, 4.0))
    said(directory / "bad.mp3", (CHAT_HZ, 4.0), (0, 2.0), (INSULT_HZ, 3.0), (0, 1.0))
    said(directory / "other.ogg", (CHAT_HZ, 4.0), args=("-c:a", "libvorbis"))
    film(directory / "film.mkv")
    ended = place.run()
    files = place.files(ended.run_id)
    told = {name: (row["verdict"], row["status"], round(row["audio_s_copied"])) for name, row in files.items()}
    assert told == {
        "good.mp3": ("keep", "complete", 4),
        "bad.mp3": ("remove", "complete", 10),
        "other.ogg": ("keep", "complete", 0),
        "film.mkv": ("remove", "complete", 0),
    }
    proved = [bool(seen.fields.get("extractMetadata")) for seen in server.calls if seen.operation == "audio"]
    assert sorted(proved) == [False, False, True, True]
    found = [row for row in place.rows("findings", ended.run_id) if row["uri"].endswith("bad.mp3")]
    assert {row["medium"] for row in found} == {"audio"}
    for row in found:
        with av.open(str(place.report / row["evidence"])) as clip:
            assert sum(frame.samples for frame in clip.decode(audio=0)) > 0
    spent = server.tokens_used
    again = place.run()
    assert server.tokens_used == spent
    assert {name: row["audio_s_copied"] for name, row in place.files(again.run_id).items()} == {
        name: row["audio_s_copied"] for name, row in files.items()
    }


def test_what_nobody_says_was_heard_is_not_clean(place: Place, server: SafeCommsServer) -> None:
    server.tells_metadata = False
    directory = archive(place, server)
    said(directory / "good.mp3", (CHAT_HZ, 4.0))
    said(directory / "bad.mp3", (INSULT_HZ, 4.0))
    for _ in range(2):  # the answers are kept, such as they are
        ended = place.run()
        told = {name: (row["verdict"], row["status"], row["reason"]) for name, row in place.files(ended.run_id).items()}
        assert told == {
            "good.mp3": ("unknown", "partial", "not_understood"),
            "bad.mp3": ("remove", "partial", "not_understood"),
        }
        assert server.tokens_used == 2 * 51


def test_a_plan_says_what_is_copied_and_why_something_is_not(place: Place, server: SafeCommsServer) -> None:
    directory = archive(place, server)
    said(directory / "good.mp3", (CHAT_HZ, 4.0))
    said(directory / "other.ogg", (CHAT_HZ, 4.0), args=("-c:a", "libvorbis"))
    planned = place.run("plan", place.job, "--verbose")
    lines = [line.rpartition("/")[2] for line in (planned.stdout + planned.stderr).splitlines() if "sound" in line]
    assert "good.mp3: sound copied: 4.0 s of mp3, taken undecoded" in lines
    assert "other.ogg: sound decoded: vorbis is taken by nobody undecoded" in lines
    assert server.tokens_used == 0


def test_a_switch_that_is_off_changes_nothing(place: Place, server: SafeCommsServer) -> None:
    """Answers that were paid for before there was the switch are remembered with it, as long as it is off."""
    directory = archive(place, server)
    said(directory / "good.mp3", (CHAT_HZ, 4.0))
    place.write_job(job_text(directory, server.url))
    ended = place.run()
    assert place.files(ended.run_id)["good.mp3"]["audio_s_copied"] == 0.0
    spent = server.tokens_used
    place.write_job(job_text(directory, server.url).replace("[extract]", "[extract]\ncopy_sound = false"))
    again = place.run()
    assert (again.said["cached_requests"], server.tokens_used) == (1, spent)
