from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.local.models import locate
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.media.interface import AudioCodec
from batch_scan.model import Answer
from batch_scan.transcribe.config import LocalTranscriberConfig
from batch_scan.transcribe.local import build
from batch_scan.vocabulary import Medium
from tests.transcribe.spoken import RATE_HZ, asking, buzz, chunk, cut, pink_noise, silence, spoken, tone

if TYPE_CHECKING:
    from batch_scan.model import Utterance
    from batch_scan.transcribe.interface import Transcriber

_ROOT = Path(__file__).parents[2]


@pytest.fixture
async def transcriber() -> Transcriber:
    opened = build(LocalTranscriberConfig())
    await opened.open()
    return opened


async def _hear(transcriber: Transcriber, pcm: bytes, start_s: float = 0.0) -> list[Utterance]:
    asked = asking(chunk(pcm, start_s))
    return transcriber.read(asked, await transcriber.submit(asked))


def _text(utterances: list[Utterance]) -> str:
    return " ".join(one.text for one in utterances).lower().replace(",", "").replace(".", "")


# ------------------------------------------------------------------------------------------------------------ words


async def test_what_is_read_aloud_is_written_down_with_its_time_in_the_file(transcriber: Transcriber) -> None:
    heard = await _hear(transcriber, spoken("two_cities.mp3"), start_s=1200.0)
    text = _text(heard)
    for words in ("it was the best of times", "winter of despair", "superlative degree of comparison only"):
        assert words in text
    (despair,) = [one for one in heard if "despair" in one.text]
    assert 1216 < despair.start_s < despair.end_s < 1222
    assert all(1200 <= one.start_s < one.end_s <= 1245 for one in heard)
    assert {(one.engine, one.language, one.request_id) for one in heard} == {("local:tiny.en", "en", "asked")}
    assert all(one.confidence is not None and 0.6 < one.confidence <= 1 for one in heard)


async def test_swearing_is_written_down_as_it_is(transcriber: Transcriber) -> None:
    assert "fucking idiot" in _text(await _hear(transcriber, spoken("spoken_insult.m4a")))


async def test_words_far_apart_keep_their_times_and_nothing_between_them_is_transcribed(
    transcriber: Transcriber,
) -> None:
    sentence = cut(spoken("two_cities.mp3"), 0.7, 4.8)
    pcm = sentence + silence(140) + sentence + silence(140) + sentence
    asked = asking(chunk(pcm))
    answer = await transcriber.submit(asked)
    heard = transcriber.read(asked, answer)
    assert [round(one.start_s) for one in heard if one.text.lower().startswith("it was the best")] == [0, 144, 288]
    assert all(one.end_s - one.start_s < 5 for one in heard)
    kept = json.loads(answer.raw)
    assert sum(end_s - start_s for start_s, end_s in kept["stretches"]) < 20


async def test_the_same_sound_gives_the_same_answer(transcriber: Transcriber) -> None:
    asked = asking(chunk(cut(spoken("two_cities.mp3"), 0, 9)))
    assert (await transcriber.submit(asked)).raw == (await transcriber.submit(asked)).raw


@pytest.mark.parametrize(
    "pcm",
    [b"", bytes(2), silence(0.1), silence(30), pink_noise(30), tone(30, 440), spoken("earth_at_night.mp4")],
    ids=["nothing", "one-sample", "a-moment", "silence", "noise", "tone", "music"],
)
async def test_nobody_speaking_is_no_utterance_and_no_shortfall(transcriber: Transcriber, pcm: bytes) -> None:
    asked = asking(chunk(pcm))
    answer = await transcriber.submit(asked)
    assert transcriber.read(asked, answer) == []
    assert transcriber.shortfall(asked, answer) is None
    assert answer.tokens_charged == transcriber.quote(Medium.AUDIO, asked.samples) == 0


async def test_what_was_made_up_of_noise_is_kept_with_its_doubt_and_is_no_utterance(transcriber: Transcriber) -> None:
    asked = asking(chunk(buzz(20)))
    answer = await transcriber.submit(asked)
    assert json.loads(answer.raw)["stretches"]
    assert transcriber.read(asked, answer) == []
    assert transcriber.shortfall(asked, answer) is not None


async def test_speech_that_cannot_be_understood_is_a_shortfall(transcriber: Transcriber) -> None:
    pcm = spoken("two_cities.mp3")
    backwards = b"".join(pcm[at : at + 2] for at in range(len(pcm) - 2, -1, -2))
    asked = asking(chunk(backwards))
    short = transcriber.shortfall(asked, await transcriber.submit(asked))
    assert short is not None
    assert "another language" in short.detail


async def test_speech_that_is_understood_is_no_shortfall(transcriber: Transcriber) -> None:
    for name in ("two_cities.mp3", "hello.mp4", "debian.ogg", "spoken_insult.m4a"):
        asked = asking(chunk(spoken(name)))
        assert transcriber.shortfall(asked, await transcriber.submit(asked)) is None, name


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("samples", [(chunk(bytes(3)),), (chunk(None),), (chunk(bytes(2)), chunk(bytes(4)))])
async def test_what_is_not_one_chunk_of_raw_sound_is_refused(transcriber: Transcriber, samples: tuple[object]) -> None:
    with pytest.raises(EndpointError) as caught:
        await transcriber.submit(asking(*samples))  # type: ignore[arg-type]
    assert caught.value.failure is Failure.REFUSED


