"""What each reason means and what can be done about it, for people: in the summary and in docs/report.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_scan.vocabulary import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Meaning:
    """One reason in words."""

    what: str
    """What happened, short enough for a table."""
    mend: str = ""
    """What to do about it; empty where nothing is to be done."""


_READ = "look at the file; a copy from the original may help"
_LIMITS = "raise the bound under [limits] if the file is to be trusted"
_ASK_AGAIN = "run the same command again; what was answered is not paid again"

MEANINGS: Mapping[str, Meaning] = {
    Reason.EXCLUDED: Meaning("left out by include or exclude patterns"),
    Reason.LIMIT: Meaning("left out by --limit", "run without --limit"),
    Reason.TIME_LIMIT: Meaning("not begun, or not finished, before --max-time", "run the same command again to go on"),
    Reason.MISSING: Meaning("named by the source, not there", "mend the manifest or bring the file back"),
    Reason.OUTSIDE_ROOT: Meaning("lies outside source.root", "set source.root if the file is meant"),
    Reason.HOST_REFUSED: Meaning("host not in source.allow_hosts", "name the host if it is to be trusted"),
    Reason.SPECIAL_FILE: Meaning("a link, pipe, socket or device, not a file", "name the file itself"),
    Reason.BAD_ROW: Meaning("the manifest's row cannot be understood", "mend the row; the column `error` says how"),
    Reason.UNREADABLE: Meaning("the file cannot be opened", "check its permissions and the disk"),
    Reason.EMPTY: Meaning("no bytes in the file", _READ),
    Reason.TOO_LARGE: Meaning("larger than is fetched", "fetch it by other means and scan the copy"),
    Reason.FETCH_FAILED: Meaning("could not be fetched", "run the same command again when its host answers"),
    Reason.CHANGED: Meaning("changed while it was scanned", "run the same command again"),
    Reason.NOT_MEDIA: Meaning("neither sound nor pictures in it", "exclude such files by pattern"),
    Reason.FORMAT_REFUSED: Meaning("a format that is not opened, such as a playlist", "convert it, or leave it out"),
    Reason.TOO_MANY_STREAMS: Meaning("more tracks than the bound", _LIMITS),
    Reason.TOO_MANY_PIXELS: Meaning("pictures larger than the bound", _LIMITS),
    Reason.TOO_LONG: Meaning("longer than the bound", _LIMITS),
    Reason.DAMAGED: Meaning("less could be decoded than the file declares", _READ),
    Reason.CODEC_UNSUPPORTED: Meaning("this ffmpeg cannot decode it", "convert it, or use an ffmpeg that can"),
    Reason.DECODER_CRASHED: Meaning("the decoder crashed on it", _READ),
    Reason.DECODER_TIMEOUT: Meaning("the decoder took too long", _READ),
    Reason.DECODER_LIMIT: Meaning("the decoder needed more than it may use", _LIMITS),
    Reason.FRAME_CAP: Meaning("more frames than extract.max_frames", "raise max_frames or frame_interval"),
    Reason.NO_SAMPLES: Meaning("nothing in it that an endpoint takes", "add an endpoint that takes what the file has"),
    Reason.NOT_TAKEN: Meaning(
        "pictures or sound that no endpoint takes", "add an endpoint, or set [extract] video or audio = false"
    ),
    Reason.TRACK_NOT_PLAYED: Meaning("a track that no endpoint got", "add an endpoint that takes frames or sound"),
    Reason.REQUEST_FAILED: Meaning("a request stayed without an answer", _ASK_AGAIN),
    Reason.SAMPLE_REFUSED: Meaning("the endpoint will not judge a sample", "see `error` in the table `requests`"),
    Reason.SAMPLE_TOO_LARGE: Meaning("a sample is larger than the endpoint takes", "lower extract.frame_size"),
    Reason.UNRECOGNISED_ANSWER: Meaning("an answer that cannot be read", "see `answer` in the table `requests`"),
    Reason.NOT_UNDERSTOOD: Meaning(
        "sound not made out, or not surely heard to its end",
        "`error` says which: use another model or transcriber, or have sound sent in decoded chunks",
    ),
    Reason.ENDPOINT_STOPPED: Meaning("the endpoint refused for good", "check key and quota with `batch-scan doctor`"),
    Reason.BUDGET: Meaning("the budget was reached", "raise --max-tokens and run again; nothing is paid twice"),
    Reason.INTERNAL: Meaning("a fault of batch-scan itself", "report it with the text in `error`"),
}
"""Every reason there is; a report of a newer version may hold others."""

UNKNOWN_REASON = Meaning("a reason that this version does not know")
"""For reports of newer versions."""
