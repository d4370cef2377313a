"""What of a run stands in the report already: which items have their row, and the totals over them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch_scan.cost import Cost
from batch_scan.errors import BatchScanError
from batch_scan.model import RunTotals
from batch_scan.report.schema import SCHEMAS, Table
from batch_scan.report.store import locate, store_of
from batch_scan.untrusted import storable_text
from batch_scan.vocabulary import Outcome, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import PurePosixPath

    from numpy.typing import NDArray

    from batch_scan.report.store import Place

    Hashes = NDArray[np.uint64]
    Identify = Callable[[int, str], str]

_COUNTED = ("requests", "cached_requests", "tokens_estimated", "tokens_charged")
_COLUMNS = ["item", "uri", "verdict", "status", "reason", "cost", *_COUNTED]
_BATCH_ROWS = 65_536


def identify_by_row(index: int, uri: str) -> str:
    """Return the identity of a manifest's entry: the same URI may stand in several rows."""
    return f"{index}:{uri}"


def identify_by_uri(_index: int, uri: str) -> str:
    """Return the identity of a directory's entry: its position moves when files are added."""
    return uri


@dataclass(frozen=True, slots=True)
class Names:
    """A set of names, kept as sorted 64-bit hashes, eight bytes a name.

    Of a million new names against a million old ones one is mistaken for an old one with a probability of 5 in
    100 million.
    """

    hashes: Hashes

    def __contains__(self, name: str) -> bool:
        """Whether the name is among them."""
        wanted = _hash(name)
        place = int(np.searchsorted(self.hashes, wanted))
        return place < len(self.hashes) and bool(self.hashes[place] == wanted)

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True, slots=True)
class Published(Names):
    """The items of a run that have their row, by identity, and what is counted over them."""

    totals: RunTotals
    cost: Cost
    reasons: frozenset[str]
    """Why rows are not complete."""


def read_published(place: Place, parts: Sequence[PurePosixPath], identify: Identify) -> Published:
    """Read what the parts of `files` hold, in memory that grows by eight bytes an item.

    Args:
        place: where the report is kept.
        parts: the keys of the published parts of one run.
        identify: makes an item's identity of its columns `item` and `uri`, as its source does.

    Raises BatchScanError where a part cannot be read.
    """
    hashes: list[Hashes] = [np.empty(0, np.uint64)]
    tally, reasons = _Tally(), set[str]()
    for batch in _batches(place, parts, Table.FILES, _COLUMNS):
        tally.add(batch)
        reasons.update(filter(None, pc.unique(batch["reason"]).to_pylist()))
        pairs = zip(batch["item"].to_pylist(), batch["uri"].to_pylist(), strict=True)
        hashes.append(np.fromiter((_hash(identify(*pair)) for pair in pairs), np.uint64, len(batch)))
    return Published(np.sort(np.concatenate(hashes)), tally.totals(), tally.cost, frozenset(reasons))


def read_sent(place: Place, parts: Sequence[PurePosixPath]) -> Names:
    """Read which requests were sent and answered, as the parts of `requests` tell. Raises BatchScanError."""
    hashes: list[Hashes] = [np.empty(0, np.uint64)]
    for batch in _batches(place, parts, Table.REQUESTS, ["request_id", "cached", "outcome"]):
        answered = pc.and_(pc.invert(batch["cached"]), pc.equal(batch["outcome"], Outcome.ANSWERED.value))
        sent = batch["request_id"].filter(answered).to_pylist()
        hashes.append(np.fromiter(map(_hash, sent), np.uint64, len(sent)))
    return Names(np.sort(np.concatenate(hashes)))


def _hash(identity: str) -> np.uint64:
    digest = blake2b(storable_text(identity).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _batches(
    place: Place, parts: Sequence[PurePosixPath], table: Table, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    store = store_of(place)
    for part in parts:
        where = locate(store, part)
        try:
            with store.open(part) as opened, pq.ParquetFile(opened) as file:
                if not file.schema_arrow.equals(SCHEMAS[table]):
                    raise BatchScanError(
                        f"{where} has other columns than this version writes; "
                        "continue the run with the version that began it, or start a new report"
                    )
                yield from file.iter_batches(_BATCH_ROWS, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise BatchScanError(
                f"{where} cannot be read ({type(error).__name__}); "
                "restore it, or remove it to have its items scanned again"
            ) from error


class _Tally:
    """Adds up the counted columns of `files`, a batch at a time."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.cost = Cost()

    def add(self, batch: pa.RecordBatch) -> None:
        self._add("items", len(batch))
        for column in ("verdict", "status"):
            for pair in pc.value_counts(batch[column]).to_pylist():
                self._add(pair["values"], pair["counts"])
        for column in _COUNTED:
            self._add(column, pc.sum(batch[column], min_count=0).as_py())
        unpriced = pc.and_(pc.is_null(batch["cost"]), pc.greater(batch["tokens_charged"], 0))
        self.cost += Cost(pc.sum(batch["cost"]).as_py(), bool(pc.any(unpriced).as_py()))

    def totals(self) -> RunTotals:
        counted = ("items", *Verdict, *Status, *_COUNTED)
        return RunTotals(**{str(name): self._counts.get(str(name), 0) for name in counted})

    def _add(self, name: str, count: int) -> None:
        self._counts[name] = self._counts.get(name, 0) + count
