"""The words of the product as values: items, samples, requests, scores, findings, verdicts.

Everything one module hands to another is one of these. Positions are seconds of the file as float, instants UTC
datetimes with their zone, digests SHA-256 in hex, tokens whole numbers of what an endpoint charges in.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - these values are (de)serialised by their annotations
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003
from pathlib import Path
from typing import NewType

from batch_scan.media.ways import FrameWork, SoundWork  # noqa: TC001
from batch_scan.vocabulary import Action, Category, Medium, Outcome, Reason, Status, Verdict  # noqa: TC001

Digest = NewType("Digest", str)
RunId = NewType("RunId", str)
RequestId = NewType("RequestId", str)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something that should have been examined and was not, or not wholly."""

    reason: Reason
    detail: str
    """One sentence for a person, already cleaned of control characters; says what to do where something can be done."""
    error_type: str = ""
    """Class name of the error behind it, where there was one."""


# --------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source."""

    index: int
    """Position in the source, from 0."""
    uri: str
    """What the report shows: an absolute path or a URL without its secrets, always valid UTF-8."""
    identity: str
    """Names this entry across runs over the same source: stable, unique within one run."""
    locator: str
    """What the source opens: a path (undecodable bytes as surrogates) or the full URL. Never shown."""
    manifest: Mapping[str, str] = field(default_factory=dict)
    """The manifest row's other columns, as text; nulls left out."""
    stat: Stat | None = None
    """What the source's listing said of it, where asking again would take a request."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that is not to be opened; it gets its row all the same."""

    item: Item
    status: Status
    """`skipped` for the user's own choice, else `failed`."""
    shortfall: Shortfall


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells cheaply that an item is unchanged since it was last read."""

    size_bytes: int
    modified_ns: int
    """Modification time, nanoseconds since the epoch; 0 where the source knows none."""
    version: str = ""
    """ETag or inode and change time: anything else that changes with the content."""


# ----------------------------------------------------------------------------------------------------------- media


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track, as the container declares it."""

    index: int
    """Stream index in the container."""
    codec: str
    channels: int
    sample_rate_hz: int
    duration_s: float | None
    """Declared duration; None where the container does not say or only guesses from the bit rate."""
    language: str = ""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """One picture track, as the container declares it."""

    index: int
    codec: str
    width: int
    height: int
    duration_s: float | None
    is_cover: bool = False
    """Cover art (`attached_pic`): a single picture, judged once; does not make the file a video."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a probe found in a file."""

    container: str
    """ffmpeg's demuxer name, such as ``mov,mp4,m4a,3gp,3g2,mj2``."""
    duration_s: float | None
    audio: tuple[AudioTrack, ...] = ()
    video: tuple[VideoTrack, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    """What is missing of the file as a whole, whatever is taken out of it."""

    @property
    def main_video(self) -> VideoTrack | None:
        """The first picture track that is not cover art."""
        return next((track for track in self.video if not track.is_cover), None)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a file was planned, taken out and answered. Sums over tracks; an endpoint that got less counts."""

    audio_s_planned: float = 0.0
    audio_s_answered: float = 0.0
    frames_planned: int = 0
    frames_extracted: int = 0
    frames_deduplicated: int = 0
    frames_answered: int = 0
    audio_s_copied: float = 0.0


# --------------------------------------------------------------------------------------------------------- samples


@dataclass(frozen=True, slots=True)
class Sample:
    """A piece of an item that can be judged."""

    medium: Medium
    start_s: float
    end_s: float
    """Audio, utterances: the end. Frames: the last moment this picture stands for (its own where it has no twins)."""
    digest: Digest
    """SHA-256 of `data`, for streams of the file: two samples with one digest are one sample."""
    mime: str
    data: bytes | None
    """What is sent (text as UTF-8). None for streams, and where stored answers serve a sample of an earlier run."""
    track: int = 0
    """Stream index in the container."""
    stands_for: int = 1
    """How many wanted frames this one answers for, itself included."""
    speaker: str = ""
    language: str = ""
    url: str = field(default="", repr=False)
    """Where a service that fetches finds exactly these bytes, if it can; may be signed: never shown, logged or kept."""
    path: Path | None = None
    """Streams: the local file while it is at hand; None where the sample is known from an earlier run."""
    copied: bool = False
    """Sound that nobody decoded: unless its answer tells that all of it was heard, it is not clean."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of transcript, in seconds of the file."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""
    confidence: float | None = None
    language: str = ""
    engine: str = ""
    request_id: RequestId = RequestId("")


# -------------------------------------------------------------------------------------------- requests and answers


@dataclass(frozen=True, slots=True)
class Request:
    """One call to an endpoint or transcriber, before it is sent."""

    request_id: RequestId
    endpoint: str
    operation: str
    """The endpoint's own word for the call, such as ``image``."""
    samples: tuple[Sample, ...]
    tokens_max: int
    """The most it can cost; reserved before it is sent."""
    key: str = ""
    """Names the question: the same contents asked in the same way have the same key (64 hex digits) in every run, so
    that a vendor that knows submissions by an id of ours recognises one that is repeated."""

    @property
    def medium(self) -> Medium:
        """What kind of samples it carries; one kind per request."""
        return self.samples[0].medium


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request, kept raw."""

    raw: str
    """The answer as JSON text, secrets redacted; parsed again whenever scores are made of it."""
    tokens_charged: int
    """What the vendor said it cost or, where it says nothing, what its price list makes of the request."""
    http_status: int | None = None
    vendor_code: str = ""
    vendor_request_id: str = ""
    bytes_sent: int = 0
    rest_s: float | None = None
    """How long nothing more may be sent, where the service says that its rate is used up for now."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One row of the `requests` table: a request and how it ended, in this run."""

    request_id: RequestId
    endpoint: str
    operation: str
    medium: Medium
    start_s: float
    end_s: float
    samples: int
    outcome: Outcome
    cached: bool = False
    attempts: int = 0
    bytes_sent: int = 0
    http_status: int | None = None
    vendor_code: str = ""
    vendor_request_id: str = ""
    error: str = ""
    tokens_estimated: int = 0
    tokens_charged: int = 0
    cost: float | None = None
    """`tokens_charged` times the endpoint's `token_price`; None where the job gives none."""
    latency_ms: float | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    answer: str | None = None


# ------------------------------------------------------------------------------------------------------- judgement


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a picture, as fractions of its width and height."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Score:
    """A category with a number or a severity word that an answer gave to a sample."""

    endpoint: str
    medium: Medium
    start_s: float
    end_s: float
    category: Category
    vendor_label: str
    score: float
    """Between 0 and 1."""
    severity: str = ""
    """The vendor's own severity word, where it uses words."""
    unclean: bool = False
    """The endpoint itself called the sample unclean over this: at least `flag`, whatever the number says."""
    text: str = ""
    """The words it is about, where there are words."""
    context: str = ""
    box: Box | None = None
    request_id: RequestId = RequestId("")
    sample_digest: Digest = Digest("")


@dataclass(frozen=True, slots=True)
class Finding:
    """A score that the policy turned into `flag` or `remove`."""

    score: Score
    action: Action
    evidence: str = ""
    """Path of the thumbnail or clip below the report, empty where there is none."""


# --------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of the `files` table, but for what is the same for the whole run."""

    item: Item
    verdict: Verdict
    status: Status
    reason: Reason | None = None
    error_type: str = ""
    error: str = ""
    content_sha256: str = ""
    size_bytes: int | None = None
    modified_at: datetime | None = None
    media: MediaInfo | None = None
    top_category: Category | None = None
    top_score: float | None = None
    findings: int = 0
    coverage: Coverage = Coverage()
    duplicate_of: str = ""
    endpoints: tuple[str, ...] = ()
    requests: int = 0
    """Requests sent to endpoints and transcribers in this run for this file."""
    cached_requests: int = 0
    """Requests whose answer was there already."""
    tokens_estimated: int = 0
    tokens_charged: int = 0
    cost: float | None = None
    """`tokens_charged` times the job's `token_price`, summed over endpoints; None where a price is missing."""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """Everything the report holds of one item: its one row, and what it is made of."""

    row: FileRow
    findings: tuple[Finding, ...] = ()
    scores: tuple[Score, ...] = ()
    requests: tuple[RequestRecord, ...] = ()
    transcripts: tuple[Utterance, ...] = ()
    frame_works: tuple[FrameWork, ...] = ()
    """What was done for its pictures, track by track; not in the report."""
    sound_works: tuple[SoundWork, ...] = ()
    further_reasons: frozenset[Reason] = frozenset()
    """Why more of it was not examined, beside `row.reason`; in the report only in words (`row.error`)."""


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What is counted over a run: the numbers of `runs` and of the last line of standard output."""

    items: int = 0
    keep: int = 0
    flag: int = 0
    remove: int = 0
    unknown: int = 0
    complete: int = 0
    partial: int = 0
    failed: int = 0
    skipped: int = 0
    requests: int = 0
    cached_requests: int = 0
    tokens_estimated: int = 0
    tokens_charged: int = 0


@dataclass(frozen=True, slots=True)
class RunRow:
    """One row of the `runs` table."""

    run_id: RunId
    job: str
    job_fingerprint: str
    source: str
    source_sha256: str
    """Digest of the manifest; empty for directories and buckets."""
    tool_version: str
    ffmpeg_version: str
    engine: str
    endpoints: tuple[str, ...]
    started_at: datetime
    finished_at: datetime | None = None
    exit_code: int | None = None
    totals: RunTotals = RunTotals()
    cost: float | None = None
