"""Finds out whether a receiver can be reached under its public URL, by posting to it as a vendor would."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from batch_scan.callbacks.receiver import Receiver

_SERVICE = "doctor"
_SUBJECT = "reach"
_TIMEOUT_S = 10.0


async def reach(receiver: Receiver) -> str:
    """Post to the receiver's own URL; return why it did not arrive, empty where it did.

    What this machine cannot reach others may, and the other way round: networks differ. Raises UsageError where
    nothing can listen.
    """
    sent = secrets.token_hex(16).encode()
    box = receiver.mailbox(_SERVICE, lambda _headers, body: _SUBJECT if body == sent else None)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
            reply = await client.post(box.url, content=sent)
    except (httpx.HTTPError, OSError) as error:
        return type(error).__name__  # and not its words: the path is nobody's business
    try:
        await box.next(_SUBJECT, 0.0)
    except TimeoutError:
        return f"something answers {reply.status_code} there, and does not hand it on to {receiver.local_url}"
    finally:
        box.forget(_SUBJECT)
    return ""
