"""DeepCleer's call for pictures: up to 12 in one, each answered with a code of its own.

A picture that failed in a way that may pass (1901, 1903, 1911) is asked about again, alone or with others like it, so
that those which were judged are not paid again. One that is refused for good stays without an answer beside the others.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.deepcleer.answer import billed_images, image_bt_ids, image_error, images_of
from batch_scan.endpoint.deepcleer.codes import check
from batch_scan.endpoint.deepcleer.config import ImageType
from batch_scan.endpoint.deepcleer.fields import pick, words
from batch_scan.endpoint.deepcleer.prices import pictures, quote
from batch_scan.endpoint.deepcleer.wire import envelope, to_answer
from batch_scan.errors import EndpointError, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.deepcleer.wire import Wire
    from batch_scan.model import Answer, Request, Sample

ROUNDS: Final = 3
"""Times a picture is asked about in one request, the first included."""
_READ_LANGUAGES: Final = frozenset({"zh", "en", "ar"})
"""Of writing in pictures."""


async def submit_pictures(wire: Wire, request: Request) -> Answer:
    """Have pictures judged. Raises EndpointError where none was, or where some may be at another time."""
    reply = await wire.ask("images", _fields(wire, list(zip(image_bt_ids(request), request.samples, strict=True))))
    check(reply.json, "about pictures")
    images = images_of(request, reply.json)
    billed, bytes_sent = billed_images(images), reply.bytes_sent
    for round_number in range(ROUNDS - 1):
        again = [place for place, image in enumerate(images) if _may_pass(image)]
        if not again:
            break
        await asyncio.sleep(wire.config.poll_interval_s * 2**round_number)
        more = await _again(wire, request, again)
        for place, image in zip(again, more[0], strict=True):
            images[place] = image
        billed, bytes_sent = billed + billed_images(more[0]), bytes_sent + more[1]
    _check_all(images, billed)
    most = quote(wire.config.tokens, request.medium, request.samples)
    body = {**reply.json, "imgs": images}
    return to_answer(body, reply, pictures(wire.config.tokens, billed, most), bytes_sent)


async def _again(wire: Wire, request: Request, places: Sequence[int]) -> tuple[list[Mapping[str, Any]], int]:
    """Ask about some of the pictures once more; return what is said of each, and the bytes sent."""
    bt_ids = image_bt_ids(request)
    wanted = [(bt_ids[place], request.samples[place]) for place in places]
    await wire.premises.pace(sum(len(sample.data or b"") for _, sample in wanted))
    try:
        reply = await wire.ask("images", _fields(wire, wanted))
        check(reply.json, "about pictures")
    except EndpointError as error:
        error.maybe_charged = True  # those of the first round are paid
        raise
    told = pick(reply.json, "imgs")
    found = {words(pick(image, "btId")): image for image in told} if isinstance(told, list) else {}
    if isinstance(told, list) and len(found) != len(told):
        found = {}  # which of two words about one picture would count?
    nothing: Mapping[str, Any] = {}
    return [{**found.get(bt_id, nothing), "btId": bt_id} for bt_id, _ in wanted], reply.bytes_sent


def _check_all(images: Sequence[Mapping[str, Any]], billed: int) -> None:
    """Raise EndpointError for what may be answered at another time, and where nothing was answered at all."""
    errors = [error for image in images if (error := image_error(image)) is not None]
    passing = [error for error in errors if error.failure is not Failure.REFUSED]
    if passing or len(errors) == len(images):
        error = next((one for one in passing if one.failure is Failure.FATAL), (passing or errors)[0])
        error.maybe_charged = error.maybe_charged or billed > 0
        raise error


def _may_pass(image: Mapping[str, Any]) -> bool:
    error = image_error(image)
    return error is not None and error.failure in {Failure.RATE_LIMITED, Failure.TRANSIENT}


def _fields(wire: Wire, named: Sequence[tuple[str, Sample]]) -> Mapping[str, Any]:
    config = wire.config
    images = [{"btId": bt_id, "img": _content(sample)} for bt_id, sample in named]
    data: dict[str, Any] = {"tokenId": config.token_id, "imgs": images}
    if ImageType.IMGTEXTRISK in config.types_of_images and config.lang in _READ_LANGUAGES:
        data["lang"] = config.lang
    return {**envelope(config, pictures=True), "data": data}


def _content(sample: Sample) -> str:
    if sample.data is not None:
        return base64.b64encode(sample.data).decode("ascii")
    if not sample.url:
        raise ValueError("the sample has no data to send")
    return sample.url
