"""The six tables of a report: every column with its type and its meaning. The one place they are written down.

docs/report.md is generated from here, and the descriptions stand in the Parquet files themselves (field metadata
`description`; the table's own in the schema metadata).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa


class Table(StrEnum):
    """The tables of a report; also the names of their directories."""

    RUNS = "runs"
    FILES = "files"
    FINDINGS = "findings"
    SCORES = "scores"
    REQUESTS = "requests"
    TRANSCRIPTS = "transcripts"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its Arrow type, and what stands in it."""

    name: str
    type: pa.DataType
    description: str


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: what a row is, and its columns in order."""

    row_per: str
    description: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def schema(self) -> pa.Schema:
        """Return the Arrow schema, descriptions as metadata. Every column may be null."""
        fields = [pa.field(c.name, c.type, metadata={"description": c.description}) for c in self.columns]
        return pa.schema(fields, metadata={"description": self.description})


_TEXT = pa.string()
_INT = pa.int64()
_NUMBER = pa.float64()
_FLAG = pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")
_TEXTS = pa.list_(pa.string())
_TEXT_MAP = pa.map_(pa.string(), pa.string())
_BOX = pa.struct([("x", _NUMBER), ("y", _NUMBER), ("w", _NUMBER), ("h", _NUMBER)])

# A dictionary and not plain text: pandas reads the directory `run_id=…` as a dictionary column and refuses to merge it
# with a column of another type in the files. Other readers show it as text all the same.
_RUN_TYPE = pa.dictionary(pa.int32(), pa.string())
_RUN_ID = Column("run_id", _RUN_TYPE, "The run this row belongs to; sorts by start time. Also names its directory.")
_URI = Column("uri", _TEXT, "The item, as in `files.uri`.")
_START = Column("start_s", _NUMBER, "Where it begins, seconds from the start of the file.")
_END = Column("end_s", _NUMBER, "Where it ends, seconds; for a frame the last moment that this picture stands for.")
_ENDPOINT = Column("endpoint", _TEXT, "The endpoint that was asked.")
_MEDIUM = Column("medium", _TEXT, "What was judged: `audio`, `frame`, `utterance` or `stream`.")
_CATEGORY = Column("category", _TEXT, "The category, in the vocabulary that all endpoints share.")
_LABEL = Column("vendor_label", _TEXT, "The endpoint's own word for it.")
_SCORE = Column("score", _NUMBER, "How sure or how severe, between 0 and 1.")
_SEVERITY = Column("severity", _TEXT, "The endpoint's own severity word; null where it gives numbers.")
_REQUEST_ID = Column("request_id", _TEXT, "The request it came from, as in `requests.request_id`.")

_RUNS = TableSpec(
    "run",
    "One row per run: what was scanned with what, when, and what came of it.",
    (
        _RUN_ID,
        Column("job", _TEXT, "Name of the job."),
        Column("job_fingerprint", _TEXT, "SHA-256 of the settings that decide the result; equal settings share it."),
        Column("source", _TEXT, "The manifest, directory or bucket that was scanned."),
        Column("source_sha256", _TEXT, "SHA-256 of the manifest; null for directories and buckets."),
        Column("tool_version", _TEXT, "Version of batch-scan."),
        Column("ffmpeg_version", _TEXT, "Version of the ffmpeg that read the media."),
        Column("engine", _TEXT, "How the run was spread: `local`, on one machine."),
        Column("endpoints", _TEXTS, "The job's endpoints, and `transcribe.NAME` where a transcriber works for them."),
        Column("started_at", _TIME, "When the run began; kept when it is continued."),
        Column("finished_at", _TIME, "When it ended; null while it goes on or after it was cut off."),
        Column("exit_code", _INT, "Exit code of the command; null as long as `finished_at` is."),
        Column("items", _INT, "Entries of the source that have their row; the sum of each of the next two groups."),
        Column("keep", _INT, "Files with the verdict `keep`."),
        Column("flag", _INT, "Files with the verdict `flag`."),
        Column("remove", _INT, "Files with the verdict `remove`."),
        Column("unknown", _INT, "Files with the verdict `unknown`."),
        Column("complete", _INT, "Files of which all that was planned was answered."),
        Column("partial", _INT, "Files of which some was answered."),
        Column("failed", _INT, "Files of which nothing was answered."),
        Column("skipped", _INT, "Files left out by the user's own choice."),
        Column("requests", _INT, "Requests sent in this run."),
        Column("cached_requests", _INT, "Requests whose answer was there already; these cost nothing."),
        Column("tokens_estimated", _INT, "Tokens the requests were priced at before they were sent."),
        Column("tokens_charged", _INT, "Tokens charged: as the endpoint said, else as its price list has it."),
        Column("cost", _NUMBER, "`tokens_charged` times the job's `token_price`; null where a price is missing."),
    ),
)

_FILES = TableSpec(
    "item",
    "One row per entry of the source, whatever happened to it.",
    (
        _RUN_ID,
        Column("item", _INT, "Position in the source, from 0."),
        Column("uri", _TEXT, "Absolute path or URL, without secrets; a file URI where a name is not UTF-8."),
        Column("manifest", _TEXT_MAP, "The manifest row's other columns, as text."),
        Column("content_sha256", _TEXT, "SHA-256 of the content; null where it was not read."),
        Column("size_bytes", _INT, "Size of the content, bytes."),
        Column("modified_at", _TIME, "When the file was last modified, as its source says."),
        Column("container", _TEXT, "ffmpeg's name of the container format."),
        Column("duration_s", _NUMBER, "Declared duration, seconds; null where none is declared."),
        Column("audio_codec", _TEXT, "Codec of the first sound track; null where there is none."),
        Column("video_codec", _TEXT, "Codec of the first picture track, cover art aside; null where there is none."),
        Column("width", _INT, "Width of that track, pixels."),
        Column("height", _INT, "Height of that track, pixels."),
        Column("verdict", _TEXT, "`keep`, `flag`, `remove` or `unknown`; `keep` only where `status` is `complete`."),
        Column("status", _TEXT, "How much was answered: `complete`, `partial`, `failed` or `skipped`."),
        Column("reason", _TEXT, "Why something was not examined, as one word; null where nothing is missing."),
        Column("error_type", _TEXT, "Class of the error behind `reason`, where there was one."),
        Column("error", _TEXT, "What was not examined and why, for a person."),
        Column(
            "top_category", _TEXT, "Category of the worst finding, `remove` before `flag`; else of the highest score."
        ),
        Column("top_score", _NUMBER, "Score of the same, between 0 and 1."),
        Column("findings", _INT, "Findings in its content; those of a duplicate have their rows under `duplicate_of`."),
        Column("audio_s_planned", _NUMBER, "Seconds of sound to be heard, over all tracks."),
        Column("audio_s_answered", _NUMBER, "Seconds of sound answered, or measured silent (peaks below -60 dBFS)."),
        Column("audio_s_copied", _NUMBER, "Seconds of sound that was not decoded here (`[extract] copy_sound`); or 0."),
        Column("frames_planned", _INT, "Pictures wanted."),
        Column("frames_extracted", _INT, "Pictures taken out."),
        Column("frames_deduplicated", _INT, "Pictures that share the answer of a near-identical neighbour."),
        Column("frames_answered", _INT, "Pictures answered, those that share an answer included."),
        Column(
            "duplicate_of", _TEXT, "URI of the item with the same content whose verdict and counts this row repeats."
        ),
        Column("endpoints", _TEXTS, "As in `runs`, where it was examined; what each was asked about it: `requests`."),
        Column("requests", _INT, "Requests sent for it in this run."),
        Column("cached_requests", _INT, "Requests whose answer was there already."),
        Column("tokens_estimated", _INT, "Tokens its requests were priced at."),
        Column("tokens_charged", _INT, "Tokens charged for it in this run."),
        Column("cost", _NUMBER, "`tokens_charged` times the job's `token_price`; null where a price is missing."),
        Column("started_at", _TIME, "When work on it began."),
        Column("finished_at", _TIME, "When its verdict was reached."),
    ),
)

_FINDINGS = TableSpec(
    "finding",
    "One row per score that the policy turned into `flag` or `remove`.",
    (
        _RUN_ID,
        _URI,
        Column("content_sha256", _TEXT, "SHA-256 of the content it was found in."),
        _ENDPOINT,
        _MEDIUM,
        _START,
        _END,
        _CATEGORY,
        _LABEL,
        _SCORE,
        _SEVERITY,
        Column("action", _TEXT, "What the policy makes of it: `flag` or `remove`."),
        Column("text", _TEXT, "The words it is about, where there are words."),
        Column("context", _TEXT, "The words around them."),
        Column("box", _BOX, "Where in the picture: `x`, `y`, `w`, `h` as fractions of its width and height."),
        Column("evidence", _TEXT, "Thumbnail or clip, as a path below the report; null where none was kept."),
        _REQUEST_ID,
    ),
)

_SCORES = TableSpec(
    "score",
    "One row per score that an answer gave, a finding or not.",
    (_RUN_ID, _URI, _ENDPOINT, _MEDIUM, _START, _END, _CATEGORY, _LABEL, _SCORE, _SEVERITY, _REQUEST_ID),
)

_REQUESTS = TableSpec(
    "request",
    "One row per request to an endpoint or transcriber and how it ended, in this run.",
    (
        _RUN_ID,
        Column("request_id", _TEXT, "Names the request by what is asked: equal content and settings share it."),
        _URI,
        _ENDPOINT,
        Column("operation", _TEXT, "The endpoint's own word for the call."),
        _MEDIUM,
        Column("start_s", _NUMBER, "Where its first sample begins, seconds from the start of the file."),
        Column("end_s", _NUMBER, "Where its last sample ends, seconds."),
        Column("samples", _INT, "Samples it carried."),
        Column("bytes_sent", _INT, "Bytes sent, of all attempts that were counted."),
        Column("attempts", _INT, "Times it was sent in this run; 0 where no connection came about."),
        Column("http_status", _INT, "Status code of the last answer; null where none came."),
        Column("vendor_code", _TEXT, "The endpoint's own result or error code."),
        Column("vendor_request_id", _TEXT, "The endpoint's own name for the request, to ask its support about."),
        Column("outcome", _TEXT, "`answered`, `failed` or `not_sent`."),
        Column("error", _TEXT, "Why it has no answer; null where it has one."),
        Column("cached", _FLAG, "True where the answer was there already and nothing was sent."),
        Column("tokens_estimated", _INT, "Tokens it was priced at before it was sent."),
        Column("tokens_charged", _INT, "Tokens charged: as the endpoint said, else as its price list has it."),
        Column("cost", _NUMBER, "`tokens_charged` times the job's `token_price`; null where it has none."),
        Column("latency_ms", _NUMBER, "From sending to the whole answer, milliseconds, of the last attempt."),
        Column("sent_at", _TIME, "When it was first sent."),
        Column("answered_at", _TIME, "When the answer was there."),
        Column("answer", _TEXT, "The answer as JSON text, secrets redacted."),
    ),
)

_TRANSCRIPTS = TableSpec(
    "utterance",
    "One row per utterance: a stretch of speech as text.",
    (
        _RUN_ID,
        _URI,
        _START,
        Column("end_s", _NUMBER, "Where it ends, seconds."),
        Column("text", _TEXT, "What was said."),
        Column("speaker", _TEXT, "Who said it, where the transcriber tells speakers apart."),
        Column("confidence", _NUMBER, "How sure the transcriber is, between 0 and 1."),
        Column("language", _TEXT, "Language code, as the transcriber has it."),
        Column("engine", _TEXT, "The transcriber."),
        _REQUEST_ID,
    ),
)

TABLES = {
    Table.RUNS: _RUNS,
    Table.FILES: _FILES,
    Table.FINDINGS: _FINDINGS,
    Table.SCORES: _SCORES,
    Table.REQUESTS: _REQUESTS,
    Table.TRANSCRIPTS: _TRANSCRIPTS,
}
"""Every table's specification, in the order they are documented."""

SCHEMAS = {table: spec.schema() for table, spec in TABLES.items()}
"""Every table's Arrow schema."""

DETAIL_TABLES = (Table.FINDINGS, Table.SCORES, Table.REQUESTS, Table.TRANSCRIPTS)
"""Tables whose rows belong to a row of `files`; a part of theirs counts once the part of `files` is there."""
