"""The policies that stand at Stream: what is there from the beginning, what is pushed, what is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_scan.sandbox.stream.contract import IMAGE_LABELS, demand
from batch_scan.sandbox.stream.queue import now_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY_KEY = "custom:archive"
JOB_POLICY: Mapping[str, Any] = {
    "ai_text": [
        {"label": "INSULT", "action": "flag"},
        {"label": "HATE_SPEECH", "action": "remove"},
        {"label": "THREAT", "action": "remove"},
        {"label": "SEXUAL_HARASSMENT", "action": "flag"},
        {"label": "SELF_HARM", "action": "flag"},
        {"label": "PII", "action": "mask_flag"},
        {"label": "SCAM", "action": "flag"},
    ],
    "block_lists": [{"name": "profanity_en", "action": "flag"}],
    "ai_image": [
        {"label": "Explicit", "action": "remove", "min_confidence": 60.0},
        {"label": "Non-Explicit Nudity", "action": "flag", "min_confidence": 60.0},
        {"label": "Violence", "action": "flag", "min_confidence": 60.0},
    ],
}
"""The rules that stand there from the beginning, as a job file says them."""


def pushed(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's rules as they are pushed."""
    return {
        "ai_text_config": {"rules": list(policy["ai_text"])},
        "block_list_config": {"rules": list(policy["block_lists"])},
        "ai_image_config": {"rules": list(policy["ai_image"])},
    }


class Policies:
    """Policies by key, as the vendor tells them."""

    def __init__(self, policies: Mapping[str, Mapping[str, Any]]) -> None:
        self.by_key: dict[str, dict[str, Any]] = {}
        for key, body in policies.items():
            self.keep({**body, "key": key})

    def keep(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write a policy; one that stands there is replaced. Returns what is told of it."""
        before = self.by_key.get(body["key"])
        kept = {
            "team": "",
            "async": False,
            **body,
            "created_at": before["created_at"] if before is not None else now_ns(),
            "updated_at": now_ns(),
            "supported_video_call_harm_types": [],
            "ai_image_label_definitions": [
                {"key": label.lower(), "label": label, "group": label, "description": label} for label in IMAGE_LABELS
            ],
        }
        self.by_key[body["key"]] = kept
        return kept

    def of(self, key: str, operation: str) -> dict[str, Any]:
        """Return a policy. Raises Refusal (404)."""
        demand(key in self.by_key, 404, f"{operation} failed with error: moderation config {key!r} does not exist")
        return self.by_key[key]
