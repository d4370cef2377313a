"""Our request is the one that the vendor's own library sends, but for what is documented here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment

from batch_scan.model import Request, RequestId
from batch_scan.sandbox.deepgram.server import DeepgramServer
from batch_scan.transcribe.deepgram.transcriber import DeepgramConfig, build
from batch_scan.vocabulary import Medium
from tests.sandbox.scripted import ScriptedJudge
from tests.transcribe.deepgram.made import TONES, sample_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_scan.sandbox.exchange import Seen

pytestmark = pytest.mark.filterwarnings("ignore:websockets.*is deprecated:DeprecationWarning")  # the library's own
OPTIONS: dict[str, Any] = {
    "model": "nova-3",
    "language": "en",
    "utterances": True,
    "utt_split": 0.8,
    "punctuate": True,
    "smart_format": True,
    "diarize_model": "latest",
    "filler_words": True,
    "keyterm": ["first term", "second"],
    "tag": ["night"],
    "extra": ["job:7"],
    "mip_opt_out": True,
}
TRANSPORT = {"host", "content-length", "connection", "accept", "accept-encoding", "user-agent", "transfer-encoding"}
"""Headers that every HTTP library sets in its own way."""


@pytest.fixture
def server() -> Iterator[DeepgramServer]:
    with DeepgramServer(judge=ScriptedJudge(tones=TONES)) as server:
        yield server


async def ours(server: DeepgramServer) -> tuple[Seen, list[str]]:
    table = {name: value for name, value in OPTIONS.items() if name != "utterances"}
    transcriber = build(DeepgramConfig.model_validate({"base_url": server.url, **table}))
    await transcriber.open()
    sample = sample_of()
    tokens = transcriber.quote(Medium.AUDIO, (sample,))
    request = Request(RequestId("r"), "transcribe.deepgram", "listen", (sample,), tokens)
    answer = await transcriber.submit(request)
    await transcriber.close()
    return server.calls[-1], [one.text for one in transcriber.read(request, answer)]


async def theirs(server: DeepgramServer) -> tuple[Seen, list[str]]:
    here = DeepgramClientEnvironment(base=server.url, production=server.url, agent=server.url, agent_rest=server.url)
    async with httpx.AsyncClient(trust_env=False) as http:
        client = AsyncDeepgramClient(api_key=server.key, environment=here, httpx_client=http)
        told = await client.listen.v1.media.transcribe_file(
            request=sample_of().data or b"", request_options={"max_retries": 0}, **OPTIONS
        )
    utterances = getattr(told, "results").utterances  # noqa: B009 - its answers are unions, of which this is one
    return server.calls[-1], [str(one.transcript) for one in utterances]


async def test_the_vendors_library_sends_the_same_request_and_reads_the_same_words(
    server: DeepgramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", server.key)
    (own, own_words), (their, their_words) = await ours(server), await theirs(server)
    assert (own.method, own.path, own.status) == (their.method, their.path, their.status) == ("POST", "/v1/listen", 200)
    assert own.fields == their.fields
    assert own.headers["authorization"] == their.headers["authorization"] == f"Token {server.key}"
    assert (own.digest, own.size_bytes, own.tokens) == (their.digest, their.size_bytes, their.tokens)
    assert own_words == their_words == ["you awful fool"]

    # What differs: we say what the sound is, they leave it to be guessed; they tell of themselves.
    assert (own.mime, their.mime) == ("audio/flac", "application/octet-stream")
    own_headers, their_headers = set(own.headers) - TRANSPORT, set(their.headers) - TRANSPORT
    assert own_headers == {"authorization", "content-type"}
    extras = their_headers - own_headers
    assert {name for name in extras if not name.startswith("x-fern-")} == {"x-deepgram-session-id"}
    assert own_headers <= their_headers
