"""A server that keeps Stream's moderation contract, strictly, on a loopback port.

What pages, specification and the vendor's library say it does: the key in the query, an empty token in the header,
required fields, at most 30 pictures, policies, the review queue, uploads, rates in headers, times in nanoseconds.
Texts are judged at once and pictures later, as the vendor's engines are by default; a webhook tells of the end where a
URL is set. What nobody says can be set: whether `force_sync` is kept, whether clean content stands in the queue.

    with StreamServer(judge=judge) as server:
        ...
        assert not server.open_uploads
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

import httpx
import jwt
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from batch_scan.sandbox.exchange import Refusal, Seen, Told
from batch_scan.sandbox.stream.contract import (
    check_action,
    check_fields,
    check_policy,
    check_queue,
    demand,
    error,
    refuse,
)
from batch_scan.sandbox.stream.judging import Flagged, gravest, judge_picture, judge_text
from batch_scan.sandbox.stream.policies import JOB_POLICY, POLICY_KEY, Policies, pushed
from batch_scan.sandbox.stream.queue import ReviewQueue, now_ns
from batch_scan.sandbox.vendor import VendorServer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from starlette.requests import Request

    from batch_scan.sandbox.faults import Fault
    from batch_scan.sandbox.judge import Judge

__all__ = ["DEFAULT_KEY", "DEFAULT_SECRET", "JOB_POLICY", "POLICY_KEY", "StreamServer"]

DEFAULT_KEY = "sbx8k2m4q6t9"
DEFAULT_SECRET = "7f3a9c51e2d84b6f90a1c7e35d28f4b6a9c0e1d27384f5b6c7d8e9f0a1b2c3d4"  # noqa: S105 - opens this server alone

_CHECK = "/api/v2/moderation/check"
_CONFIG = "/api/v2/moderation/config/"
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8")
_WEBHOOK_PATIENCE_S = 10.0


class StreamServer(VendorServer):
    """See the module. Attributes may be changed while it runs."""

    name = "stream"

    def __init__(
        self,
        *,
        judge: Judge,
        key: str = DEFAULT_KEY,
        secret: str = DEFAULT_SECRET,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        block_lists: Mapping[str, Collection[str]] | None = None,
        async_delay_s: float = 0.05,
        async_texts: bool = False,
        honours_force_sync: bool = True,
        keeps_in_queue: bool = False,
        final_status: str = "complete",
        open_status: str = "partial",
        rate_headers: bool = True,
        **rate: Any,
    ) -> None:
        """Prepare a server.

        Args:
            judge: what is true of texts and pictures.
            key: the app's key, for the query.
            secret: the app's secret, which signs tokens and webhooks.
            policies: what stands there from the beginning, by key; default: `JOB_POLICY` under `POLICY_KEY`.
            block_lists: words by the name of their list; what is called ``profanity…`` also holds the judge's own.
            async_delay_s: how long after the reply pictures are judged; infinite = never.
            async_texts: whether texts are judged after the reply too.
            honours_force_sync: whether `options.force_sync` has pictures judged before the reply.
            keeps_in_queue: whether what was judged late and found clean stands in the review queue.
            final_status: what a check is called that is done.
            open_status: what a check is called that goes on.
            rate_headers: whether answers tell the rate.
            rate: as of `VendorServer`.
        """
        super().__init__(**rate)
        self.judge = judge
        self.key = key
        self.secret = secret
        self.block_lists = dict(block_lists or {})
        self.async_delay_s = async_delay_s
        self.async_texts = async_texts
        self.honours_force_sync = honours_force_sync
        self.keeps_in_queue = keeps_in_queue
        self.final_status = final_status
        self.open_status = open_status
        self.rate_headers = rate_headers
        self.rates: dict[str, int] = {}
        """What `GET /rate_limits` tells, by call; empty tells nothing."""
        self.webhook_url = ""
        """Where the end of every check is told; empty for nowhere."""
        self.queue = ReviewQueue()
        self.open_uploads: dict[str, bytes] = {}
        """Pictures that were uploaded and not deleted, by URL."""
        self.pending: set[str] = set()
        """Content that is still being judged, by entity id."""
        self.policies = Policies(policies if policies is not None else {POLICY_KEY: pushed(JOB_POLICY)})
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def secrets(self) -> Mapping[str, str]:
        """See `VendorServer.secrets`."""
        return {"STREAM_API_KEY": self.key, "STREAM_API_SECRET": self.secret}

    @property
    def table(self) -> Mapping[str, Any]:
        """See `VendorServer.table`."""
        return {"base_url": self.url, "config_key": POLICY_KEY, "policy": dict(JOB_POLICY)}

    def judges(self, method: str, path: str) -> bool:
        """See `VendorServer.judges`: checks alone."""
        return method == "POST" and path == _CHECK

    def refusal(self, status: int) -> Fault:
        """See `VendorServer.refusal`."""
        return Told(error(status, HTTPStatus(status).phrase), status).as_fault

    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        """See `VendorServer.answer`."""
        try:
            self._check_auth(request)
            told = await self._route(request, seen, body)
        except Refusal as refusal:
            told = refusal.told
        headers = {**(self._rate_headers() if self.rate_headers and seen.number else {}), **told.headers}
        return Told(told.body, told.status, headers, told.content_type)

    # ------------------------------------------------------------------------------------------------ the contract

    def _check_auth(self, request: Request) -> None:
        demand(request.query_params.get("api_key") == self.key, 401, "api_key not valid")
        demand(request.headers.get("stream-auth-type") == "jwt", 401, "stream-auth-type is missing or not known")
        try:
            jwt.decode(request.headers.get("authorization", ""), self.secret, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            raise refuse(401, "the token is not signed with the secret of this app") from None

    async def _route(self, request: Request, seen: Seen, body: bytes) -> Told:
        match seen.method, seen.path:
            case "POST", "/api/v2/uploads/image":
                return Told(await self._upload(request, seen), 201)
            case "POST", path:
                return Told(await self._post(path, seen, _json(request, seen, body)), 201)
            case "GET", "/api/v2/rate_limits":
                return Told(_timed(server_side={name: _rate(limit) for name, limit in self.rates.items()}))
            case "GET", path if path.startswith(_CONFIG):
                return Told(_timed(config=self.policies.of(unquote(path.removeprefix(_CONFIG)), "GetConfig")))
            case "DELETE", "/api/v2/uploads/image":
                demand(self.open_uploads.pop(seen.query.get("url", ""), None) is not None, 404, "there is no such file")
                return Told(_timed())
            case _:
                raise refuse(404, f"{seen.method} {seen.path} is not found")

    async def _post(self, path: str, seen: Seen, body: dict[str, Any]) -> dict[str, Any]:
        match path.removeprefix("/api/v2/moderation/"):
            case "check":
                return await self._check(seen, body)
            case "config":
                check_policy(body)
                return _timed(config=self.policies.keep(body))
            case "review_queue":
                check_queue(body)
                return self.queue.page(body)
            case "submit_action":
                return self._act(body)
            case _:
                raise refuse(404, f"POST {path} is not found")

    # ------------------------------------------------------------------------------------------------------- checks

    async def _check(self, seen: Seen, body: Mapping[str, Any]) -> dict[str, Any]:
        wait_s = self.over_rate_s(seen)
        if wait_s is not None:
            headers = {"retry-after": str(math.ceil(wait_s))} if self.retry_after else {}
            raise refuse(429, "Too many requests, check response headers for more information.", headers)
        check_fields(body)
        policy = self.policies.of(body["config_key"], "Check")
        payload = body["moderation_payload"]
        pictures = self._pictures(payload.get("images", []))
        seen.operation, seen.tokens = "check", 1
        seen.digest = hashlib.sha256("\n".join(payload.get("texts", [])).encode()).hexdigest()
        waits = bool(body.get("options", {}).get("force_sync")) and self.honours_force_sync
        later = not waits and (bool(pictures) or self.async_texts)
        texts_now = [] if later and self.async_texts else payload.get("texts", [])
        flagged = await self._judged(texts_now, [] if later else pictures, policy)
        status = self.open_status if later else self.final_status
        if later:
            texts = payload.get("texts", []) if self.async_texts else []
            self._begin(self._finish(body, flagged, texts, pictures), body["entity_id"])
        else:
            self._tell_end(body, gravest(flagged))
        told = _timed(status=status, recommended_action=gravest(flagged))
        return {**told, "item": self.queue.put(body, flagged, status)} if flagged else told

    async def _judged(
        self, texts: Sequence[str], pictures: Sequence[bytes], policy: Mapping[str, Any]
    ) -> list[Flagged]:
        flagged = []
        for text in texts:
            opinions = await asyncio.to_thread(self.judge.words, text)
            flagged += judge_text(text, opinions, policy, self.block_lists)
        for picture in pictures:
            flagged += judge_picture(await asyncio.to_thread(self.judge.picture, picture), policy)
        return flagged

    async def _finish(
        self, body: Mapping[str, Any], flagged: list[Flagged], texts: Sequence[str], pictures: Sequence[bytes]
    ) -> None:
        if math.isinf(self.async_delay_s):
            return
        await asyncio.sleep(self.async_delay_s)
        flagged = flagged + await self._judged(texts, pictures, self.policies.by_key.get(body["config_key"], {}))
        if flagged or self.keeps_in_queue:
            self.queue.put(body, flagged, self.final_status)
        self.pending.discard(body["entity_id"])
        self._tell_end(body, gravest(flagged))

    def _pictures(self, urls: Sequence[str]) -> list[bytes]:
        for url in urls:
            demand(url in self.open_uploads, 400, "Check failed with error: an image cannot be downloaded")
        return [self.open_uploads[url] for url in urls]

    def _begin(self, work: Any, entity_id: str = "") -> None:
        if entity_id:
            self.pending.add(entity_id)
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell_end(self, body: Mapping[str, Any], action: str) -> None:
        if not self.webhook_url:
            return
        item = self.queue.items.get((body["entity_type"], body["entity_id"]))
        event = {
            "type": "moderation_check.completed",
            "created_at": now_ns(),
            "entity_type": body["entity_type"],
            "entity_id": body["entity_id"],
            "recommended_action": action,
            "review_queue_item_id": item["id"] if item is not None else "",
            "custom": {},
        }
        self._begin(self._post_event(json.dumps(event).encode()))

    async def _post_event(self, event: bytes) -> None:
        signature = hmac.new(self.secret.encode(), event, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature": signature}
        async with httpx.AsyncClient(trust_env=False, timeout=_WEBHOOK_PATIENCE_S) as client:
            try:
                await client.post(self.webhook_url, content=event, headers=headers)
            except httpx.HTTPError:
                return

    # ------------------------------------------------------------------------------------------ policies and items

    def _act(self, body: Mapping[str, Any]) -> dict[str, Any]:
        check_action(body)
        item = self.queue.by_id(body["item_id"])
        item["actions"].append(
            {"type": body["action_type"], "created_at": now_ns(), **body.get(body["action_type"], {})}
        )
        item |= {"latest_moderator_action": body["action_type"], "reviewed_by": "server", "updated_at": now_ns()}
        return _timed(item=item)

    async def _upload(self, request: Request, seen: Seen) -> dict[str, Any]:
        multipart = request.headers.get("content-type", "").startswith("multipart/form-data;")
        demand(multipart, 415, "an upload is multipart/form-data")
        try:
            async with request.form(max_files=1) as form:
                user, file = form.get("user"), form.get("file")
                demand(set(form) <= {"user", "file", "upload_sizes"}, 400, "the form has a part that is not known")
                demand(
                    isinstance(user, str) and _user_id(user),
                    400,
                    'UploadImage failed with error: "user.id is required"',
                )
                demand(isinstance(file, UploadFile), 400, 'UploadImage failed with error: "file is a required field"')
                content = await file.read() if isinstance(file, UploadFile) else b""
                seen.file_name, seen.mime = getattr(file, "filename", ""), getattr(file, "content_type", "")
        except (MultiPartException, HTTPException) as problem:
            raise refuse(400, f"the form cannot be read: {problem}") from None
        demand(content.startswith(_MAGIC), 400, "UploadImage failed with error: the file is no image")
        seen.operation, seen.size_bytes, seen.fields = "upload", len(content), {"user": json.loads(str(user))}
        seen.digest = hashlib.sha256(content).hexdigest()
        url = f"{self.url}/cdn/{uuid4()}.jpg?sig=x"
        self.open_uploads[url] = content
        return _timed(file=url, upload_sizes=[])

    # -------------------------------------------------------------------------------------------------------- rates

    def _rate_headers(self) -> dict[str, str]:
        allowed = int(self.rate_limit * self.rate_window_s / 60.0)
        reset_s = math.ceil(time.time() + self.rate_window_s)
        return {
            "x-ratelimit-limit": str(self.rate_limit),
            "x-ratelimit-remaining": str(max(0, allowed - self.admitted)),
            "x-ratelimit-reset": str(reset_s),
        }


def _rate(limit: int) -> dict[str, int]:
    return {"limit": limit, "remaining": limit, "reset": int(time.time()) + 60}


def _timed(**fields: Any) -> dict[str, Any]:
    return {"duration": "0.00ms", **fields}


def _json(request: Request, seen: Seen, body: bytes) -> dict[str, Any]:
    is_json = request.headers.get("content-type", "").split(";")[0] == "application/json"
    demand(is_json, 415, "the body is application/json")
    try:
        fields = json.loads(body)
    except ValueError:
        raise refuse(400, "the body is not JSON") from None
    demand(isinstance(fields, dict), 400, "the body is not an object")
    seen.fields = fields
    return dict(fields)


def _user_id(user: str) -> bool:
    try:
        told = json.loads(user)
    except ValueError:
        return False
    return isinstance(told, dict) and isinstance(told.get("id"), str) and told["id"] != ""
