from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.errors import BatchScanError
from batch_scan.report.evidence import EvidenceStore

if TYPE_CHECKING:
    from pathlib import Path


def test_evidence_is_found_under_the_digest_that_names_it(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    digest = digest_bytes(b"what the picture shows")
    assert not store.find(digest, ".jpg")
    relative = store.put(digest, b"picture", ".jpg")
    assert relative == f"evidence/{digest[:2]}/{digest}.jpg" == store.path_for(digest, ".jpg")
    assert store.find(digest, ".jpg") == relative
    assert (tmp_path / relative).read_bytes() == b"picture"


def test_the_same_evidence_is_kept_once(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    name = digest_bytes(b"clip")
    kept = tmp_path / store.put(name, b"clip", ".wav")
    before = kept.stat()
    assert tmp_path / EvidenceStore(tmp_path).put(name, b"clip", ".wav") == kept
    assert kept.stat().st_ino == before.st_ino
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_nothing_is_made_before_there_is_evidence(tmp_path: Path) -> None:
    EvidenceStore(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("digest", "suffix"),
    [("../" * 10, ".jpg"), ("a" * 63, ".jpg"), ("A" * 64, ".jpg"), ("a" * 64, "/../x"), ("a" * 64, "jpg")],
)
def test_evidence_cannot_be_led_elsewhere(tmp_path: Path, digest: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="not a digest and a suffix"):
        EvidenceStore(tmp_path).path_for(digest, suffix)


def test_evidence_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "evidence").touch()
    with pytest.raises(BatchScanError, match=r"evidence in .* cannot be written"):
        EvidenceStore(tmp_path).put(digest_bytes(b"clip"), b"clip", ".wav")
