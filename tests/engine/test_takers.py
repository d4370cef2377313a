from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.interface import Needs
from batch_scan.engine.services import Services
from batch_scan.job import ExtractTable
from batch_scan.media.interface import AudioSpec
from tests.asking_kit import ToyEndpoint, desk_of, ledger_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("said", [True, False])
async def test_silence_and_undecoded_sound_are_handed_on_where_the_job_says_so(tmp_path: Path, *, said: bool) -> None:
    service = ToyEndpoint(needs=Needs(audio=AudioSpec(skip_silence=True, copies=("mp3",))))
    extract = ExtractTable(skip_silence=not said, copy_sound=said)
    async with ledger_in(tmp_path) as ledger:
        takers = Services((service,), None).takers({service.name: desk_of(ledger, service).asker}, extract)
        (spec,) = takers.specs
        assert spec.skip_silence is not said
        assert spec.copies == (("mp3",) if said else ())
        assert takers.spec_of(takers.audio[0]) == spec
