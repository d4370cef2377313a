from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import JUDGE
from tests.scan.harness import job_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scan.harness import Place

RATE = 4.0
REQUESTS = 48
WINDOW_S = 5.0


def test_a_rate_of_four_a_second_is_used_and_never_exceeded(place: Place, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for at in range(REQUESTS):
        tone(tmp_path / f"media/{at}.wav", 0.2 + at / 100)
    with SafeCommsServer(judge=JUDGE, delay_s=0.3) as server:
        place.write_job(job_text(tmp_path / "media", server.url).replace("minute = 0", f"minute = {RATE * 60:.0f}"))
        ended = place.run()
        arrived = [seen.arrived_s for seen in server.calls]
    assert ended.code == 0, ended.stderr
    assert len(arrived) == REQUESTS
    # The way to the server may hold one request up and let the next catch up: some milliseconds of slack.
    for start_s in arrived:
        seen = sum(start_s <= at_s < start_s + WINDOW_S - 0.02 for at_s in arrived)
        assert seen <= RATE * WINDOW_S + 1, "a burst of one is allowed"
    used = (REQUESTS - 1) / (arrived[-1] - arrived[0]) / RATE
    assert used >= 0.95
