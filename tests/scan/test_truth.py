from __future__ import annotations

import base64
import os
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import BAD_HZ, JUDGE, Truth, build, stretches
from tests.scan.harness import Ended, Place, job_text
from tests.scan.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_scan.sandbox.safecomms.server import Seen

KEY = "sc-live-never-to-be-seen-7c1d9a"


@dataclass(frozen=True, slots=True)
class Scanned:
    """One scan of the whole corpus, and what is left of it."""

    truth: dict[str, Truth]
    place: Place
    ended: Ended
    calls: list[Seen]
    tokens_used: int
    leaks: int
    """Connections to the address that only the playlist in disguise names."""
    opened: list[str]
    """Files that somebody opened although no entry names them."""
    lines: list[str]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.place.rows(table, self.ended.run_id)

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        return {dict(row["manifest"])["title"] if row["manifest"] else "": row for row in self.rows("files")}


class Listener(threading.Thread):
    """Counts connections to a port of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/leak.ts"
        self.connections = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    directory = tmp_path_factory.mktemp("truth")
    listener = Listener()
    listener.start()
    truth = build(directory, listener.url)
    place = Place(directory / "place", {"BATCH_SCAN_LOG_FORMAT": "json"}, key=KEY)
    with SafeCommsServer(judge=JUDGE, key=KEY) as server:
        place.write_job(job_text(directory / "archive/manifest.csv", server.url))
        with Watch(directory / "archive/hidden") as watch:
            ended = place.run()
        plain = place.run("report", place.report)
        lines = [ended.stdout, ended.stderr, plain.stdout, plain.stderr]
        yield Scanned(truth, place, ended, server.calls, server.tokens_used, listener.connections, watch.opened, lines)
    listener.socket.close()


def test_the_run_ends_incomplete_and_says_so(scanned: Scanned) -> None:
    assert scanned.ended.code == 3, scanned.ended.stderr
    assert scanned.ended.said["exit_code"] == 3


def test_every_entry_has_exactly_one_row(scanned: Scanned) -> None:
    rows = scanned.rows("files")
    assert sorted(row["item"] for row in rows) == list(range(len(scanned.truth)))
    assert set(scanned.files) == set(scanned.truth)


def test_every_row_has_its_verdict_status_and_reason(scanned: Scanned) -> None:
    told = {title: (row["verdict"], row["status"], row["reason"]) for title, row in scanned.files.items()}
    assert told == {title: (t.verdict, t.status, t.reason) for title, t in scanned.truth.items()}


def test_every_reason_comes_with_a_sentence(scanned: Scanned) -> None:
    assert all(bool(row["error"]) == bool(row["reason"]) for row in scanned.files.values())


def test_coverage_is_what_was_planned_and_what_was_lost(scanned: Scanned) -> None:
    columns = ("frames_planned", "frames_extracted", "frames_deduplicated", "frames_answered")
    told = {title: tuple(row[name] for name in columns) for title, row in scanned.files.items()}
    true = {
        title: (t.frames, t.frames - t.frames_lost, t.deduplicated, t.frames - t.frames_lost)
        for title, t in scanned.truth.items()
    }
    assert told == true
    for title, row in scanned.files.items():
        assert row["audio_s_planned"] == pytest.approx(scanned.truth[title].audio_s, abs=0.1), title
        assert row["audio_s_answered"] == pytest.approx(row["audio_s_planned"]), title


def test_findings_stand_at_their_time(scanned: Scanned) -> None:
    told: dict[str, Any] = {
        title: [
            (f["medium"], f["category"], f["start_s"], pytest.approx(f["end_s"], abs=0.1))
            for f in scanned.rows("findings")
            if f["uri"] == row["uri"]
        ]
        for title, row in scanned.files.items()
        if not row["duplicate_of"]
    }
    true = {
        title: [(f.medium, f.category, f.start_s, f.end_s) for f in t.found]
        for title, t in scanned.truth.items()
        if not t.duplicate_of
    }
    assert told == true
    assert {title: row["findings"] for title, row in scanned.files.items()} == {
        title: len(t.found) for title, t in scanned.truth.items()
    }


def test_duplicates_name_their_twin_and_carry_its_verdict(scanned: Scanned) -> None:
    for title, truth in scanned.truth.items():
        named = scanned.files[title]["duplicate_of"]
        assert (named or "").endswith(truth.duplicate_of or ""), title
        assert bool(named) == bool(truth.duplicate_of), title


def test_tokens_and_requests_are_right_for_every_row(scanned: Scanned) -> None:
    told = {title: (row["requests"], row["tokens_charged"]) for title, row in scanned.files.items()}
    assert told == {title: (t.requests, t.tokens) for title, t in scanned.truth.items()}
    assert all(row["tokens_estimated"] == row["tokens_charged"] for row in scanned.files.values())


def test_what_was_charged_is_the_same_sum_everywhere(scanned: Scanned) -> None:
    charged = [sum(row["tokens_charged"] for row in scanned.rows(table)) for table in ("files", "requests", "runs")]
    assert charged == [scanned.tokens_used] * 3
    assert scanned.ended.said["tokens_charged"] == scanned.tokens_used > 0
    assert f"safecomms confirms the {scanned.tokens_used} tokens" in scanned.ended.stderr


def test_every_call_has_its_row_and_every_row_its_call(scanned: Scanned) -> None:
    rows = scanned.rows("requests")
    assert sorted(row["vendor_request_id"] for row in rows) == [f"req_{seen.number:09d}" for seen in scanned.calls]
    assert {(row["outcome"], row["cached"], row["attempts"], row["http_status"]) for row in rows} == {
        ("answered", False, 1, 200)
    }


def test_the_last_line_counts_what_the_rows_say(scanned: Scanned) -> None:
    said, rows = scanned.ended.said, list(scanned.files.values())
    assert said["items"] == len(rows)
    for name in ("keep", "flag", "remove", "unknown"):
        assert said[name] == sum(row["verdict"] == name for row in rows)
    for name in ("complete", "partial", "failed", "skipped"):
        assert said[name] == sum(row["status"] == name for row in rows)
    assert said["requests"] == len(scanned.calls)


def test_evidence_of_every_finding_is_there(scanned: Scanned) -> None:
    for finding in scanned.rows("findings"):
        data = (scanned.place.report / finding["evidence"]).read_bytes()
        assert data.startswith(b"\xff\xd8" if finding["medium"] == "frame" else b"RIFF")


def test_nothing_is_read_or_fetched_that_was_not_named(scanned: Scanned) -> None:
    assert scanned.leaks == 0
    assert scanned.opened == []
    sent = {seen.digest for seen in scanned.calls}
    assert len(sent) == sum(t.requests for t in scanned.truth.values())


def test_the_key_is_nowhere(scanned: Scanned) -> None:
    forms = [KEY.encode(), *_base64_forms(KEY.encode())]
    for text in scanned.lines:
        assert not any(form in text.encode() for form in forms)
    looked_at = 0
    for path in scanned.place.published():
        texts = [path.read_bytes()]
        if path.suffix == ".parquet":
            texts.append(str(pq.ParquetFile(path).read().to_pylist()).encode())
        assert not any(form in text for form in forms for text in texts), path
        looked_at += 1
    assert looked_at > 10


def test_nothing_is_left_behind(scanned: Scanned) -> None:
    assert scanned.place.left_behind() == []
    assert scanned.place.children() == []


def _base64_forms(secret: bytes) -> list[bytes]:
    """Return what base64 makes of a secret wherever it begins in a text, but for the characters at its edges."""
    forms = [base64.b64encode(b"x" * shift + secret) for shift in range(3)]
    return [form[4:-4] for form in forms] + [secret.hex().encode()]


# ------------------------------------------------------------------------------------------------ names of files

NAMES = (
    b"-dash.wav",
    b"-i",
    b"new\nline.wav",
    b"co:lon.wav",
    b"file:x.wav",
    b"\xff\xfe.wav",
    b"%03d.wav",
    b"a*[b].wav",
)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of files with difficult names, every second of which has something to find."""
    directory = tmp_path_factory.mktemp("names")
    source = str(directory).encode() + b"/media/"
    (directory / "media/deep/-er").mkdir(parents=True)
    for at, name in enumerate((*NAMES, b"deep/-er/caf\xc3\xa9 \xe2\x80\xae.wav")):
        made = tone(directory / "made.wav", 0.3 + at / 10, hz=BAD_HZ if at % 2 else 440)
        os.rename(os.fsencode(made), source + name)  # noqa: PTH104 - a name as bytes
    return directory


