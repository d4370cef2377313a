from __future__ import annotations

import asyncio
import math
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

    from tests.report.buckets import Asked, Bucket, Line

PICTURE = digest_bytes(b"picture")


@pytest.fixture
def evidence(bucket: Bucket, line: Line) -> Iterator[QueuedEvidence]:
    opened = QueuedEvidence(bucket.place(endpoint=line.url, patience_s=0.0))
    yield opened
    line.released.set()
    opened.close()


def kept(bucket: Bucket) -> list[str]:
    return [str(key) for key in bucket.place().keys(TOP / EVIDENCE_DIRECTORY)]


async def held(line: Line) -> None:
    assert await asyncio.to_thread(line.holding.wait, 30)


async def filled(evidence: QueuedEvidence, line: Line, count: int) -> tuple[list[str], list[asyncio.Task[str]]]:
    """Put so many pictures over a line that holds them; return their names, and who puts them."""
    names = [PICTURE[:2] + f"{number:062x}" for number in range(count)]
    line.hold = lambda asked: asked.method == "PUT"
    putting = [asyncio.create_task(evidence.put(name, b"x", ".jpg")) for name in names]
    await asyncio.wait(putting[:64])
    await held(line)
    for _ in range(200):
        await asyncio.sleep(0)
    return names, putting


def test_a_bucket_has_its_evidence_put_in_the_background_and_a_directory_at_once(
    bucket: Bucket, tmp_path: Path
) -> None:
    remote = evidence_of(bucket.place())
    assert isinstance(remote, QueuedEvidence)
    remote.close()
    assert type(evidence_of(tmp_path)) is type(evidence_of(DirectoryStore(tmp_path))) is EvidenceStore


async def test_nobody_waits_for_it_before_it_is_to_be_settled(
    bucket: Bucket, line: Line, evidence: QueuedEvidence
) -> None:
    line.hold = lambda asked: asked.method == "PUT"
    path = await evidence.put(PICTURE, b"picture", ".jpg")
    assert [path] == await evidence.find([PICTURE], ".jpg") == [f"evidence/{PICTURE[:2]}/{PICTURE}.jpg"]
    await held(line)
    assert kept(bucket) == []
    settling = threading.Thread(target=evidence.settle)
    settling.start()
    assert settling.is_alive()
    line.released.set()
    settling.join()
    assert kept(bucket) == [path]


async def test_the_same_is_put_once_and_what_an_earlier_run_kept_is_found(
    bucket: Bucket, line: Line, evidence: QueuedEvidence
) -> None:
    await EvidenceStore(bucket.place()).put(PICTURE, b"picture", ".jpg")
    absent = PICTURE[:2] + "0" * 62
    pictures, clips = await asyncio.gather(evidence.find([PICTURE, absent], ".jpg"), evidence.find([PICTURE], ".wav"))
    assert (pictures, clips) == ([evidence.path_for(PICTURE, ".jpg"), ""], [""])
    assert line.count("GET") == 1, "each directory is listed once"
    await evidence.put(PICTURE, b"picture", ".jpg")
    other = digest_bytes(b"other")
    await asyncio.gather(*(evidence.put(other, b"other", ".wav") for _ in range(2)))
    evidence.settle()
    assert line.count("PUT") == 1
    assert sorted(kept(bucket)) == sorted([evidence.path_for(PICTURE, ".jpg"), evidence.path_for(other, ".wav")])


async def test_many_wait_for_others_and_the_event_loop_for_none(
    bucket: Bucket, line: Line, evidence: QueuedEvidence
) -> None:
    _, putting = await filled(evidence, line, 80)
    assert [task.done() for task in putting] == [True] * 64 + [False] * 16, "what waits is bounded"
    line.released.set()
    await asyncio.gather(*putting)
    evidence.settle()
    assert len(kept(bucket)) == 80


async def test_the_event_loop_goes_on_while_a_directory_is_listed(line: Line, evidence: QueuedEvidence) -> None:
    line.hold = lambda asked: asked.method == "GET"
    asking = [asyncio.create_task(evidence.find([PICTURE], ".jpg")) for _ in range(2)]
    asking.append(asyncio.create_task(evidence.find([PICTURE], ".wav")))
    await held(line)
    assert not any(task.done() for task in asking)
    line.released.set()
    assert await asyncio.gather(*asking) == [[""]] * 3
    assert line.count("GET") == 1


async def test_who_stops_waiting_leaves_nothing_behind_and_holds_nobody_up(
    bucket: Bucket, line: Line, evidence: QueuedEvidence
) -> None:
    names, putting = await filled(evidence, line, 66)
    putting[64].cancel()
    await asyncio.wait([putting[64]])
    assert await evidence.find([names[64]], ".jpg") == [""]
    line.released.set()
    assert await putting[65]
    evidence.settle()
    assert len(kept(bucket)) == 65


async def test_a_bucket_that_throttles_is_not_asked_for_ever_for_who_has_left(bucket: Bucket, line: Line) -> None:
    slow = QueuedEvidence(bucket.place(endpoint=line.url, patience_s=math.inf))
    refused = threading.Event()

    def refuse(asked: Asked) -> bool:
        refused.set()
        return True

    line.refuse = refuse
    asking = asyncio.create_task(slow.find([PICTURE], ".jpg"))
    assert await asyncio.to_thread(refused.wait, 30)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.get_running_loop().shutdown_default_executor()  # waits for the thread that listed
    slow.close()


async def test_what_cannot_be_kept_is_said_when_it_is_to_be_settled(line: Line, evidence: QueuedEvidence) -> None:
    line.deny = lambda asked: asked.method == "PUT"
    await evidence.put(PICTURE, b"picture", ".jpg")
    for _ in range(2):  # the rows that name it wait on
        with pytest.raises(BatchScanError, match=r"evidence in s3://.* cannot be written: the store refuses the cred"):
            evidence.settle()
    with pytest.raises(BatchScanError, match="cannot be written"):
        await evidence.put(digest_bytes(b"other"), b"other", ".jpg")


async def test_a_place_that_cannot_be_listed_is_one_sentence(line: Line, evidence: QueuedEvidence) -> None:
    line.deny = lambda asked: asked.method == "GET"
    with pytest.raises(BatchScanError, match="cannot be written"):
        await evidence.find([PICTURE], ".jpg")


@pytest.mark.parametrize(("digest", "suffix"), [("../" * 10, ".jpg"), ("a" * 64, "/../x")])
async def test_it_cannot_be_led_elsewhere(evidence: QueuedEvidence, digest: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="not a digest and a suffix"):
        await evidence.put(digest, b"", suffix)
