"""One call to DeepCleer: the key in the body, the pace, the codes.

The access key travels in the JSON body; it is put there when a call goes out, and is taken out of every answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.answer_json import dump_json
from batch_scan.endpoint.deepcleer.codes import unrecognised
from batch_scan.endpoint.deepcleer.config import PATHS
from batch_scan.endpoint.deepcleer.fields import pick, without_echo, words
from batch_scan.model import Answer
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.deepcleer.config import DeepCleerConfig
    from batch_scan.endpoint.http import HttpClient, HttpReply
    from batch_scan.endpoint.premises import Premises
    from batch_scan.secret import Secret

SMALL_BYTES = 300
"""About how large a call is that carries no sample."""
SHORT_TIMEOUT_S = 15.0
"""Longest wait for calls that judge nothing; the vendor's pages advise 1 to 5 s."""
_ID_CHARS = 100


class Wire:
    """See the module. One per opening of the endpoint."""

    def __init__(self, config: DeepCleerConfig, http: HttpClient, key: Secret, premises: Premises) -> None:
        self.config = config
        self.premises = premises
        self.redact = http.redact
        self._http = http
        self._key = key

    async def ask(self, call: str, fields: Mapping[str, Any]) -> HttpReply:
        """Make a call that judges. Raises EndpointError; the code is the caller's to look at."""
        return await self._send(call, fields, None)

    async def ask_shortly(self, call: str, fields: Mapping[str, Any]) -> HttpReply:
        """Make a call that judges nothing, and is answered soon or not at all."""
        return await self._send(call, fields, min(SHORT_TIMEOUT_S, self.config.limit.timeout_s))

    async def _send(self, call: str, fields: Mapping[str, Any], timeout_s: float | None) -> HttpReply:
        body = {"accessKey": self._key.reveal(), **fields}
        reply = await self._http.send("POST", self.config.urls.of(call), json=body, timeout_s=timeout_s)
        if not isinstance(reply.json, dict):
            raise unrecognised(f"{PATHS[call]} answered with something else than an object")
        return reply

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()


def envelope(config: DeepCleerConfig, *, pictures: bool = False) -> dict[str, Any]:
    """Return the fields that every judging call begins with, but for the key."""
    event_id = (config.image_event_id if pictures else "") or config.event_id
    fields: dict[str, Any] = {"appId": config.app_id, "eventId": event_id}
    fields["type"] = "_".join(config.types_of_images if pictures else config.types)
    if config.business_types and not pictures:
        fields["businessType"] = "_".join(config.business_types)
    return fields


def to_answer(body: Mapping[str, Any], reply: HttpReply, tokens: int, bytes_sent: int) -> Answer:
    """Return an answer to be kept: without the copy of our question that some hold."""
    return Answer(
        raw=dump_json(without_echo(body)),
        tokens_charged=tokens,
        http_status=reply.status,
        vendor_code=clean_text(words(pick(body, "code")), _ID_CHARS),
        vendor_request_id=clean_text(words(pick(body, "requestId")), _ID_CHARS),
        bytes_sent=bytes_sent,
    )
