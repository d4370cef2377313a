"""How the sandbox is told to misbehave on the command line: ``safecomms:429@3,stream:500%10,deepgram:hang%1``.

Each part is ``SERVER:WORD``, and when: ``@N`` the N-th request that judges something (from 1), ``%P`` so many percent
of them, neither: every one. Which requests the percents fall on depends on the seed and the request's number alone.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from batch_scan.errors import UsageError
from batch_scan.sandbox import faults
from batch_scan.sandbox.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batch_scan.sandbox.exchange import Seen
    from batch_scan.sandbox.vendor import VendorServer

_SLOW_S: Final = 5.0
_WHOLE: Final = 100.0
_PART: Final = re.compile(
    r"(?P<server>[^:@%]+):(?P<word>[^:@%]+)(?:@(?P<number>\d{1,9})|%(?P<percent>\d{1,3}(?:\.\d{1,6})?))?"
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the vocabulary."""

    fault: Fault
    meaning: str


WORDS: Final[Mapping[str, Word]] = {
    "hang": Word(faults.hang(), "no answer at all, until the client gives up"),
    "stall": Word(Fault(Kind.HANG_AFTER_HEADERS), "the head of the answer and nothing more, until the client gives up"),
    "slow": Word(Fault(Kind.DELAY, seconds=_SLOW_S), f"the answer {_SLOW_S:.0f} s late"),
    "refuse": Word(Fault(Kind.RESET_MID_UPLOAD), "the connection is reset before the request is read"),
    "reset": Word(Fault(Kind.RESET_BEFORE_ANSWER), "the connection is reset before the answer; not charged"),
    "lost": Word(
        Fault(Kind.RESET_BEFORE_ANSWER).charged(), "the same, but charged: the answer was on its way and is lost"
    ),
    "cut": Word(Fault(Kind.RESET_MID_ANSWER), "the connection is reset after half of the answer"),
    "truncate": Word(Fault(Kind.TRUNCATE), "the connection is closed in order after half of the answer"),
    "garbage": Word(faults.garbage(), "200 with bytes that are no JSON"),
    "proxy": Word(faults.bad_gateway(), "502 with the HTML page of a proxy"),
}
"""Beside these, a number from 400 to 599 is that status, as the vendor says it where that is known."""


@dataclass(frozen=True, slots=True)
class Misdeed:
    """One thing that one server is to do wrong."""

    server: str
    word: str
    number: int | None = None
    """Of the one request it happens to, from 1."""
    share: float | None = None
    """Of the requests it happens to, above 0 to 1. With neither, it happens to all."""


def parse_misdeeds(text: str, servers: Collection[str]) -> list[Misdeed]:
    """Read the command line's list.

    Args:
        text: parts with commas between them; nothing is no misdeed.
        servers: that are started.

    Raises:
        UsageError: naming what is not understood, and what would be.
    """
    return [_parse(part.strip(), servers) for part in text.split(",") if part.strip()]


def instruct(server: VendorServer, misdeeds: Sequence[Misdeed], seed: int) -> None:
    """Have a server misbehave as told. Of several misdeeds that fall on one request, numbered ones win, then order."""
    for place, misdeed in enumerate(misdeeds):
        if misdeed.server != server.name:
            continue
        fault = WORDS[misdeed.word].fault if misdeed.word in WORDS else server.refusal(int(misdeed.word))
        if misdeed.number is not None:
            server.faults.at(misdeed.number, fault)
        else:
            lot = _Lot(f"{seed}:{place}", 1.0 if misdeed.share is None else misdeed.share)
            server.faults.when(lot.falls_on, fault)


@dataclass(frozen=True, slots=True)
class _Lot:
    """Says which requests are drawn; the same ones whatever else happens."""

    seed: str
    share: float

    def falls_on(self, seen: Seen) -> bool:
        drawn = random.Random(f"{self.seed}:{seen.number}").random()  # noqa: S311 - repeatable is what it must be
        return drawn < self.share


def _parse(part: str, servers: Collection[str]) -> Misdeed:
    found = _PART.fullmatch(part)
    if found is None:
        raise UsageError(f"--faults: {part!r} is not SERVER:WORD, SERVER:WORD@NUMBER or SERVER:WORD%PERCENT")
    server, word, number, percent = found.group("server", "word", "number", "percent")
    if server not in servers:
        raise UsageError(f"--faults: no server {server!r} is started; there are: {', '.join(servers)}")
    if word not in WORDS and not _is_failing(word):
        known = f"{', '.join(WORDS)}, or a status from 400 to 599"
        raise UsageError(f"--faults: a server does not know how to {word!r}; there are: {known}")
    if number is not None and int(number) < 1:
        raise UsageError(f"--faults: {part!r}: requests are numbered from 1")
    if percent is not None and not 0 < float(percent) <= _WHOLE:
        raise UsageError(f"--faults: {part!r}: a percentage is above 0 and at most 100")
    share = None if percent is None else float(percent) / _WHOLE
    return Misdeed(server, word, None if number is None else int(number), share)


def _is_failing(word: str) -> bool:
    return word.isdecimal() and word.isascii() and int(word) in set(HTTPStatus) and int(word) >= HTTPStatus.BAD_REQUEST
