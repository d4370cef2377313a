"""Chooses what is kept of findings: the picture itself, or a few seconds of sound around the words.

Evidence is named after what it shows (digest of the picture; content and span of a clip), so a later run over the
same archive finds it again without opening the file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from batch_scan.digest import fingerprint
from batch_scan.errors import MediaError
from batch_scan.verdict import act
from batch_scan.vocabulary import Action, Medium

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from batch_scan.job import PolicyTable
    from batch_scan.media.interface import Reader
    from batch_scan.model import Finding, Sample, Score

_CLIP_MARGIN_S = 1.0
_CLIP_LONGEST_S = 20.0  # a finding that spans a whole chunk says nothing about where to listen
_CLIPS_PER_FILE = 20
_PICTURE, _CLIP = ".jpg", ".wav"


class EvidenceStore(Protocol):
    """Where evidence is kept."""

    def find(self, name: str, suffix: str) -> str:
        """Return the path of what is kept under this name (a digest), relative to the report; empty if nothing is."""
        ...

    def put(self, name: str, data: bytes, suffix: str) -> str:
        """Keep `data` under this name, whole or not at all, and return its path relative to the report."""
        ...


class Cutting(Protocol):
    """What bounds the programs that cut; see `flow.Place`."""

    def cutting(self) -> AbstractAsyncContextManager[None]:
        """Have a turn to cut a clip."""
        ...


class Evidence:
    """Keeps evidence of findings, or none where there is no store."""

    def __init__(self, store: EvidenceStore | None) -> None:
        self._store = store

    def of_file(self, content_sha256: str, policy: PolicyTable) -> Exhibits:
        """Begin the evidence of one file."""
        return Exhibits(self._store, content_sha256, policy)


class Exhibits:
    """The evidence of one file."""

    def __init__(self, store: EvidenceStore | None, content_sha256: str, policy: PolicyTable) -> None:
        self._store = store
        self._content_sha256 = content_sha256
        self._policy = policy
        self._tracks: dict[str, int] = {}

    def keep(self, sample: Sample, scores: Sequence[Score]) -> None:
        """Keep a picture at once, while its bytes are here, where the policy objects to it."""
        if self._store is None or all(act(score, self._policy) is Action.KEEP for score in scores):
            return
        if sample.medium is not Medium.FRAME:
            self._tracks[sample.digest] = sample.track
        elif sample.data is not None:
            self._store.put(sample.digest, sample.data, _PICTURE)

    async def attach(
        self, findings: Sequence[Finding], reader: Reader, place: Cutting, path: Path | None
    ) -> list[Finding]:
        """Return the findings with the path of their evidence; clips are cut where the file is at hand."""
        if self._store is None:
            return list(findings)
        attached, clips = [], 0
        for finding in findings:
            if finding.score.medium is Medium.FRAME:
                kept = self._store.find(finding.score.sample_digest, _PICTURE)
            else:
                clips += 1
                kept = await self._clip(finding.score, reader, place, path if clips <= _CLIPS_PER_FILE else None)
            attached.append(replace(finding, evidence=kept))
        return attached

    async def _clip(self, score: Score, reader: Reader, place: Cutting, path: Path | None) -> str:
        assert self._store is not None  # noqa: S101 - `attach` looked
        if score.end_s - score.start_s > _CLIP_LONGEST_S or score.sample_digest not in self._tracks:
            return ""
        track = self._tracks[score.sample_digest]
        span = [max(0.0, score.start_s - _CLIP_MARGIN_S), score.end_s + _CLIP_MARGIN_S]
        name = fingerprint([self._content_sha256, track, *span])
        kept = self._store.find(name, _CLIP)
        if kept or path is None:
            return kept
        try:
            async with place.cutting():
                clip = await reader.clip(path, track, *span)
            return self._store.put(name, clip, _CLIP)
        except MediaError:
            return ""  # the finding stands without its clip
