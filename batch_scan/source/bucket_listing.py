"""The objects below a prefix as entries, while their listing streams in.

Memory holds one chunk of the listing, and the names that the current one begins with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obstore.store import AzureStore

from batch_scan.aside import pause
from batch_scan.model import Item, Refused, Shortfall
from batch_scan.source.bucket_fetch import stat_of
from batch_scan.source.bucket_pages import BAD_PART, is_nameable
from batch_scan.source.store_page import PageError
from batch_scan.store_errors import STORE_ERRORS, explain, is_bad_key, is_transient
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Reason, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from obstore import ObjectMeta

    from batch_scan.model import Stat
    from batch_scan.source.bucket_pages import Pages
    from batch_scan.source.globs import Selection
    from batch_scan.source.store_page import Page
    from batch_scan.store import BucketStore
    from batch_scan.store_url import BucketUrl

_CHUNK_OBJECTS = 1000
_AZURE_PAGE_OBJECTS = 5000
"""What a page of Azure's holds where nothing else is asked for; those of the others hold a thousand."""
_MAX_FAILURES = 3
"""So often in a row a listing may break off without having brought an object; obstore itself has asked again before."""
_RETRY_WAIT_S = 1.0
_BAD_KEY = re.compile(r'[Pp]ath "(.*?)"(?: contained|: Encountered)', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_EMPTY = 10_000
_LEADING_SLASHES = "/\U0010ffff"
"""Behind all keys that begin with a slash."""
_NO_WAY_AROUND = "it cannot be listed around such a key"
_UNNAMEABLE = "a slash at an end, slashes with nothing between them, `.` or `..` as a part, or control characters"


class Listing:
    """One walk over the objects below a prefix.

    Args:
        store: the bucket.
        place: the prefix; what is shown of a key stands behind its root.
        selection: what is wanted; patterns match what stands behind the prefix.
        pages: for what obstore cannot list.
        skipped: prefixes with a slash at their end; what lies below has no entry.
    """

    def __init__(
        self,
        store: BucketStore,
        place: BucketUrl,
        selection: Selection,
        pages: Pages,
        skipped: tuple[str, ...] = (),
    ) -> None:
        self._store = store
        self._lists_from = not isinstance(store, AzureStore)
        """Whether obstore can begin a listing behind a key; one of Azure's it begins at the start."""
        self._pages = pages
        self._skipped = skipped
        self._root = place.root
        self._prefix = place.key.strip("/")
        self._aside = f"{self._root}/{self._prefix}".rstrip("/") + "#"
        """What URIs begin with that are no key's: those of keys begin with the prefix and a slash."""
        self._selection = selection
        self._open: list[str] = []
        self._index = 0

    def entries(self) -> Iterator[Item | Refused]:
        """Yield the entry of every object in the order of the listing, and one for each stretch that is lost."""
        held: ObjectMeta | None = None
        for found in self._objects():
            if held is not None:
                following = "" if isinstance(found, _Lost | _Unnameable) else found["path"]
                yield from self._entry(held, following)
                held = None
            if isinstance(found, _Lost):
                yield Refused(self._item(f"{self._aside}{found.name}", None), Status.FAILED, found.why)
            elif isinstance(found, _Unnameable):
                yield self._unnameable(found)
            elif self._skipped and found["path"].startswith(self._skipped):
                continue
            elif found["size"]:
                yield from self._entry(found, "")
            else:
                held = found  # what comes next may tell that it stands for a directory
        if held is not None:
            yield from self._entry(held, "")

    def _entry(self, meta: ObjectMeta, following: str) -> Iterator[Item | Refused]:
        key = meta["path"]
        stat = stat_of(meta)
        if not stat.size_bytes and self._is_directory(key, following):
            return
        while self._open and not key.startswith(self._open[-1]):
            self._open.pop()
        doubled = key in self._open or key == self._prefix
        if not doubled:
            self._open.append(key)
        item = self._item(f"{self._root}/{key}/" if doubled else f"{self._root}/{key}", stat)
        if doubled:
            gap = Shortfall(Reason.BAD_ROW, "an object whose key ends in a slash cannot be asked for; rename it")
            yield Refused(item, Status.FAILED, gap)
        else:
            yield self._judged(item, key, stat)

    def _judged(self, item: Item, key: str, stat: Stat) -> Item | Refused:
        relative = key[len(self._prefix) :].lstrip("/")
        unwanted = self._selection.refuse(relative) or self._selection.refuse_age(stat.modified_ns)
        if unwanted is not None:
            return Refused(item, Status.SKIPPED, unwanted)
        if not stat.size_bytes:
            return Refused(item, Status.FAILED, Shortfall(Reason.EMPTY, "the object has no content"))
        return item

    def _item(self, uri: str, stat: Stat | None) -> Item:
        item = Item(self._index, uri, uri, uri, stat=stat)
        self._index += 1
        return item

    def _unnameable(self, found: _Unnameable) -> Refused:
        relative = found.key.removeprefix(f"{self._prefix}/" if self._prefix else "")
        unwanted = self._selection.refuse(relative) or self._selection.refuse_age(found.stat.modified_ns)
        shown = _shown(found.key)
        uri = f"{self._root}/{shown}" if shown == found.key else f"{self._aside}key={shown}"
        item = self._item(uri, found.stat)
        if unwanted is not None:
            return Refused(item, Status.SKIPPED, unwanted)
        detail = f"an object whose key holds {_UNNAMEABLE} cannot be asked for; rename it"
        return Refused(item, Status.FAILED, Shortfall(Reason.BAD_ROW, detail))

    def _is_directory(self, key: str, following: str) -> bool:
        """Whether an object without content is what consoles make of a directory: its key ends in a slash.

        The listing drops that slash. Where nothing follows that lies below, the store is asked for the key without it.
        """
        if key == self._prefix or following.startswith(f"{key}/"):
            return True
        try:
            self._store.head(key)
        except FileNotFoundError:
            return True
        except STORE_ERRORS:
            return False
        return False

    # --------------------------------------------------------------------------------------------------- the stream

    def _objects(self) -> Iterator[ObjectMeta | _Unnameable | _Lost]:
        """Yield objects, and what could not be listed; goes on behind the last object where the listing breaks off."""
        place = _Place()
        failures = 0
        if not self._prefix and self._pages.have_leading_slashes():
            yield from self._by_pages(place)
        while not place.at_end:
            try:
                for chunk in self._chunks(place):
                    yield from filter(place.is_new, chunk)
                    failures = 0
                place.at_end = True
                if place.behind is not None and not self._pages.are_complete(place.behind):
                    yield _lost_early(place.behind)
            except STORE_ERRORS as error:
                failures += 1
                if is_bad_key(error):
                    yield from self._by_pages(place, error)
                elif failures > _MAX_FAILURES or not is_transient(error):
                    place.at_end = True
                    yield _lost_rest(place.behind, explain(error))
                else:
                    pause(_RETRY_WAIT_S * 2 ** (failures - 1))
            except _GoneError:
                place.at_end = True
                yield _lost_rest(place.behind, "the object where it was to go on is gone")

    def _chunks(self, place: _Place) -> Iterator[Sequence[ObjectMeta]]:
        """Yield what lies behind the place. Raises what obstore raises, and `_GoneError`.

        Where obstore lists from the start it compares keys, but the order of Azure's need not be that of their bytes.
        """
        if place.behind is None or self._lists_from:
            yield from self._store.list(self._prefix or None, offset=place.behind, chunk_size=_CHUNK_OBJECTS)
            return
        has_met = False
        for chunk in self._store.list(self._prefix or None, chunk_size=_CHUNK_OBJECTS):
            places = [] if has_met else [at for at, one in enumerate(chunk) if one["path"] == place.behind]
            if has_met or places:
                yield chunk[places[-1] + 1 :] if places else chunk
            has_met = has_met or bool(places)
        if not has_met:
            raise _GoneError

    def _by_pages(
        self, place: _Place, error: BaseException | None = None
    ) -> Iterator[ObjectMeta | _Unnameable | _Lost]:
        """Yield what lies on pages with keys that obstore cannot name, up to one that it can go on behind."""
        behind = place.behind
        try:
            page = self._page(behind)
        except PageError:
            if error is not None:
                yield from self._around(place, error)
            return
        while True:
            yield from _objects_of(page, place)
            place.at_end = page.is_last
            if place.at_end:
                return
            behind = page.objects[-1]["path"]  # one that is not the last has some
            if self._leads_back(behind):
                place.jump(behind)
                return
            try:
                page = self._page(behind)
            except PageError:
                place.at_end = True
                yield _lost_rest(behind, _NO_WAY_AROUND)
                return

    def _leads_back(self, behind: str) -> bool:
        """Whether obstore can go on behind a key, with no key to come whose leading slash it would drop."""
        return self._pages.leads_back and is_nameable(behind) and bool(self._prefix or behind > _LEADING_SLASHES)

    def _page(self, behind: str | None) -> Page:
        """Raises PageError."""
        for failures in range(_MAX_FAILURES):
            try:
                return self._pages.behind(behind)
            except PageError as error:
                if not error.may_pass:
                    raise
            pause(_RETRY_WAIT_S * 2**failures)
        return self._pages.behind(behind)

    def _around(self, place: _Place, error: BaseException) -> Iterator[ObjectMeta | _Lost]:
        """Go on behind a key that obstore cannot name, for which it gives up a whole page."""
        found = _BAD_KEY.search(str(error))
        key = found[1] if found else ""
        yield _lost_page(place.behind, key, _CHUNK_OBJECTS if self._lists_from else _AZURE_PAGE_OBJECTS)
        behind = _behind_bad_key(key)
        place.at_end = not behind or behind in place.jumps or not self._lists_from
        if place.at_end:
            yield _lost_rest(place.behind, _NO_WAY_AROUND)
            return
        place.jump(behind)
        try:
            yield self._store.head(behind)  # the listing goes on behind it
        except STORE_ERRORS:
            return


@dataclass(frozen=True, slots=True)
class _Unnameable:
    """An object that obstore cannot ask for."""

    key: str
    stat: Stat


@dataclass(frozen=True, slots=True)
class _Lost:
    """A stretch of a listing that could not be had."""

    name: str
    """What it is and behind which key it begins: the same in every walk that loses it."""
    why: Shortfall


class _GoneError(Exception):
    """A listing does not come by the key behind which it was to go on."""


class _Place:
    """How far a listing has come."""

    def __init__(self) -> None:
        self.behind: str | None = None
        self.at_end = False
        self.jumps: set[str] = set()
        self._empty_since: set[str] = set()

    def is_new(self, meta: ObjectMeta) -> bool:
        """Note an object; tell whether it was not met before the listing was taken up again.

        One without content is no place to go on behind: its key may end in a slash, which its path lacks.
        """
        path = meta["path"]
        if path in self._empty_since:
            return False
        if meta["size"] or len(self._empty_since) > _MAX_EMPTY:
            self.behind = path
            self._empty_since.clear()
        else:
            self._empty_since.add(path)
        return True

    def jump(self, behind: str) -> None:
        """Go on behind this key."""
        self.jumps.add(behind)
        self.behind = behind
        self._empty_since.clear()


def _objects_of(page: Page, place: _Place) -> Iterator[ObjectMeta | _Unnameable]:
    for found in page.objects:
        if is_nameable(found["path"]):
            if place.is_new(found):
                yield found
        elif found["size"] or not found["path"].endswith("/"):  # else it stands for a directory
            yield _Unnameable(found["path"], stat_of(found))


def _behind_bad_key(key: str) -> str:
    """Return the first key that can be named behind all that share a key's bad beginning; empty where there is none."""
    bad = BAD_PART.search(key)
    if bad is None:
        return ""
    beginning, last = key[: bad.end() - 1], key[bad.end() - 1]
    if last == "/":
        return beginning + "0"  # what comes behind a slash
    if last == ".":
        return key[: bad.end()] + " "
    return beginning + (" " if last < " " else "\x80")


def _shown(key: str) -> str:
    """Return a key without control characters; no two keys are shown alike where they hold some."""
    if not _CONTROL.search(key):
        return key
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", key.replace("\\", r"\\"))


def _lost(what: str, behind: str | None, reason: Reason, detail: str) -> _Lost:
    return _Lost(what if behind is None else f"{what}-behind={_shown(behind)}", Shortfall(reason, detail))


def _lost_page(behind: str | None, key: str, most: int) -> _Lost:
    shown = f" {clean_text(key, 200)!r}" if key else ""
    detail = (
        f"the key{shown} holds {_UNNAMEABLE}; up to {most} objects listed together with it, in front of it, "
        "are not in this report: rename or delete it and run the scan again"
    )
    return _lost("page", behind, Reason.UNREADABLE, detail)


def _lost_rest(behind: str | None, why: str) -> _Lost:
    detail = f"the listing broke off here: {why}; what lies behind is not in this report: run the scan again"
    return _lost("rest", behind, Reason.FETCH_FAILED, detail)


def _lost_early(behind: str) -> _Lost:
    detail = (
        "the store says that there is more and not how to list it, as those do that know no ListObjectsV2; what lies "
        "behind is not in this report: name its objects in a manifest"
    )
    return _lost("rest", behind, Reason.FETCH_FAILED, detail)
