from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.errors import BatchScanError
from batch_scan.report.directory import DirectoryStore
from batch_scan.report.evidence import EVIDENCE_DIRECTORY, EvidenceStore
from batch_scan.report.evidence_queue import QueuedEvidence, evidence_of
from batch_scan.report.store import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.report.buckets import Bucket, Line

PICTURE = digest_bytes(b"picture")


@pytest.fixture
def evidence(bucket: Bucket, line: Line) -> Iterator[QueuedEvidence]:
    opened = QueuedEvidence(bucket.place(endpoint=line.url, patience_s=0.0))
    yield opened
    line.released.set()
    opened.close()


def kept(bucket: Bucket) -> list[str]:
    return [str(key) for key in bucket.place().keys(TOP / EVIDENCE_DIRECTORY)]


def test_a_bucket_has_its_evidence_put_in_the_background_and_a_directory_at_once(
    bucket: Bucket, tmp_path: Path
) -> None:
    remote = evidence_of(bucket.place())
    assert isinstance(remote, QueuedEvidence)
    remote.close()
    assert type(evidence_of(tmp_path)) is type(evidence_of(DirectoryStore(tmp_path))) is EvidenceStore


def test_nobody_waits_for_it_before_it_is_to_be_settled(bucket: Bucket, line: Line, evidence: QueuedEvidence) -> None:
    line.hold = lambda asked: asked.method == "PUT"
    path = evidence.put(PICTURE, b"picture", ".jpg")
    assert path == evidence.find(PICTURE, ".jpg") == f"evidence/{PICTURE[:2]}/{PICTURE}.jpg"
    assert line.holding.wait(30)
    assert kept(bucket) == []
    settling = threading.Thread(target=evidence.settle)
    settling.start()
    assert settling.is_alive()
    line.released.set()
    settling.join()
    assert kept(bucket) == [path]


def test_the_same_is_put_once_and_what_an_earlier_run_kept_is_found(
    bucket: Bucket, line: Line, evidence: QueuedEvidence
) -> None:
    EvidenceStore(bucket.place()).put(PICTURE, b"picture", ".jpg")
    assert evidence.find(PICTURE, ".jpg")
    assert not evidence.find(PICTURE, ".wav")
    assert not evidence.find(PICTURE[:2] + "0" * 62, ".jpg")
    assert line.count("GET") == 1, "each directory is listed once"
    evidence.put(PICTURE, b"picture", ".jpg")
    other = evidence.put(digest_bytes(b"other"), b"other", ".wav")
    evidence.put(digest_bytes(b"other"), b"other", ".wav")
    evidence.settle()
    assert line.count("PUT") == 1
    assert sorted(kept(bucket)) == sorted([evidence.find(PICTURE, ".jpg"), other])


def test_many_wait_for_others(bucket: Bucket, line: Line, evidence: QueuedEvidence) -> None:
    names = [digest_bytes(bytes([number])) for number in range(80)]
    line.hold = lambda asked: asked.method == "PUT"
    putting = threading.Thread(target=lambda: [evidence.put(name, b"x", ".jpg") for name in names])
    putting.start()
    assert line.holding.wait(30)
    putting.join(0.5)
    assert putting.is_alive(), "what waits is bounded"
    line.released.set()
    putting.join()
    evidence.settle()
    assert len(kept(bucket)) == 80


def test_what_cannot_be_kept_is_said_when_it_is_to_be_settled(line: Line, evidence: QueuedEvidence) -> None:
    line.deny = lambda asked: asked.method == "PUT"
    evidence.put(PICTURE, b"picture", ".jpg")
    for _ in range(2):  # the rows that name it wait on
        with pytest.raises(BatchScanError, match=r"evidence in s3://.* cannot be written: the store refuses the cred"):
            evidence.settle()
    with pytest.raises(BatchScanError, match="cannot be written"):
        evidence.put(digest_bytes(b"other"), b"other", ".jpg")


def test_a_place_that_cannot_be_listed_is_one_sentence(line: Line, evidence: QueuedEvidence) -> None:
    line.deny = lambda asked: asked.method == "GET"
    with pytest.raises(BatchScanError, match="cannot be written"):
        evidence.find(PICTURE, ".jpg")


@pytest.mark.parametrize(("digest", "suffix"), [("../" * 10, ".jpg"), ("a" * 64, "/../x")])
def test_it_cannot_be_led_elsewhere(evidence: QueuedEvidence, digest: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="not a digest and a suffix"):
        evidence.put(digest, b"", suffix)
