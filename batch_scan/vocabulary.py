"""The closed vocabularies of the product: what media, verdicts, actions, reasons and categories there are."""

from __future__ import annotations

from enum import StrEnum


class Medium(StrEnum):
    """What kind of piece of an item is judged."""

    AUDIO = "audio"
    FRAME = "frame"
    UTTERANCE = "utterance"
    STREAM = "stream"


class Verdict(StrEnum):
    """What is known about a file. `keep` only where all that was planned was examined."""

    KEEP = "keep"
    FLAG = "flag"
    REMOVE = "remove"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What the policy does with one score."""

    KEEP = "keep"
    FLAG = "flag"
    REMOVE = "remove"


class Status(StrEnum):
    """How much of what was planned for a file was answered."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


class Category(StrEnum):
    """The one vocabulary that every endpoint's labels are mapped to."""

    SEXUAL = "sexual"
    NUDITY = "nudity"
    VIOLENCE = "violence"
    WEAPON = "weapon"
    HATE = "hate"
    HARASSMENT = "harassment"
    SELF_HARM = "self_harm"
    DRUGS = "drugs"
    PII = "pii"
    PROFANITY = "profanity"
    SPAM = "spam"
    POLITICAL = "political"
    MINOR = "minor"
    MUSIC = "music"
    OTHER = "other"


class Reason(StrEnum):
    """Why something was not examined; the closed vocabulary of `files.reason`."""

    # The user's own choice: the row is `skipped`.
    EXCLUDED = "excluded"
    LIMIT = "limit"
    TIME_LIMIT = "time_limit"
    # The source.
    MISSING = "missing"
    OUTSIDE_ROOT = "outside_root"
    HOST_REFUSED = "host_refused"
    SPECIAL_FILE = "special_file"
    BAD_ROW = "bad_row"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    FETCH_FAILED = "fetch_failed"
    CHANGED = "changed"
    # The media.
    NOT_MEDIA = "not_media"
    FORMAT_REFUSED = "format_refused"
    TOO_MANY_STREAMS = "too_many_streams"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG = "too_long"
    DAMAGED = "damaged"
    CODEC_UNSUPPORTED = "codec_unsupported"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    DECODER_LIMIT = "decoder_limit"
    FRAME_CAP = "frame_cap"
    NO_SAMPLES = "no_samples"
    NOT_TAKEN = "not_taken"
    TRACK_NOT_PLAYED = "track_not_played"
    # The endpoints.
    REQUEST_FAILED = "request_failed"
    SAMPLE_REFUSED = "sample_refused"
    SAMPLE_TOO_LARGE = "sample_too_large"
    UNRECOGNISED_ANSWER = "unrecognised_answer"
    NOT_UNDERSTOOD = "not_understood"
    ENDPOINT_STOPPED = "endpoint_stopped"
    BUDGET = "budget"
    # Ourselves.
    INTERNAL = "internal"


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    NOT_SENT = "not_sent"
