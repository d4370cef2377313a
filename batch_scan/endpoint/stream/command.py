"""The commands `batch-scan policy` and `batch-scan review`: their arguments, and what they do."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.answer_json import parse_json
from batch_scan.endpoint.stream.client import StreamClient
from batch_scan.endpoint.stream.config import StreamConfig
from batch_scan.endpoint.stream.policy import policy_text, push_policy, read_policy, unknown_image_labels
from batch_scan.endpoint.stream.review import ACTIONS, act, review_items, table_text, write_parquet
from batch_scan.errors import EndpointError, UsageError
from batch_scan.jobfile import load_job
from batch_scan.totals import Exit
from batch_scan.untrusted import clean_text, show_path

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine

_log = logging.getLogger(__name__)

_SHOWN_ITEMS = 50
_FILTERS = ("status", "entity_type", "recommended_action")


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `batch-scan policy`."""
    parser.add_argument("act", choices=("push", "show"), help="write the job's policy to Stream, or read it back")
    parser.add_argument("job", type=Path, metavar="JOB", help="job file (TOML) with [endpoints.stream]")
    parser.add_argument("--json", action="store_true", help="the policy as JSON, as Stream keeps it")


def run_policy(arguments: argparse.Namespace) -> int:
    """Run `batch-scan policy` and return its exit code. Raises UsageError."""
    config = _stream_table(arguments.job)
    if arguments.act == "push" and config.policy.is_empty:
        raise UsageError(f"{arguments.job}: [endpoints.stream] has no policy to push; see docs/endpoints/stream.md")
    return _told(_policy(config, push=arguments.act == "push", as_json=arguments.json))


def add_review(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `batch-scan review`."""
    parser.add_argument("job", type=Path, metavar="JOB", help="job file (TOML) with [endpoints.stream]")
    parser.add_argument("--status", metavar="WORD", help="only items whose check is partial, or complete")
    parser.add_argument("--entity-type", metavar="TYPE", help="only this kind of content, such as external:call")
    parser.add_argument("--recommended-action", metavar="WORD", help="only what Stream would flag, remove, …")
    parser.add_argument(
        "--limit", type=int, metavar="N", help=f"items at most (default: {_SHOWN_ITEMS}, all with --parquet)"
    )
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="write the items to this Parquet file too")
    parser.add_argument("--action", choices=ACTIONS, metavar="TYPE", help=f"submit this: {', '.join(ACTIONS)}")
    parser.add_argument("--item", metavar="ID", help="the item that --action is about")
    parser.add_argument("--options", default="{}", metavar="JSON", help="the action's own options, a JSON object")


def run_review(arguments: argparse.Namespace) -> int:
    """Run `batch-scan review` and return its exit code. Raises UsageError."""
    if (arguments.action is None) != (arguments.item is None):
        raise UsageError("--action and --item go together: what is to be done, and with which item")
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError("--limit is at least 1")
    options = _options(arguments.options)
    given = {name: getattr(arguments, name) for name in _FILTERS}
    _check_sendable(arguments.item, options, given)
    config = _stream_table(arguments.job)
    if arguments.action is not None:
        return _told(_act(config, arguments.action, arguments.item, options))
    filters = {name: value for name, value in given.items() if value is not None}
    most = arguments.limit if arguments.limit is not None or arguments.parquet is not None else _SHOWN_ITEMS
    return _told(_list(config, filters, most, arguments.parquet))


def _options(text: str) -> dict[str, Any]:
    try:
        options = parse_json(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise UsageError('--options is a JSON object, such as {"decision_reason": "seen"}')
    return options


def _check_sendable(*given: Any) -> None:
    """Raise UsageError for text that is no text: bytes of the command line that are not UTF-8, halves of characters."""
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError("an argument holds characters that cannot be sent") from None


def _stream_table(job_file: Path) -> StreamConfig:
    config = load_job(str(Path.cwd()), job_file).job.endpoints.get("stream")
    if not isinstance(config, StreamConfig):
        raise UsageError(f"{job_file}: there is no [endpoints.stream]")
    return config


def _told(doing: Coroutine[Any, Any, str]) -> int:
    """Do it, and write what it says to standard output."""
    try:
        said = asyncio.run(doing)
    except EndpointError as error:
        _log.error("%s", clean_text(error.detail))
        return Exit.ENDPOINT_REFUSED
    sys.stdout.write(said)
    return Exit.CLEAN


async def _policy(config: StreamConfig, *, push: bool, as_json: bool) -> str:
    async with StreamClient(config) as client:
        kept = await (push_policy(client, config) if push else read_policy(client, config))
    for label in unknown_image_labels(config, kept):
        _log.warning("Stream does not list %r among its image labels: the rule may never apply", label)
    return json.dumps(kept, indent=2) + "\n" if as_json else policy_text(kept)


async def _list(config: StreamConfig, filters: dict[str, Any], most: int | None, parquet: Path | None) -> str:
    async with StreamClient(config) as client:
        items = review_items(client, filters, most)
        if parquet is None:
            return table_text([item async for item in items])
        try:
            first, count = await write_parquet(items, parquet, _SHOWN_ITEMS)
        except OSError as error:
            raise UsageError(f"{show_path(str(parquet))} cannot be written ({error.strerror})") from None
    more = f"and {count - len(first)} more\n" if count > len(first) else ""
    return f"{table_text(first)}{more}{count} items written to {show_path(str(parquet))}\n"


async def _act(config: StreamConfig, action: str, item_id: str, options: dict[str, Any]) -> str:
    async with StreamClient(config) as client:
        item = await act(client, action, item_id, options)
    return f"{action} submitted for {clean_text(item_id)}\n" + (table_text([item]) if item is not None else "")
