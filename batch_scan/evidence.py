"""Chooses what is kept of findings: the picture itself, or a few seconds of sound around the words.

Evidence is named after what it shows (digest of the picture; content and span of a clip), so a later run over the
same archive finds it again without opening the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """Where evidence is kept, a disk or a bucket: nothing of it makes the event loop wait."""

    async def find(self, names: Sequence[str], suffix: str) -> list[str]:
        """Return the path of what is kept under each name (a digest), relative to the report; empty if nothing is."""
        ...

    async def put(self, name: str, data: bytes, suffix: str) -> str:
        """Keep `data` under this name, whole or not at all, and return its path relative to the report."""
        ...


class Cutting(Protocol):
    """What bounds the programs that cut; see `flow.Place`."""

    def cutting(self) -> AbstractAsyncContextManager[None]:
        """Have a turn to cut a clip."""
        ...


@dataclass(frozen=True, slots=True)
class _Exhibit:
    """What is kept of one finding."""

    name: str
    """Empty where there is nothing to keep."""
    suffix: str
    track: int = 0
    start_s: float = 0.0
    end_s: float = 0.0
    """Of a clip: the track it is cut from, and the span."""


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

    async def keep(self, sample: Sample, scores: Sequence[Score]) -> None:
        """Keep a picture at once, while its bytes are here, where the policy objects to it."""
        if self._store is None or all(act(score, self._policy) is Action.KEEP for score in scores):
            return
        if sample.medium is not Medium.FRAME:
            self._tracks[sample.digest] = sample.track
        elif sample.data is not None:
            await self._store.put(sample.digest, sample.data, _PICTURE)

    async def attach(
        self, findings: Sequence[Finding], reader: Reader, place: Cutting, path: Path | None
    ) -> list[Finding]:
        """Return the findings with the path of their evidence; clips are cut where the file is at hand."""
        if self._store is None:
            return list(findings)
        shown = [self._exhibit_of(finding.score) for finding in findings]
        kept = {"": ""}
        for suffix in (_PICTURE, _CLIP):
            names = list({one.name: None for one in shown if one.suffix == suffix and one.name})
            kept.update(zip(names, await self._store.find(names, suffix), strict=True))
        if path is not None:
            for clip in [one for one in shown if one.suffix == _CLIP][:_CLIPS_PER_FILE]:
                if not kept[clip.name] and clip.name:
                    kept[clip.name] = await self._cut(clip, self._store, reader, place, path)
        return [replace(finding, evidence=kept[one.name]) for finding, one in zip(findings, shown, strict=True)]

    def _exhibit_of(self, score: Score) -> _Exhibit:
        if score.medium is Medium.FRAME:
            return _Exhibit(score.sample_digest, _PICTURE)
        if score.end_s - score.start_s > _CLIP_LONGEST_S or score.sample_digest not in self._tracks:
            return _Exhibit("", _CLIP)
        track = self._tracks[score.sample_digest]
        start_s, end_s = max(0.0, score.start_s - _CLIP_MARGIN_S), score.end_s + _CLIP_MARGIN_S
        name = fingerprint([self._content_sha256, track, start_s, end_s])
        return _Exhibit(name, _CLIP, track, start_s, end_s)

    @staticmethod
    async def _cut(clip: _Exhibit, store: EvidenceStore, reader: Reader, place: Cutting, path: Path) -> str:
        try:
            async with place.cutting():
                data = await reader.clip(path, clip.track, clip.start_s, clip.end_s)
        except MediaError:
            return ""  # the finding stands without its clip
        return await store.put(clip.name, data, _CLIP)
