"""A whole scan with the real command line: sound to Deepgram's sandbox, words to the embedded engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.media.encode import wav_bytes
from batch_scan.sandbox.deepgram.server import DeepgramServer
from tests.corpus_media import make
from tests.sandbox.scripted import ScriptedJudge
from tests.scan.harness import Place
from tests.transcribe.deepgram.made import RATE_HZ, pcm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOUND = ((440.0, 2.0), (0.0, 30.0), (880.0, 3.0), (0.0, 5.0), (440.0, 1.0))
"""Half a minute of silence is left out; five seconds are not."""
WORDS = {440.0: "you fucking idiot", 880.0: "have a nice day"}


@pytest.fixture
def server() -> Iterator[DeepgramServer]:
    with DeepgramServer(judge=ScriptedJudge(tones=WORDS)) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, server: DeepgramServer) -> Place:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "talk.wav").write_bytes(wav_bytes(pcm(SOUND), RATE_HZ))
    place = Place(tmp_path, {"DEEPGRAM_API_KEY": server.key}, key=None)
    place.write_job(job(server))
    return place


def job(server: DeepgramServer, extra: str = "") -> str:
    return f"""
[source]
uri = "archive"
[transcribe]
engine = "deepgram"
[transcribe.deepgram]
base_url = "{server.url}"
token_price = 0.5
{extra}
[endpoints.local]
samples = ["utterance"]
"""


def said(place: Place, run_id: str) -> list[tuple[str, float]]:
    return [(row["text"], row["start_s"]) for row in place.rows("transcripts", run_id)]


def requests(place: Place, run_id: str) -> list[dict[str, Any]]:
    return [row for row in place.rows("requests", run_id) if row["endpoint"] == "transcribe.deepgram"]


def test_long_silence_is_not_paid_and_words_stand_at_their_seconds(place: Place, server: DeepgramServer) -> None:
    ended = place.run()
    assert ended.code == 1, ended.stderr
    heard = said(place, ended.run_id)
    assert [text for text, _ in heard] == ["you fucking idiot", "have a nice day", "you fucking idiot"]
    assert [at_s for _, at_s in heard] == pytest.approx([0.0, 32.0, 40.0], abs=0.2)
    (file,) = place.rows("files", ended.run_id)
    assert (file["verdict"], file["status"]) == ("remove", "complete")
    rows = requests(place, ended.run_id)
    assert [row["outcome"] for row in rows] == ["answered", "answered"]
    assert sum(row["tokens_charged"] for row in rows) == server.tokens_used == ended.said["tokens_charged"]
    assert server.tokens_used <= 14, "11 s of sound, its margins, and what rounding up adds"
    assert sum(row["cost"] for row in rows) == server.tokens_used * 0.5
    assert all(row["tokens_charged"] <= row["tokens_estimated"] for row in rows)
    again = place.run()
    assert again.code == 1
    assert len(server.calls) == 2, "what was answered is not paid again"


def test_credit_that_is_used_up_stops_the_transcriber_and_the_rest_is_not_clean(
    place: Place, server: DeepgramServer
) -> None:
    server.token_limit = 4
    place.write_job(job(server, "limit = { concurrency = 1 }"))
    ended = place.run()
    assert ended.code == 6, ended.stderr
    (file,) = place.rows("files", ended.run_id)
    assert file["status"] == "partial"
    assert sorted(row["outcome"] for row in requests(place, ended.run_id)) == ["answered", "failed"]
    assert server.tokens_used <= 4
    assert "credit" in ended.stderr + str(file["error"])


def test_sound_that_nobody_here_decoded_is_understood_and_paid_with_its_silence(
    place: Place, server: DeepgramServer
) -> None:
    talk = place.directory / "archive" / "talk.wav"
    make(talk.with_suffix(".mp3"), "-i", str(talk), "-c:a", "libmp3lame", "-b:a", "64k")
    talk.unlink()
    place.write_job(job(server) + "[extract]\ncopy_sound = true\n")
    ended = place.run()
    (row,) = place.files(ended.run_id).values()
    assert (row["verdict"], row["status"], round(row["audio_s_copied"])) == ("remove", "complete", 41)
    assert [text for text, _ in said(place, ended.run_id)] == [WORDS[440.0], WORDS[880.0], WORDS[440.0]]
    assert server.tokens_used >= 41