@pytest.mark.parametrize("raw", ["", "{}", "null", "[]", '{"segments": []}', "\x00"])
def test_an_answer_that_is_none_is_never_silence(raw: str) -> None:
    closed, asked = build(LocalTranscriberConfig()), asking(chunk(b""))
    for read in (closed.read, closed.shortfall):
        with pytest.raises(EndpointError) as caught:
            read(asked, Answer(raw, 0))
        assert caught.value.failure is Failure.REFUSED


async def test_a_transcriber_that_is_not_open_refuses_for_good() -> None:
    with pytest.raises(EndpointError) as caught:
        await build(LocalTranscriberConfig()).submit(asking(chunk(b"")))
    assert caught.value.failure is Failure.FATAL


async def test_a_cancelled_transcription_leaves_the_model_free_for_the_next(transcriber: Transcriber) -> None:
    sentence = cut(spoken("two_cities.mp3"), 0, 10)
    submitted = asyncio.ensure_future(transcriber.submit(asking(chunk(spoken("two_cities.mp3") * 6))))
    await asyncio.sleep(0)
    submitted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitted
    assert "best of times" in _text(await _hear(transcriber, sentence))


# ---------------------------------------------------------------------------------------------- settings and models


def test_it_asks_for_long_chunks_of_raw_sound_without_silence() -> None:
    needs = build(LocalTranscriberConfig()).needs
    assert needs.frame is needs.utterance is None
    assert needs.audio is not None
    assert (needs.audio.codec, needs.audio.sample_rate_hz, needs.audio.skip_silence) == (AudioCodec.PCM, RATE_HZ, True)
    assert needs.audio.max_bytes == needs.audio.max_s * 2 * RATE_HZ <= 20_000_000


def test_what_changes_no_answer_changes_no_setting() -> None:
    settings = build(LocalTranscriberConfig()).settings
    other = {"threads": 1, "limit": {"concurrency": 9}, "max_chunk_s": 60}
    assert build(LocalTranscriberConfig.model_validate(other)).settings == settings
    for change in ({"beam_size": 5}, {"speech_threshold": 0.4}):
        assert build(LocalTranscriberConfig.model_validate(change)).settings != settings
    assert json.dumps(settings)


async def test_the_answer_names_the_weights(transcriber: Transcriber) -> None:
    answer = await transcriber.submit(asking(chunk(b"")))
    assert json.loads(answer.raw)["models"] == transcriber.settings["models"]
    assert set(transcriber.settings["models"]) >= {"tiny.en", "silero-vad"}


def test_another_language_than_english_needs_another_model() -> None:
    with pytest.raises(ValueError, match="knows English alone"):
        LocalTranscriberConfig(language="de")


def _own_model(directory: Path) -> Path:
    shutil.copytree(locate("tiny.en").parent, directory)
    return directory


async def test_a_model_of_ones_own_is_used_and_named(tmp_path: Path) -> None:
    own = build(LocalTranscriberConfig(model=_own_model(tmp_path / "my-model"), threads=1))
    await own.open()
    heard = await _hear(own, cut(spoken("two_cities.mp3"), 0, 9))
    assert "best of times" in _text(heard)
    assert heard[0].engine == "local:my-model"
    assert own.settings != build(LocalTranscriberConfig()).settings


async def test_an_english_model_of_ones_own_is_not_asked_for_german(tmp_path: Path) -> None:
    config = LocalTranscriberConfig(model=_own_model(tmp_path / "my-model"), language="de")
    with pytest.raises(UsageError, match="knows English alone"):
        await build(config).open()


def test_a_directory_without_a_model_is_an_error_that_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[transcribe\.local\] model: .*model\.bin cannot be read"):
        build(LocalTranscriberConfig(model=tmp_path))


def test_a_model_without_its_tokenizer_is_refused_because_the_library_would_fetch_one(tmp_path: Path) -> None:
    model = _own_model(tmp_path / "my-model")
    (model / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"tokenizer\.json cannot be read"):
        build(LocalTranscriberConfig(model=model))


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json"])
async def test_a_directory_with_a_broken_model_is_an_error_before_anything_is_heard(tmp_path: Path, file: str) -> None:
    model = _own_model(tmp_path / "my-model")
    (model / file).write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="cannot be loaded"):
        await build(LocalTranscriberConfig(model=model)).open()


# ------------------------------------------------------------------------------------------------------- no network


def test_it_hears_in_a_network_namespace_of_its_own_and_says_nothing_on_standard_error(tmp_path: Path) -> None:
    namespace = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "HOME": str(tmp_path)}
    permitted = (
        shutil.which("unshare") is not None and subprocess.run([*namespace, "true"], check=False).returncode == 0
    )
    if not permitted and os.environ.get("CI") != "true":
        pytest.skip(f"`{' '.join(namespace)}` is not permitted here")
    done = subprocess.run(
        [*namespace, sys.executable, "-W", "error", "-m", "tests.transcribe.offline"],
        cwd=_ROOT, env=environment, input=spoken("spoken_insult.m4a"), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert "fucking idiot" in done.stdout.decode().lower()
    assert not list(tmp_path.rglob("*")), "something was cached or downloaded"
