"""DeepCleer's contract as its pages state it: fields, words, sizes, codes. What breaks it is answered as it would be.

Written apart from the product's own tables, so that the two check each other.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, Final

from batch_scan.sandbox.exchange import Refusal, Told

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGES: Final = {
    1100: "success",
    1101: "still processing",
    1901: "QPS limit exceeded",
    1902: "invalid parameters",
    1903: "service failure",
    1904: "download failed",
    1905: "decode failed",
    1911: "image download failed",
    9100: "insufficient balance",
    9101: "unauthorized operation",
}

AUDIO_TYPES: Final = frozenset(
    [
        "POLITY",
        "EROTIC",
        "ADVERT",
        "ADLAW",
        "BAN",
        "VIOLENT",
        "MOAN",
        "AUDIOPOLITICAL",
        "ANTHEN",
        "DIRTY",
        "SING",
        "MINOR",
        "BANEDAUDIO",
        "COPYRIGHTSONGS",
        "VOICE",
    ]
)
IMAGE_TYPES: Final = frozenset(["POLITY", "EROTIC", "VIOLENT", "QRCODE", "ADVERT", "IMGTEXTRISK"])
BUSINESS_TYPES: Final = frozenset(["GENDER", "AGE", "TIMBRE", "SING", "LANGUAGE", "VOICE", "AUDIOSCENE", "MINOR"])
LANGUAGES: Final = frozenset(
    ["zh", "en", "ar", "hi", "es", "fr", "ru", "pt", "id", "de", "ja", "tr", "vi", "it", "th", "tl", "ko", "ms"]
)

_ENVELOPE: Final = {"accessKey", "appId", "eventId", "type", "businessType", "acceptLang", "data"}
_FILE: Final = _ENVELOPE | {"contentType", "content", "btId"}
_FILE_DATA: Final = frozenset(
    [
        "tokenId",
        "formatInfo",
        "rate",
        "track",
        "returnAllText",
        "audioDetectStep",
        "lang",
        "room",
        "ip",
        "extra",
        "deviceId",
        "nickname",
    ]
)
_STREAM_DATA: Final = frozenset(
    [
        "tokenId",
        "btId",
        "streamType",
        "url",
        "lang",
        "room",
        "returnAllText",
        "returnPreText",
        "returnPreAudio",
        "returnFinishInfo",
        "audioDetectStep",
        "extra",
        "deviceId",
        "ip",
        "level",
        "gender",
        "receiveTokenId",
        "liveTitle",
        "anchorName",
        "initDomain",
    ]
)
_IMAGE_DATA: Final = frozenset(["tokenId", "imgs", "lang", "maxFrame", "interval", "dataId", "streamInfo", "extra"])
_TOKEN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_REQUEST_BYTES: Final = 18_000_000
_MAX_BASE64: Final = 15_000_000
_MAX_IMAGE_DATA: Final = 10_000_000
_MAX_STREAM_DATA: Final = 1_000_000
_MAX_IMAGES: Final = 12
_MAX_BT_ID: Final = 128
_MAX_IMAGE_BT_ID: Final = 30


def said(code: int, request_id: str, message: str = "", **fields: Any) -> dict[str, Any]:
    """Return an answer with this code."""
    return {"code": code, "message": message or MESSAGES[code], "requestId": request_id, **fields}


def demand(holds: object, message: str, code: int = 1902) -> None:
    """Raise what the vendor answers unless `holds`."""
    if not holds:
        raise Refusal(Told({"code": code, "message": message, "requestId": "refused"}))


def parse(body: bytes, content_type: str) -> dict[str, Any]:
    """Return a request's fields."""
    demand(content_type.split(";", maxsplit=1)[0] == "application/json", "the body is application/json")
    demand(len(body) <= _MAX_REQUEST_BYTES, "the request is larger than 18 MB")
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    demand(isinstance(fields, dict), "the body is no JSON object")
    return dict(fields or {})


def check_file(fields: Mapping[str, Any], *, sync: bool) -> None:
    """Check a request about a sound."""
    _only(fields, _FILE if sync else _FILE | {"callback", "translationTargetLang"})
    _check_types(fields, AUDIO_TYPES)
    _check_bt_id(fields.get("btId"), _MAX_BT_ID)
    demand(fields.get("contentType") in {"URL", "RAW"}, "contentType is URL or RAW")
    content = fields.get("content")
    demand(isinstance(content, str) and content, "content is required")
    data = _data(fields, _FILE_DATA)
    demand(data.get("lang", "zh") in LANGUAGES, "lang is not known")
    demand(data.get("returnAllText", 0) in {0, 1}, "returnAllText is 0 or 1")
    if fields["contentType"] == "RAW":
        demand(len(str(content)) <= _MAX_BASE64, "content is larger than 15 MB")
        known = {"pcm", "wav", "mp3"}
        demand(data.get("formatInfo") in known, "formatInfo is pcm, wav or mp3")
        if data["formatInfo"] == "pcm":
            demand(data.get("rate") in range(8000, 32001) and data.get("track") in {1, 2}, "pcm needs rate and track")


