"""What an endpoint is, for those who write the next one (a transcriber is a `Service` too).

An endpoint gets samples and gives scores. It is asked in four steps, which the core drives (`ask.py`):

1. `needs` says which samples it takes, in what form and how many at once.
2. `quote` prices a request before anything is sent. Pure.
3. `submit` sends it, once: no retry, no waiting, no rate limit of its own. Returns an `Answer` or raises
   `EndpointError`.
4. `read` makes scores of an answer. Pure, so that stored answers can be read again.

The key under which an answer is kept is made of the sample's digest, the operation and `settings`; so `settings` must
hold everything that changes an answer, the adapter's own version included, and nothing that does not (key, base URL:
the core itself keeps the answers of a `base_url` on this machine apart).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.premises import Premises

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.config import ServiceConfig
    from batch_scan.media.interface import AudioSpec
    from batch_scan.model import Answer, Request, Sample, Score, Shortfall
    from batch_scan.vocabulary import Medium


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many samples of one kind go into one request, and how large one may be."""

    samples: int = 1
    sample_bytes: int = 20_000_000


@dataclass(frozen=True, slots=True)
class StreamNeeds:
    """Which files are handed on whole, as one sample of the kind `stream`."""

    pictures: bool = False
    """Files with a video track, for what is seen in it."""
    sound: bool = False
    """Files with a sound track, for what is heard in it."""
    by_url: bool = False
    """Only files that lie under a URL which the service itself can pull (`Sample.url`), and only where it then gets all
    of the sound (`whole.is_pulled`); of all others it takes sound in chunks, as `Needs.audio` says. False: it gets the
    local file (`Sample.path`)."""
    films: bool = True
    """By URL: whether files with pictures are pulled too."""
    containers: frozenset[str] = frozenset()
    """By URL: names of ffmpeg's demuxers whose files are pulled; empty: all."""
    max_s: float = math.inf
    """By URL: length of the longest file that is pulled, seconds."""
    max_bytes: float = math.inf
    """By URL: size of the largest file that is pulled."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Which samples a service takes; None where it takes none of the kind."""

    audio: AudioSpec | None = None
    frame: BatchLimits | None = None
    utterance: BatchLimits | None = None
    stream: StreamNeeds | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What a service said of itself at the start, or at the end."""

    requests_per_minute: float | None = None
    tokens_used: int | None = None
    tokens_remaining: int | None = None
    """None: unlimited or not said."""
    note: str = ""
    """Anything else worth a line to the operator, such as the tier."""


class Service(ABC):
    """What endpoints and transcribers have in common. Opened once per run, closed on every way out."""

    name: str
    """The word under `[endpoints.NAME]`, and in the report."""
    config: ServiceConfig
    premises: Premises = Premises()
    """What the run gives it to work with; set by the engine before `open`."""

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """Which samples it takes."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """What changes an answer: adapter version, model names and hashes, options. JSON-able."""

    def settings_for(self, medium: Medium) -> Mapping[str, Any]:  # noqa: ARG002 - for those who tell media apart
        """Return the part of `settings` that can change an answer for samples of this kind.

        What goes into the key of an answer: where it tells media apart, an option for pictures does not make the
        answers for sound be paid again.
        """
        return self.settings

    @abstractmethod
    async def open(self) -> Quota:
        """Connect, and say what is known of rate and quota.

        Raises EndpointError (`FATAL` stops the endpoint before anything is spent), UsageError for what the user must
        mend.
        """

    @abstractmethod
    async def close(self) -> Quota | None:
        """Let go of everything; return the quota at the end where it can be asked (never raises for that)."""

    @abstractmethod
    def operation(self, medium: Medium) -> str:
        """Return the service's word for judging samples of this kind."""

    @abstractmethod
    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        """Return the most that a request with these samples can cost, in tokens. Pure."""

    def lasts_s(self, medium: Medium, samples: Sequence[Sample]) -> float:  # noqa: ARG002 - for those who play live
        """Return how long a request takes at least, however fast the service is: what is played live. Pure."""
        return 0.0

    @abstractmethod
    async def submit(self, request: Request) -> Answer:
        """Have the request answered, asking once. Raises EndpointError.

        Where the table has a `limit.timeout_s`, no call takes longer: `HttpClient` sees to that, nobody else does.

        May take several calls: the first goes at once, every further one waits for `premises.pace`. What it opens at
        the vendor stands in `premises.handles` before, and is closed on every way out; what an earlier process left
        open is closed in `open`. Cancelled, it lets go of everything.
        """


class Endpoint(Service):
    """A service or an embedded model that judges samples."""

    @abstractmethod
    def read(self, request: Request, answer: Answer) -> list[Score]:
        """Make scores of an answer, one or more per sample where it says anything. Pure.

        Scores carry the seconds of their sample in the file (narrower where the answer says so), the request's id and
        the sample's digest. An unknown label is `other` with the label kept; an answer that calls a sample unclean
        yields at least one score with `unclean=True`.

        Raises EndpointError (`REFUSED`) where the answer does not say of each sample whether it is clean: never guess.
        """

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:  # noqa: ARG002 - for those who override
        """Return what was not judged of the request's samples though others were; None where all were.

        Stands beside the scores of `read`: an answer about several samples that was paid for is kept, and a file with
        a shortfall is not wholly examined. Samples without a digest only hold their place. Pure; raises EndpointError
        (`REFUSED`) where the answer cannot be read.
        """
        return None
