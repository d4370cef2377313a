"""What a service under test is to the contract suites: who makes it, its samples, its answers, its server.

`Harness` and `HttpHarness` are for endpoints, `TranscriberHarness` and `HttpTranscriberHarness` for transcribers; what
both share stands in `ServiceHarness` and `HttpServiceHarness`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING

from batch_scan.digest import digest_bytes
from batch_scan.model import Answer, Request, RequestId, Sample, Score, Utterance
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.errors import Failure
    from batch_scan.sandbox.faults import Fault
    from batch_scan.transcribe.interface import Transcriber


class Told(StrEnum):
    """What an answer says, in the vendor's own words; a harness writes one of each."""

    CLEAN = "clean"
    UNCLEAN = "unclean"
    UNKNOWN_LABEL = "unknown_label"
    """Unclean for a category that the adapter has never heard of: `Harness.unknown_label`."""
    UNKNOWN_WORD = "unknown_word"
    """A severity, status or verdict in a word that the adapter has never heard of."""
    NO_VERDICT = "no_verdict"
    """All there but the verdict."""
    SOMEBODY_ELSES = "somebody_elses"
    """Whole and clean, but it names another request or sample than the one that was asked about."""


class Spoken(StrEnum):
    """What a transcriber's answer says, in the vendor's own words; a harness writes one of each."""

    WORDS = "words"
    """Two utterances, one after the other, inside the sample."""
    NOTHING = "nothing"
    """Nobody spoke."""
    BEYOND = "beyond"
    """Words whose times lie outside the sample, before and after."""
    FOREIGN = "foreign"
    """Words in a language other than the one that was asked for, where the service tells."""
    NO_TRANSCRIPT = "no_transcript"
    """All there but the transcript."""


class ServiceHarness(ABC):
    """A service under test, whatever it is."""

    price_is_exact = True
    """Whether a whole answer costs what was quoted; False where a quote is the most it can be."""

    @abstractmethod
    def service(self) -> Endpoint | Transcriber:
        """Return a new service that has not been opened."""

    @abstractmethod
    def sample(self, medium: Medium, number: int = 0) -> Sample:
        """Return a sample that the service takes; another number is another content."""

    @abstractmethod
    def whole(self, medium: Medium) -> str:
        """Return an answer for one sample that holds as much as an answer can, as JSON."""

    @abstractmethod
    def tokens_charged(self) -> int:
        """Return what has been charged so far, by the other side's own books."""

    def media(self) -> list[Medium]:
        """Return what the service takes."""
        needs = self.service().needs
        kinds: dict[Medium, object] = {
            Medium.AUDIO: needs.audio,
            Medium.FRAME: needs.frame,
            Medium.UTTERANCE: needs.utterance,
            Medium.STREAM: needs.stream,
        }
        return [medium for medium, wanted in kinds.items() if wanted is not None]

    def request(self, service: Endpoint | Transcriber, medium: Medium, number: int = 0) -> Request:
        """Return a request for one sample, as the core makes it."""
        samples = (self.sample(medium, number),)
        tokens = service.quote(medium, samples)
        key = digest_bytes(f"{medium} {number}".encode())
        return Request(RequestId(f"r{number}"), service.name, service.operation(medium), samples, tokens, key)


class HttpServiceHarness(ServiceHarness):
    """A service that is spoken to over HTTP, with a server that can be told to go wrong."""

    secret: str
    """The key that the server wants."""
    base_url: str
    other_failures: Mapping[int, Failure] = {}
    """Statuses that mean something else with this vendor than the common table says."""
    open_asks = True
    """Whether opening sends a request that a wrong key fails; False where the first sample does."""

    @abstractmethod
    def service(self, *, timeout_s: float = 20.0, base_url: str | None = None) -> Endpoint | Transcriber:
        """Return a new service that has not been opened."""

    @abstractmethod
    def go_wrong(self, fault: Fault) -> None:
        """Have the next request that judges something go wrong in this way."""

    @abstractmethod
    def calls(self) -> int:
        """Return how many requests that judge something have arrived."""

    @abstractmethod
    def stop_server(self) -> None:
        """Take the service away."""

    def change_key(self) -> None:
        """Give the service, from its next opening on, a key that the server does not know."""
        raise AssertionError("a harness that has keys can change them")


class Harness(ServiceHarness):
    """One vendor under test: makes its endpoint and writes its answers."""

    unknown_label = "Frobnication"
    names_requests = True
    """Whether the vendor's answers name the request or sample they are about, so that another's can be told."""

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Return a new endpoint that has not been opened."""

    @abstractmethod
    def raw(self, told: Told, medium: Medium) -> str:
        """Return an answer for one sample, as JSON."""

    def service(self) -> Endpoint:
        return self.endpoint()

    def whole(self, medium: Medium) -> str:
        return self.raw(Told.UNCLEAN, medium)

    def read(self, told: Told | str, medium: Medium) -> list[Score]:
        """Return the scores of an answer."""
        endpoint = self.endpoint()
        raw = self.raw(told, medium) if isinstance(told, Told) else told
        return endpoint.read(self.request(endpoint, medium), Answer(raw=raw, tokens_charged=0))


class HttpHarness(Harness, HttpServiceHarness):
    """A vendor's endpoint that is spoken to over HTTP."""

    @abstractmethod
    def endpoint(self, *, timeout_s: float = 20.0, base_url: str | None = None) -> Endpoint:
        """Return a new endpoint that has not been opened."""

    def service(self, *, timeout_s: float = 20.0, base_url: str | None = None) -> Endpoint:
        return self.endpoint(timeout_s=timeout_s, base_url=base_url)


class TranscriberHarness(ServiceHarness):
    """One transcriber under test: makes it and writes its answers."""

    tells_language = True
    """Whether an answer says which language was spoken, so that another than the one asked for can be told."""

    @abstractmethod
    def transcriber(self) -> Transcriber:
        """Return a new transcriber that has not been opened; it is asked for one language where it can be."""

    @abstractmethod
    def raw(self, spoken: Spoken) -> str:
        """Return an answer for one chunk of sound, as JSON."""

    def service(self) -> Transcriber:
        return self.transcriber()

    def whole(self, medium: Medium) -> str:
        return self.raw(Spoken.WORDS)

    def asked(self, spoken: Spoken | str) -> tuple[Transcriber, Request, Answer]:
        """Return what it takes to read an answer."""
        transcriber = self.transcriber()
        raw = self.raw(spoken) if isinstance(spoken, Spoken) else spoken
        return transcriber, self.request(transcriber, Medium.AUDIO), Answer(raw=raw, tokens_charged=0)

    def read(self, spoken: Spoken | str) -> list[Utterance]:
        """Return the utterances of an answer."""
        transcriber, request, answer = self.asked(spoken)
        return transcriber.read(request, answer)


class HttpTranscriberHarness(TranscriberHarness, HttpServiceHarness):
    """A vendor's transcriber that is spoken to over HTTP."""

    @abstractmethod
    def transcriber(self, *, timeout_s: float = 20.0, base_url: str | None = None) -> Transcriber:
        """Return a new transcriber that has not been opened."""

    def service(self, *, timeout_s: float = 20.0, base_url: str | None = None) -> Transcriber:
        return self.transcriber(timeout_s=timeout_s, base_url=base_url)
