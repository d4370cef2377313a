"""SafeComms' requests as they travel: options to fields, samples to forms or JSON. Pure.

Options left at their default are not sent, so that a plan without them is not asked whether it has them.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from batch_scan.endpoint.safecomms.config import KeywordsEncoding, Send
from batch_scan.vocabulary import Medium

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_scan.endpoint.http import FilePart
    from batch_scan.endpoint.safecomms.config import SafeCommsConfig
    from batch_scan.model import Sample
    from batch_scan.table import Table

OPERATIONS: Mapping[Medium, str] = {Medium.AUDIO: "audio", Medium.FRAME: "image", Medium.STREAM: "audio"}
"""SafeComms' word for judging a kind of sample: the path's end and the field's name."""

_EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "image/jpeg": "jpg",
    "image/png": "png",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One POST, ready to be sent."""

    path: str
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str | list[str]] | None = None
    files: Mapping[str, FilePart] | None = None


def fields_of(config: SafeCommsConfig, medium: Medium, *, copied: bool = False) -> dict[str, Any]:
    """Return the fields of a request beside the sample, under the names they travel by.

    Of a file that is pulled, and of sound that was copied, the metadata are asked for in any case: they tell how much
    of it arrived.
    """
    options: Table = config.image if medium is Medium.FRAME else config.audio
    fields: dict[str, Any] = {"language": config.language}
    if config.moderation_profile_id is not None:
        fields["moderationProfileId"] = config.moderation_profile_id
    set_options = options.model_dump(mode="json", exclude_defaults=True)
    fields |= {to_camel(name): value for name, value in set_options.items()}
    return fields | {"extractMetadata": True} if copied or medium is Medium.STREAM else fields


def encode(config: SafeCommsConfig, sample: Sample) -> Call:
    """Return the call that carries a sample's bytes, the way `send` says; a whole file is named by its URL.

    SafeComms fetches http and https, with three redirects at most, within 30 s, from public addresses only.
    """
    operation = OPERATIONS[sample.medium]
    fields = fields_of(config, sample.medium, copied=sample.copied)
    if sample.medium is Medium.STREAM:
        return Call(path=f"moderation/{operation}", json={operation: sample.url, **fields})
    if sample.data is None:
        raise ValueError("the sample has no data to send")
    if config.send is Send.BASE64:
        content = base64.b64encode(sample.data).decode("ascii")
        return Call(path=f"moderation/{operation}", json={operation: content, **fields})
    form = {name: _form_value(value, config.keywords_encoding) for name, value in fields.items()}
    # The name is ours: how the user's file is called is nobody's business.
    file_name = f"sample.{_EXTENSIONS.get(sample.mime, 'bin')}"
    return Call(
        path=f"moderation/{operation}/upload",
        form=form,
        files={operation: (file_name, sample.data, sample.mime)},
    )


def _form_value(value: Any, keywords: KeywordsEncoding) -> str | list[str]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return value if keywords is KeywordsEncoding.REPEAT else json.dumps(value, ensure_ascii=False)
    return str(value)
