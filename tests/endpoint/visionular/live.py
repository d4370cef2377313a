"""What the tests of Visionular share: its server with a judge of colours, short films, a table that does not wait."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from batch_scan.digest import digest_file
from batch_scan.endpoint.visionular.config import VisionularConfig
from batch_scan.endpoint.visionular.endpoint import Visionular, build
from batch_scan.endpoint.visionular.ids import stream_digest
from batch_scan.model import Digest, Request, RequestId, Sample
from batch_scan.sandbox.judge import Opinion
from batch_scan.vocabulary import Category, Medium
from tests.corpus_media import H264, make
from tests.endpoint.harness import HttpHarness, Told
from tests.sandbox.judges import Blue, Red
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from batch_scan.sandbox.faults import Fault
    from batch_scan.sandbox.visionular.server import VisionularServer

TOKEN_VARIABLE: Final = "VISIONULAR_ACCESS_TOKEN"
CLIP_S: Final = 2.4
"""Between whole seconds, so that no rounding of a tenth decides what it costs."""
CLIP_TOKENS: Final = 3


def judge() -> ScriptedJudge:
    """Red is nude, blue shows a weapon, everything else is clean."""
    return ScriptedJudge({Red: [Opinion(Category.NUDITY, 0.9)], Blue: [Opinion(Category.WEAPON, 0.95)]})


def film(path: Path, *colours: tuple[str, float]) -> Path:
    """Make a film of plain colours, each shown for so many seconds."""
    inputs = [
        word for name, seconds in colours for word in ("-f", "lavfi", "-i", f"color={name}:s=64x48:r=10:d={seconds}")
    ]
    joined = "".join(f"[{at}:v]" for at in range(len(colours))) + f"concat=n={len(colours)}:v=1:a=0"
    return make(path, *inputs, "-filter_complex", joined, *H264, "-g", "10")


def sample_of(path: Path, duration_s: float) -> Sample:
    """Return a file as the core hands it on."""
    return Sample(Medium.STREAM, 0.0, duration_s, Digest(digest_file(path)), "video/*", None, path=path)


def request_for(endpoint: Visionular, sample: Sample, name: str = "r") -> Request:
    """Return a request for one file, as the core makes it."""
    tokens = endpoint.quote(Medium.STREAM, [sample])
    return Request(RequestId(name), endpoint.name, endpoint.operation(Medium.STREAM), (sample,), tokens, sample.digest)


def quick(**table: Any) -> VisionularConfig:
    """Return a table whose waits are short."""
    waits = {"poll_interval_s": 0.05, "settle_s": 0.3, "settle_max_s": 5.0, "frame_interval": 1}
    return VisionularConfig.model_validate({**waits, **table})


def raw_of(
    detections: list[Any], *, key: str = "202601-key", of: str = "202601-key", models: tuple[str, ...] = ("nude",)
) -> str:
    """Return an answer with one record of one picture at second 1."""
    record = {
        "id": 1,
        "event_id": "e-1",
        "detect_info": json.dumps(detections),
        "detect_status": 1,
        "review_at": 1_763_554_495_000,
        "stream": stream_digest(of),
        "started_s": 1_763_554_494,
    }
    play = {"version": 1, "stream": stream_digest(key), "frame_interval": 1, "played_s": 1.9, "beats": [[0.0, 0.0]]}
    return json.dumps({**play, "models": list(models), "records": [record]})


def detection(model: str = "nude", confidence: float = 0.0, risk: str | None = "pass") -> dict[str, Any]:
    """Return what one model says of one picture."""
    said: dict[str, Any] = {"model": model, "confidence": confidence, "bounding_box": [0, 0, 0, 0]}
    return said if risk is None else said | {"risk_level": risk}


class VisionularHarness(HttpHarness):
    """See `HttpHarness`. Every whole answer takes as long as the clip."""

    def __init__(self, server: VisionularServer, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.secret = server.token
        self.base_url = server.url
        self._directory = directory
        self._monkeypatch = monkeypatch
        monkeypatch.setenv(TOKEN_VARIABLE, server.token)

    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None, **table: Any) -> Visionular:
        where = {"base_url": base_url or self.base_url, "ingest_url": self.server.ingest_url}
        return build(quick(**where, limit={"timeout_s": timeout_s}, **table))

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        path = self._directory / f"clip{number}.mp4"
        if not path.exists():
            film(path, ("green", CLIP_S - 0.1 * number))
        return sample_of(path, CLIP_S - 0.1 * number)

    def raw(self, told: Told, medium: Medium) -> str:
        answers: dict[Told, str] = {
            Told.CLEAN: raw_of([detection("nude"), detection("weapon")]),
            Told.UNCLEAN: raw_of([detection("nude", 0.9, "reject"), detection("weapon", 0.1)]),
            Told.UNKNOWN_LABEL: raw_of([detection(self.unknown_label, 0.9, "reject")]),
            Told.UNKNOWN_WORD: raw_of([detection("nude", 0.1, "perhaps")]),
            Told.NO_VERDICT: raw_of([detection("nude", 0.1, None)]),
            Told.SOMEBODY_ELSES: raw_of([detection("nude")], of="202601-key-of-another"),
        }
        return answers[told]

    def tokens_charged(self) -> int:
        return self.server.tokens_used

    def go_wrong(self, fault: Fault) -> None:
        self.server.faults.queue(fault)

    def calls(self) -> int:
        return len(self.server.calls)

    def stop_server(self) -> None:
        self.server.stop()

    def change_key(self) -> None:
        self._monkeypatch.setenv(TOKEN_VARIABLE, "vs-token-of-somebody-else")
