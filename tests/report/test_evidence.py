from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from batch_scan.digest import digest_bytes
from batch_scan.errors import BatchScanError
from batch_scan.report.directory import DirectoryStore
from batch_scan.report.evidence import EvidenceStore

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath


async def test_evidence_is_found_under_the_digest_that_names_it(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    digest = digest_bytes(b"what the picture shows")
    assert await store.find([digest], ".jpg") == [""]
    relative = await store.put(digest, b"picture", ".jpg")
    assert relative == f"evidence/{digest[:2]}/{digest}.jpg" == store.path_for(digest, ".jpg")
    assert await store.find(["0" * 64, digest], ".jpg") == ["", relative]
    assert await store.find([], ".jpg") == []
    assert (tmp_path / relative).read_bytes() == b"picture"


def test_the_same_evidence_is_kept_once(tmp_path: Path) -> None:
    name = digest_bytes(b"clip")

    def put() -> Path:
        return tmp_path / asyncio.run(EvidenceStore(tmp_path).put(name, b"clip", ".wav"))

    kept = put()
    before = kept.stat()
    assert put() == kept
    assert kept.stat().st_ino == before.st_ino
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


@dataclass(frozen=True)
class Hanging(DirectoryStore):
    """A directory that does not answer before the event loop lets it."""

    go: threading.Event = field(default_factory=threading.Event)

    def exists(self, key: PurePosixPath) -> bool:
        assert self.go.wait(30)
        return super().exists(key)


async def test_the_event_loop_goes_on_while_a_directory_does_not_answer(tmp_path: Path) -> None:
    place, name = Hanging(tmp_path), digest_bytes(b"picture")
    evidence = EvidenceStore(place)
    putting = asyncio.create_task(evidence.put(name, b"picture", ".jpg"))
    finding = asyncio.create_task(evidence.find([digest_bytes(b"other")], ".jpg"))
    await asyncio.sleep(0)
    assert not putting.done()
    assert not finding.done()
    place.go.set()
    assert await putting == evidence.path_for(name, ".jpg")
    assert await finding == [""]


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


async def test_evidence_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "evidence").touch()
    with pytest.raises(BatchScanError, match=r"evidence in .* cannot be written"):
        await EvidenceStore(tmp_path).put(digest_bytes(b"clip"), b"clip", ".wav")
