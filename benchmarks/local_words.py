"""Measures the embedded engine's words: how well it hears, how fast, and what its text models find and flag wrongly.

The clips are real people's speech out of Debian packages; nothing is committed here. To repeat:

    apt-get download asterisk-core-sounds-en asterisk-core-sounds-en-g722 pocketsphinx-testdata asterisk-moh-opsound-wav
    apt-get download asterisk-core-sounds-es-g722 asterisk-core-sounds-fr-g722
    for package in *.deb; do dpkg-deb -x "$package" clips; done
    pip install '.[local]' jiwer
    python benchmarks/local_words.py clips

Music is measured too: whatever is written down of it was never said. So are Spanish and French, which must not pass for
understood.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import random
import re
import resource
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ffmpeg
import imageio_ffmpeg
import jiwer
import numpy as np

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.text import TextModels
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.transcribe.config import LocalTranscriberConfig
from batch_scan.transcribe.local import build
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batch_scan.model import Utterance
    from batch_scan.transcribe.interface import Transcriber

_RATE_HZ = 16_000
_SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
_LANGUAGES = {"English": _SOUNDS, "Spanish": f"{_SOUNDS}/../es_MX_f_Allison", "French": f"{_SOUNDS}/../fr_CA_f_June"}
_PROMPTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
_LIBRIVOX = "usr/share/pocketsphinx/test/data/librivox"
_MUSIC = "usr/share/asterisk/moh"
_WORDS = jiwer.Compose(
    [jiwer.ToLowerCase(), jiwer.SubstituteRegexes({r"[^\w\s']": " "}), jiwer.RemoveMultipleSpaces(), jiwer.Strip(),
     jiwer.ReduceToListOfListOfWords()]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound file, and what is said in it."""

    path: Path
    said: str


def prompts(root: Path) -> list[tuple[str, str]]:
    """Return name and text of every spoken prompt."""
    lines = gzip.decompress((root / _PROMPTS).read_bytes()).decode().splitlines()
    pairs = [line.split(": ", 1) for line in lines if ": " in line and not line.startswith(";")]
    return [(name, text.strip()) for name, text in pairs if not re.match(r"[\[(<]", text.strip())]


def prompt_clips(root: Path) -> Iterator[Clip]:
    """Yield prompts of several words without digits, of which spelling is a matter of taste."""
    for name, text in prompts(root):
        path = root / _SOUNDS / f"{name}.g722"
        if path.exists() and not re.search(r"[\d\[(]", text) and len(text.split()) > 2:
            yield Clip(path, text)


def librivox_clips(root: Path) -> Iterator[Clip]:
    """Yield the LibriVox sentences."""
    for line in (root / _LIBRIVOX / "transcription").read_text().splitlines():
        match = re.fullmatch(r"(?:<s> )?(.*?)(?: </s>)? \((.+)\)", line.strip())
        if match:
            yield Clip(root / _LIBRIVOX / f"{match[2]}.wav", match[1])


def sound(path: Path) -> bytes:
    """Return a file as raw mono sound at 16 kHz."""
    args = ffmpeg.input(str(path)).output("pipe:", format="s16le", ac=1, ar=_RATE_HZ)
    out, _ = args.run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), capture_stdout=True, quiet=True)
    return bytes(out)


async def hear(transcriber: Transcriber, pcm: bytes) -> list[Utterance]:
    """Return what the transcriber hears."""
    sample = Sample(Medium.AUDIO, 0.0, len(pcm) / 2 / _RATE_HZ, Digest(digest_bytes(pcm)), "audio/pcm", pcm)
    request = Request(RequestId("r"), "local", "transcribe", (sample,), 0)
    return transcriber.read(request, await transcriber.submit(request))


async def measure_speech(title: str, clips: Sequence[Clip], transcriber: Transcriber) -> None:
    """Print word error rate and cost, each clip for itself and all of them joined with pauses of 3 s."""
    sounds = [sound(clip.path) for clip in clips]
    said, heard, took_s = [], [], 0.0
    for clip, pcm in zip(clips, sounds, strict=True):
        start = time.process_time()
        utterances = await hear(transcriber, pcm)
        took_s += time.process_time() - start
        said.append(clip.said)
        heard.append(" ".join(one.text for one in utterances))
    long = b"".join(pcm + bytes(2 * 3 * _RATE_HZ) for pcm in sounds)
    start = time.process_time()
    joined = " ".join(one.text for one in await hear(transcriber, long[: 2 * 600 * _RATE_HZ]))
    joined_s = time.process_time() - start
    length_s, long_s = sum(map(len, sounds)) / 2 / _RATE_HZ, min(len(long) / 2 / _RATE_HZ, 600.0)
    alone = 100 * jiwer.wer(said, heard, reference_transform=_WORDS, hypothesis_transform=_WORDS)
    print(
        f"{title}: {len(clips)} clips, {length_s:.0f} s; word error rate {alone:.1f} %, "
        f"CPU {took_s / length_s:.3f} x real time"
    )
    if len(long) <= 2 * 600 * _RATE_HZ:
        whole = 100 * jiwer.wer(" ".join(said), joined, reference_transform=_WORDS, hypothesis_transform=_WORDS)
        print(f"  joined: word error rate {whole:.1f} %, CPU {joined_s / long_s:.3f} x real time")
    print(f"  clips of which nothing was heard: {sum(not text for text in heard)}")


