"""Requests as Stream wants them: paths, headers, bodies, names of content. Pure, but for the ids of single calls."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import jwt

from batch_scan import __version__
from batch_scan.digest import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.http import FilePart
    from batch_scan.endpoint.stream.config import PolicyRules, StreamConfig
    from batch_scan.model import Request, Sample
    from batch_scan.secret import Secret

MODERATION = "api/v2/moderation"
CHECK = f"{MODERATION}/check"
CONFIG = f"{MODERATION}/config"
REVIEW_QUEUE = f"{MODERATION}/review_queue"
SUBMIT_ACTION = f"{MODERATION}/submit_action"
UPLOADS = "api/v2/uploads/image"
RATE_LIMITS = "api/v2/rate_limits"

REQUEST_ID = "x-client-request-id"


def token_of(secret: Secret) -> str:
    """Return the token that stands for the app itself: an HS256 JWT of no claims, as the vendor's library signs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer PyJWT warns of short secrets: the length is the vendor's choice
        return jwt.encode({}, secret.reveal(), algorithm="HS256")


def headers_of(token: str) -> dict[str, str]:
    """Return what goes out with every call. The token stands alone, without ``Bearer``."""
    return {"authorization": token, "stream-auth-type": "jwt", "x-stream-client": f"batch-scan-{__version__}"}


def request_id() -> str:
    """Return a new id for one call; the vendor's support finds the call by it."""
    return str(uuid4())


def config_path(key: str) -> str:
    """Return the path of one policy."""
    return f"{CONFIG}/{quote(key, safe='')}"


def entity_of_sample(sample: Sample) -> str:
    """Return the name of a sample's content at the vendor: the same for the same content, in every run."""
    return f"bs-{sample.digest}"


def entity_of_request(request: Request) -> str:
    """Return the name of what a request asks about as a whole: its one sample's, or one for all of them together."""
    if len(request.samples) == 1:
        return entity_of_sample(request.samples[0])
    return f"bs-{request.key or fingerprint([sample.digest for sample in request.samples])}"


def check_body(config: StreamConfig, entity_id: str, payload: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the body of a check.

    Args:
        config: the job's table.
        entity_id: what the content is called.
        payload: `texts` or `images` (URLs).
    """
    body: dict[str, Any] = {
        "entity_creator_id": config.creator_id,
        "entity_id": entity_id,
        "entity_type": config.entity_type,
        "config_key": config.config_key,
    }
    if config.content_published_at is not None:
        body["content_published_at"] = config.content_published_at.isoformat()
    body["moderation_payload"] = {kind: list(values) for kind, values in payload.items()}
    if config.force_sync:
        body["options"] = {"force_sync": True}
    return body


def policy_body(key: str, rules: PolicyRules) -> dict[str, Any]:
    """Return the body that writes a policy: the rules of the job and nothing that the job does not say."""
    body: dict[str, Any] = {"key": key}
    for name, kind in (("ai_text_config", rules.ai_text), ("ai_image_config", rules.ai_image)):
        if kind:
            body[name] = {"rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in kind]}
    if rules.block_lists:
        body["block_list_config"] = {"rules": [rule.model_dump(mode="json") for rule in rules.block_lists]}
    return body


def queue_body(
    filters: Mapping[str, Any], *, limit: int, sort: Sequence[Mapping[str, Any]] = (), after: str = ""
) -> dict[str, Any]:
    """Return the body that asks for one page of the review queue."""
    body: dict[str, Any] = {"limit": limit}
    if after:
        body["next"] = after
    if sort:
        body["sort"] = [dict(one) for one in sort]
    body["filter"] = dict(filters)
    return body


def action_body(action: str, item_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that does something with an item of the review queue."""
    return {"action_type": action, "item_id": item_id, action: dict(options)}


def upload_form(creator_id: str, image: bytes, mime: str) -> tuple[dict[str, str], dict[str, FilePart]]:
    """Return the fields and the file of an upload; the file's own name is not told."""
    ending = mime.partition("/")[2].replace("jpeg", "jpg")
    return {"user": json.dumps({"id": creator_id})}, {"file": (f"frame.{ending}", image, mime)}
