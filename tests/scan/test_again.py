from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import JUDGE, Corpus, stretches
from tests.scan.harness import ROOT, Ended, Place, comparable, job_text
from tests.scan.watch import Watch

PAID = ("requests", "cached_requests", "tokens_estimated", "tokens_charged", "cost")
"""Columns of `files` that tell what this run paid, and so differ from those of a run that paid nothing."""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three files: 7 requests, 200 tokens."""
    directory = tmp_path / "media"
    directory.mkdir()
    stretches(directory / "clean.mp4", (("gray", 2), ("navy", 1)), "sine=f=440:d=3")
    stretches(directory / "red.mp4", (("olive", 1), ("red", 1), ("teal", 1)))
    tone(directory / "sound.flac", 1, hz=500)
    return directory


def report_of(place: Place, ended: Ended, *without: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a run reports, but for times and its own name."""
    tables = ("files", "findings", "scores", "transcripts")
    return {table: comparable(map(_either, place.rows(table, ended.run_id)), *without) for table in tables}


def _either(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what depends on which of two copies was read first."""
    if Path(row["uri"]).name not in {"red.mp4", "copy.mp4"}:
        return row
    own = {"item", "manifest", "modified_at"}
    told = {name: value for name, value in row.items() if name not in own}
    return {**told, "uri": "either", "duplicate_of": bool(row.get("duplicate_of"))}


# ---------------------------------------------------------------------------------------------- the whole corpus


def test_the_same_command_again_sends_nothing_and_ends_the_same(
    corpus: Corpus, place: Place, server: SafeCommsServer
) -> None:
    place.write_job(job_text(corpus.archive / "manifest.csv", server.url))
    first = place.run()
    calls, tokens = len(server.calls), server.tokens_used
    again = place.run()
    assert (len(server.calls), server.tokens_used) == (calls, tokens)
    assert again.code == first.code == 3
    assert again.run_id != first.run_id
    assert report_of(place, again, *PAID) == report_of(place, first, *PAID)
    assert again.said["requests"] == again.said["tokens_charged"] == again.said["tokens_estimated"] == 0
    assert again.said["cached_requests"] == first.said["requests"] == calls
    evidence = [row["evidence"] for row in place.rows("findings", again.run_id)]
    assert evidence
    assert all((place.report / path).is_file() for path in evidence)


def test_a_plan_is_what_the_scan_then_charges(corpus: Corpus, place: Place, server: SafeCommsServer) -> None:
    place.write_job(job_text(corpus.archive / "manifest.csv", server.url))
    planned = place.run("plan", place.job)
    assert planned.code == 0, planned.stderr
    assert server.requests == []
    assert not place.report.exists()
    scanned = place.run()
    assert planned.said["tokens"] == scanned.said["tokens_charged"] == server.tokens_used
    again = place.run("plan", place.job)
    assert again.said["tokens"] == 0
    assert len(server.calls) == scanned.said["requests"]


def test_a_plan_of_the_sample_is_what_its_scan_then_charges(place: Place, server: SafeCommsServer) -> None:
    sample = job_text(ROOT / "sample_media/manifest.csv", server.url).replace("interval = 1.0", "interval = 5.0")
    place.write_job(sample)
    planned = place.run("plan", place.job)
    scanned = place.run()
    assert scanned.code == 0, scanned.stderr
    assert planned.said["tokens"] == scanned.said["tokens_charged"] == server.tokens_used > 0
    assert scanned.said["unknown"] == 0


# ----------------------------------------------------------------------------------------------- what has changed


def test_an_unchanged_file_is_not_even_opened(archive: Path, place: Place, server: SafeCommsServer) -> None:
    place.write_job(job_text(archive, server.url))
    first = place.run()
    with Watch(archive) as watch:
        again = place.run()
    assert watch.opened == []
    assert report_of(place, again, *PAID) == report_of(place, first, *PAID)


def test_a_changed_file_is_scanned_again_alone(archive: Path, place: Place, server: SafeCommsServer) -> None:
    place.write_job(job_text(archive, server.url))
    place.run()
    calls = len(server.calls)
    stretches(archive / "red.mp4", (("olive", 1), ("red", 1), ("purple", 1)))
    with Watch(archive) as watch:
        again = place.run()
    assert watch.opened == ["red.mp4"]
    assert len(server.calls) - calls == 1, "the pictures that stayed are known"
    assert place.files(again.run_id)["red.mp4"]["requests"] == 1
    assert place.files(again.run_id)["red.mp4"]["cached_requests"] == 2


def test_a_touched_file_is_looked_at_and_pays_nothing(archive: Path, place: Place, server: SafeCommsServer) -> None:
    place.write_job(job_text(archive, server.url))
    first = place.run()
    os.utime(archive / "red.mp4")
    calls = len(server.calls)
    with Watch(archive) as watch:
        again = place.run()
    assert watch.opened == ["red.mp4"]
    assert len(server.calls) == calls
    assert report_of(place, again, *PAID, "modified_at") == report_of(place, first, *PAID, "modified_at")


def test_a_new_policy_judges_anew_what_was_answered(archive: Path, place: Place, server: SafeCommsServer) -> None:
    place.write_job(job_text(archive, server.url))
    first = place.run()
    calls = len(server.calls)
    place.write_job(job_text(archive, server.url, "[policy.categories]\nsexual = { flag = 0.2, remove = 1.0 }"))
    with Watch(archive) as watch:
        again = place.run()
    assert (len(server.calls), watch.opened) == (calls, [])
    assert place.files(first.run_id)["red.mp4"]["verdict"] == "remove"
    assert place.files(again.run_id)["red.mp4"]["verdict"] == "flag"


def test_an_option_of_one_medium_leaves_the_answers_for_the_other(
    archive: Path, place: Place, server: SafeCommsServer
) -> None:
    place.write_job(job_text(archive, server.url))
    place.run()
    calls = len(server.calls)
    place.write_job(job_text(archive, server.url, endpoint="audio = { transcribe = true }"))
    place.run()
    assert [seen.operation for seen in server.calls[calls:]] == ["audio", "audio"]


def test_what_was_moved_or_renamed_pays_nothing(archive: Path, place: Place, server: SafeCommsServer) -> None:
    place.write_job(job_text(archive, server.url))
    first = place.run()
    calls = len(server.calls)
    (archive / "red.mp4").rename(archive / "other name.mp4")
    moved = archive.rename(archive.with_name("moved"))
    place.write_job(job_text(moved, server.url))
    again = place.run()
    assert again.code == first.code == 1
    assert len(server.calls) == calls
    assert place.files(again.run_id)["other name.mp4"]["verdict"] == "remove"


def test_a_failed_file_is_tried_again(archive: Path, place: Place, server: SafeCommsServer) -> None:
    good = (archive / "sound.flac").read_bytes()
    (archive / "sound.flac").write_bytes(b"not yet written")
    place.write_job(job_text(archive, server.url))
    assert place.run().code == 3
    (archive / "sound.flac").write_bytes(good)
    again = place.run()
    assert again.code == 1
    assert again.said["requests"] == 1


def test_the_scan_of_a_known_archive_works_without_the_vendor_knowing_what(
    archive: Path, place: Place, server: SafeCommsServer
) -> None:
    """Only the usage call is made, so nothing of the archive leaves the house."""
    place.write_job(job_text(archive, server.url))
    place.run()
    before = len(server.requests)
    place.run()
    assert {seen.path for seen in server.requests[before:]} == {"/usage"}


def test_a_second_report_elsewhere_shares_the_answers(archive: Path, place: Place, tmp_path: Path) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url, f'[state]\ndir = "{tmp_path}/state"'))
        first = place.run()
        calls = len(server.calls)
        again = place.run(place.job, "--report", tmp_path / "elsewhere")
        assert len(server.calls) == calls
    assert (first.code, again.code) == (1, 1)
    assert again.said["report"] == str(tmp_path / "elsewhere")