def check_images(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Check a request about pictures; return them."""
    _only(fields, _ENVELOPE)
    _check_types(fields, IMAGE_TYPES)
    data = _data(fields, _IMAGE_DATA)
    demand(len(json.dumps(data)) <= _MAX_IMAGE_DATA, "data is larger than 10 MB")
    demand(data.get("lang", "zh") in {"zh", "en", "ar"}, "lang is zh, en or ar")
    images = data.get("imgs")
    demand(isinstance(images, list) and 0 < len(images) <= _MAX_IMAGES, "imgs has 1 to 12 images")
    for image in images or ():
        demand(isinstance(image, dict) and set(image) == {"img", "btId"}, "an image has img and btId")
        _check_bt_id(image["btId"], _MAX_IMAGE_BT_ID)
        demand(isinstance(image["img"], str) and image["img"], "img is required")
    ids = [image["btId"] for image in images or ()]
    demand(len(set(ids)) == len(ids), "btId is unique")
    return list(images or ())


def check_stream(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a request to pull a stream; return its data."""
    _only(fields, _ENVELOPE | {"callback"})
    _check_types(fields, AUDIO_TYPES)
    callback = fields.get("callback")
    demand(isinstance(callback, str) and callback.startswith(("http://", "https://")), "callback is an http(s) URL")
    data = _data(fields, _STREAM_DATA)
    demand(len(json.dumps(data)) <= _MAX_STREAM_DATA, "data is larger than 1 MB")
    _check_bt_id(data.get("btId"), _MAX_BT_ID)
    demand(data.get("streamType") == "NORMAL", "this server pulls streamType NORMAL alone")
    url = data.get("url")
    demand(isinstance(url, str) and re.match(r"(?:rtmps?|https?)://", url), "url is rtmp(s) or http(s)")
    demand(data.get("lang") in LANGUAGES, "lang is required")
    for switch in ("returnAllText", "returnFinishInfo"):
        demand(data.get(switch, 0) in {0, 1}, f"{switch} is 0 or 1")
    return data


def check_query(fields: Mapping[str, Any]) -> str:
    """Check a question after a sound; return its btId."""
    _only(fields, {"accessKey", "btId"})
    _check_bt_id(fields.get("btId"), _MAX_BT_ID)
    return str(fields["btId"])


def check_finish(fields: Mapping[str, Any]) -> str:
    """Check the closing of a stream; return its id."""
    _only(fields, {"accessKey", "requestId"})
    demand(isinstance(fields.get("requestId"), str) and fields["requestId"], "requestId is required")
    return str(fields["requestId"])


def decode(content: str) -> bytes:
    """Return what base64 text holds; a ``data:`` prefix is not taken."""
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(Told({"code": 1902, "message": "content is no base64", "requestId": "refused"})) from None


def _only(fields: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(fields) - known)
    demand(not unknown, f"unknown fields: {', '.join(unknown)}")


def _data(fields: Mapping[str, Any], known: frozenset[str]) -> Mapping[str, Any]:
    data = fields.get("data")
    demand(isinstance(data, dict), "data is required")
    _only(data or {}, set(known))
    token_id = (data or {}).get("tokenId")
    demand(isinstance(token_id, str) and _TOKEN_ID.fullmatch(token_id), "tokenId is 1 to 64 letters, digits, - and _")
    extra = (data or {}).get("extra", {})
    demand(isinstance(extra, dict) and isinstance(extra.get("passThrough", {}), dict), "extra.passThrough is an object")
    return data or {}


def _check_types(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    kinds, business = fields.get("type", ""), fields.get("businessType", "")
    demand(isinstance(kinds, str) and isinstance(business, str), "type and businessType are words")
    demand(kinds or business, "type or businessType is required")
    demand(not kinds or set(kinds.split("_")) <= known, "type has a word that is not known")
    told = set(business.split("_")) if business else set()
    demand(told <= BUSINESS_TYPES, "businessType has a word that is not known")
    demand(not told & {"TIMBRE", "SING", "LANGUAGE"} or "GENDER" in told, "TIMBRE, SING and LANGUAGE need GENDER")


def _check_bt_id(bt_id: Any, longest: int) -> None:
    demand(isinstance(bt_id, str) and 0 < len(bt_id) <= longest, f"btId has 1 to {longest} characters")