def test_files_with_difficult_names_are_scanned_as_any_other(
    named: Path, place: Place, server: SafeCommsServer
) -> None:
    place.write_job(job_text(named / "media", server.url))
    ended = place.run()
    assert ended.code == 1, ended.stderr
    rows = place.rows("files", ended.run_id)
    assert len(rows) == len(NAMES) + 1
    assert {row["status"] for row in rows} == {"complete"}
    by_length = sorted(rows, key=lambda row: row["duration_s"])
    assert [row["verdict"] for row in by_length] == ["flag" if at % 2 else "keep" for at in range(len(rows))]
    assert "\n" not in "".join(row["uri"] for row in rows if "co:lon" in row["uri"])
    assert len({row["uri"] for row in rows}) == len(rows)
    assert "%FF%FE.wav" in {row["uri"].rpartition("/")[2] for row in rows}


def test_a_job_file_elsewhere_keeps_its_report_beside_it(place: Place, server: SafeCommsServer, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    stretches(tmp_path / "media/one.mp4", (("gray", 1),))
    job = tmp_path / "jobs/nightly.toml"
    job.parent.mkdir()
    job.write_text(job_text("../media", server.url))
    ended = place.run(job)
    assert ended.code == 0, ended.stderr
    assert ended.said["report"] == str(tmp_path / "jobs/reports")
    assert (tmp_path / "jobs/reports/files").is_dir()
