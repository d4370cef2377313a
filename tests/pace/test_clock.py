from __future__ import annotations

import asyncio
import time

import pytest

from batch_scan.pace.clock import SystemClock
from tests.pace.virtual_time import FakeClock, StuckError, run_virtual


async def test_the_system_clock_lets_at_least_the_asked_time_pass() -> None:
    clock = SystemClock()
    before_s = clock.now()
    await clock.sleep(0.01)
    assert clock.now() - before_s >= 0.0099


def test_virtual_time_wakes_sleepers_in_order_without_waiting() -> None:
    async def main() -> list[tuple[str, float]]:
        clock, woken = FakeClock(), []
        start_s = clock.now()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.now() - start_s))

        await asyncio.gather(sleeper("hour", 3600.0), sleeper("minute", 60.0))
        return woken

    before_s = time.monotonic()
    woken = run_virtual(main())
    assert [name for name, _ in woken] == ["minute", "hour"]
    assert [after_s for _, after_s in woken] == pytest.approx([60.0, 3600.0])
    assert time.monotonic() - before_s < 5.0


def test_virtual_time_tells_when_nobody_can_go_on() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StuckError):
        run_virtual(main())