async def measure_understanding(root: Path, transcriber: Transcriber) -> None:
    """Print how many recordings the transcriber says it did not understand: prompts, and messages made of them."""
    names = {clip.path.name for clip in prompt_clips(root)}
    draw = random.Random(1)  # noqa: S311 - which prompts make a message
    for language, directory in _LANGUAGES.items():
        prompts = [sound(path) for path in sorted((root / directory).glob("*.g722")) if path.name in names]
        messages = [_message(prompts, draw.uniform(5.0, 25.0), draw) for _ in range(60)]
        for what, clips in {"prompts": prompts[::2], "messages of 5 to 28 s": messages}.items():
            missed = [await not_understood(transcriber, pcm) for pcm in clips]
            print(f"{language} {what}: {sum(missed)} of {len(missed)} not understood")


def _message(prompts: Sequence[bytes], length_s: float, draw: random.Random) -> bytes:
    message = b""
    while len(message) < 2 * _RATE_HZ * length_s:
        message += draw.choice(prompts) + bytes(int(0.4 * _RATE_HZ) * 2)
    return message


async def not_understood(transcriber: Transcriber, pcm: bytes) -> bool:
    """Return whether the transcriber says that it did not understand."""
    sample = Sample(Medium.AUDIO, 0.0, len(pcm) / 2 / _RATE_HZ, Digest(digest_bytes(pcm)), "audio/pcm", pcm)
    request = Request(RequestId("r"), "local", "transcribe", (sample,), 0)
    return transcriber.shortfall(request, await transcriber.submit(request)) is not None


async def measure_noise(root: Path, transcriber: Transcriber) -> None:
    """Print what was written down of music and noise."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(120 * _RATE_HZ))
    pink = np.fft.irfft(spectrum / np.maximum(np.sqrt(np.arange(len(spectrum))), 1))
    clips = {"pink noise": (pink / np.abs(pink).max() * 20_000).astype("<i2").tobytes()}
    clips |= {path.name: sound(path) for path in sorted((root / _MUSIC).glob("*.wav"))}
    for name, pcm in clips.items():
        start = time.process_time()
        words = [one.text for one in await hear(transcriber, pcm)]
        length_s = len(pcm) / 2 / _RATE_HZ
        print(
            f"not speech: {name}, {length_s:.0f} s: {words}, "
            f"CPU {(time.process_time() - start) / length_s:.4f} x real time"
        )


def measure_text(root: Path) -> None:
    """Print false alarms on the benign and finds on the probes."""
    models = TextModels(LocalConfig())
    benign = [text for _, text in prompts(root)] + [clip.said for clip in librivox_clips(root)]
    probes = tomllib.loads((Path(__file__).parent / "probes.toml").read_text(encoding="utf-8"))
    for title, texts in {"benign prompts": benign, **probes}.items():
        start = time.perf_counter()
        tops = []
        for text, scores in zip(texts, models.judge(texts, ["en"] * len(texts)), strict=True):
            top = max(scores, key=lambda score: score.score)
            tops.append(top.score)
            if title != "benign prompts" or top.score >= 0.5:
                print(f"    {top.score:.2f} {top.label:35} {text}")
        took_ms = 1000 * (time.perf_counter() - start) / len(texts)
        at = {level: sum(score >= level for score in tops) for level in (0.5, 0.8)}
        print(f"{title}: {at[0.5]} of {len(texts)} at .5, {at[0.8]} at .8; {took_ms:.2f} ms a sentence")


async def measure(root: Path) -> None:
    """Measure everything, on one thread."""
    measure_text(root)
    transcriber = build(LocalTranscriberConfig(threads=1))
    await transcriber.open()
    await measure_speech("LibriVox", list(librivox_clips(root)), transcriber)
    await measure_speech("prompts", list(prompt_clips(root))[::6], transcriber)
    await measure_understanding(root, transcriber)
    await measure_noise(root, transcriber)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="where the packages were unpacked")
    asyncio.run(measure(parser.parse_args().clips))
