"""A server that keeps Visionular's contract on loopback: live streams, their audit settings, records, an RTMP ingest.

A file that is pushed to the ingest under a stream's key is decoded as it comes; every `frame_interval` seconds of real
time a picture is judged and becomes a moderation record, as at the vendor. What the vendor's pages leave open can be
set: order and delay of records, the largest page, `message` or `msg`.

    with VisionularServer(judge=judge) as server:
        ...                       # create a stream, push to f"{server.ingest_url}/{stream_key}"
        assert server.open_streams == [] and server.tokens_used == 4
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import TYPE_CHECKING, Any

from batch_scan.sandbox import faults
from batch_scan.sandbox.vendor import Seen, Told, VendorServer
from batch_scan.sandbox.visionular.contract import (
    ALERT_TYPES,
    Problem,
    check_audit,
    check_create,
    demand,
    paging,
    parse_body,
)
from batch_scan.sandbox.visionular.ingest import APP, Ingest
from batch_scan.sandbox.visionular.publishing import StreamPublication, tell
from batch_scan.sandbox.visionular.streams import LiveStream, Record, Session, detections, event_of, record_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from starlette.requests import Request

    from batch_scan.sandbox.faults import Fault
    from batch_scan.sandbox.judge import Judge

DEFAULT_TOKEN = "vs-token-0123456789abcdef"  # noqa: S105 - of a server on loopback
DEFAULT_ACCESS_KEY = "vs-access-0123456789"
DEFAULT_SECRET_KEY = "vs-secret-0123456789"  # noqa: S105

_STREAMS = "/live/v1/live-streams"


class VisionularServer(VendorServer):
    """See the module. Attributes may be changed while it runs. A token is a second of stream received, begun."""

    name = "visionular"

    def __init__(
        self,
        *,
        judge: Judge,
        token: str = DEFAULT_TOKEN,
        access_key: str = DEFAULT_ACCESS_KEY,
        secret_key: str = DEFAULT_SECRET_KEY,
        account: str = "n2h243q7",
        records_late_s: float = 0.0,
        newest_first: bool = True,
        max_limit: int = 100,
        message_key: str = "message",
        webhook_url: str = "",
        webhook_wait_s: float = 60.0,
        rtmp_port: int = 0,
        rate_limit: int = 60_000,
        rate_window_s: float = 60.0,
        delay_s: float = 0.0,
    ) -> None:
        """Prepare a server.

        Args:
            judge: who judges pictures.
            token: the only bearer token that is right.
            access_key: of basic authentication.
            secret_key: of basic authentication.
            account: eight characters that begin the name of every session.
            records_late_s: how long after its frame a record is listed.
            newest_first: order of the records; False is oldest first.
            max_limit: most rows of one page, whatever is asked for.
            message_key: ``message``, or ``msg`` as older answers have it.
            webhook_url: where `audit_check` events go, as the vendor's console holds it; empty is nowhere.
            webhook_wait_s: how long before an event that was not answered with 200 is sent again.
            rtmp_port: of the ingest; 0 takes a free one.
            rate_limit: new streams per minute; over any `rate_window_s`, its share is enforced.
            rate_window_s: length of the sliding window.
            delay_s: how long an answer takes.
        """
        super().__init__(rate_limit=rate_limit, rate_window_s=rate_window_s, delay_s=delay_s)
        self.judge = judge
        self.token = token
        self.access_key = access_key
        self.secret_key = secret_key
        self.account = account
        self.records_late_s = records_late_s
        self.newest_first = newest_first
        self.max_limit = max_limit
        self.message_key = message_key
        self.webhook_url = webhook_url
        self.webhook_wait_s = webhook_wait_s
        self.streams: dict[str, LiveStream] = {}
        """Every live stream there has been, by id."""
        self.sessions: list[Session] = []
        """Every time that somebody published."""
        self.stopped_sessions: list[str] = []
        """Names of the sessions whose audit task was stopped by a request."""
        self.events_sent: list[dict[str, Any]] = []
        self._records: list[Record] = []
        self._ingest = Ingest(self._begin, rtmp_port)
        self._background: set[asyncio.Task[None]] = set()

    # ----------------------------------------------------------------------------------------------- what tests ask

    @property
    def secrets(self) -> Mapping[str, str]:
        """See `VendorServer.secrets`."""
        return {"VISIONULAR_ACCESS_TOKEN": self.token}

    @property
    def table(self) -> Mapping[str, Any]:
        """See `VendorServer.table`. A film of one picture has no records: a trial need not wait minutes for them."""
        return {"base_url": self.url, "ingest_url": self.ingest_url, "settle_max_s": 60.0 + self.records_late_s}

    @property
    def ingest_url(self) -> str:
        """Where streams are pushed to, without the key. Known once it has started."""
        return f"rtmp://127.0.0.1:{self._ingest.port}/{APP}"

    @property
    def open_streams(self) -> list[str]:
        """Ids of the streams that are enabled, have audit settings, or are published to."""
        return [stream.id for stream in list(self.streams.values()) if stream.is_open]

    @property
    def open_audit_tasks(self) -> list[str]:
        """Names of the sessions whose audit task is still open: not stopped, and its stream's settings not deleted."""
        return [session.id for session in list(self.sessions) if session.task_open]

    @property
    def open_sessions(self) -> list[str]:
        """Names of the sessions in which somebody publishes now."""
        return [session.id for session in list(self.sessions) if session.publishing]

    # ----------------------------------------------------------------------------------------------------- serving

    async def _serve(self, listening: socket.socket) -> None:
        async with self._ingest:
            try:
                await super()._serve(listening)
            finally:
                for task in list(self._background):
                    task.cancel()
                await asyncio.gather(*self._background, return_exceptions=True)

    def judges(self, method: str, path: str) -> bool:
        """See `VendorServer.judges`: what has a file judged is the stream that is made for it."""
        return (method, path) == ("POST", _STREAMS)

    def refusal(self, status: int) -> Fault:
        """See `VendorServer.refusal`."""
        told = {"request_id": "req-0", "code": status, self.message_key: "refused on demand"}
        return faults.status(status, json.dumps(told).encode())

    def tokens_of_fault(self, seen: Seen) -> int:  # noqa: ARG002 - playing costs, not asking
        """See `VendorServer.tokens_of_fault`."""
        return 0

    async def answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        """See `VendorServer.answer`; an envelope with the status as its code where the contract is broken."""
        try:
            return self._answer(request, seen, body)
        except Problem as problem:
            return self._told(None, str(problem), code=problem.status, status=problem.status)

    def _told(self, data: Any, message: str = "success", *, code: int = 0, status: int = 200) -> Told:
        has_data = {} if data is None else {"data": data}
        return Told({"request_id": f"req-{self.noted}", "code": code, self.message_key: message, **has_data}, status)

    def _answer(self, request: Request, seen: Seen, body: bytes) -> Told:
        self._check_key(request)
        content_type = request.headers.get("content-type", "")
        match seen.method, seen.path:
            case "POST", "/live/v1/live-streams":
                return self._create(seen, parse_body(body, content_type))
            case "GET", "/live/v1/live-streams":
                return self._listed_streams(seen.query)
            case "POST", "/audit/v1/tasks/stop-audit-task":
                return self._stop_task(parse_body(body, content_type))
            case "GET", "/audit/v1/records/moderation-records":
                return self._listed(seen.query)
        demand(seen.path.startswith(f"{_STREAMS}/"), "there is nothing here", 404)
        return self._answer_one(seen, body, content_type)

    def _answer_one(self, seen: Seen, body: bytes, content_type: str) -> Told:
        stream_id, *rest = seen.path.removeprefix(f"{_STREAMS}/").split("/")
        stream = self.streams.get(stream_id)
        if stream is None:
            raise Problem(404, "there is no such live stream")
        match seen.method, rest:
            case "GET", []:
                return self._told(stream.told)
            case "PUT", ["enable" | "disable" as wanted]:
                return self._enable(stream, enabled=wanted == "enable")
            case "PUT", ["audit-settings"]:
                return self._change_audit(stream, parse_body(body, content_type))
            case "DELETE", ["audit-settings"]:
                return self._delete_audit(stream)
        raise Problem(404, "there is nothing here")

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        pair = base64.b64encode(f"{self.access_key}:{self.secret_key}".encode()).decode()
        basic = request.headers.get("auth-type") == "use-basic"
        right = given == (f"Basic {pair}" if basic else f"Bearer {self.token}")
        demand(right, "the token is missing or wrong", 401)

    # ----------------------------------------------------------------------------------------------------- streams

    def _create(self, seen: Seen, fields: dict[str, Any]) -> Told:
        check_create(fields)
        wait_s = self.over_rate_s(seen)
        demand(wait_s is None, "too many requests", 429)
        seen.fields = fields
        stream = self.create_stream(fields.get("user_metadata", ""), fields.get("audit_settings"))
        stream.extra = {
            name: value for name, value in fields.items() if name not in {"user_metadata", "audit_settings"}
        }
        return self._told(stream.told)

    def create_stream(self, metadata: str = "", audit: dict[str, Any] | None = None) -> LiveStream:
        """Make a live stream, as a request or a visit to the console does."""
        stream = LiveStream(metadata, audit)
        self.streams[stream.id] = stream
        return stream

    def _listed_streams(self, query: Mapping[str, str]) -> Told:
        page, limit = paging(query, frozenset(), self.max_limit)
        rows = [stream.told for stream in self.streams.values()]
        return self._told(rows[::-1][(page - 1) * limit : page * limit])

    def _enable(self, stream: LiveStream, *, enabled: bool) -> Told:
        stream.enabled = enabled
        if not enabled:
            self._ingest.send_away(stream.key)
        return self._told({})

    def _change_audit(self, stream: LiveStream, fields: dict[str, Any]) -> Told:
        demand(set(fields) == {"audit_settings"}, "the body holds audit_settings")
        check_audit(fields["audit_settings"])
        stream.audit = fields["audit_settings"]
        return self._told({"live_stream_id": stream.id, "audit_settings": stream.audit})

    def _delete_audit(self, stream: LiveStream) -> Told:
        stream.audit = None
        for session in self.sessions:
            session.task_open = session.task_open and session.stream is not stream
        return Told(None, 204)

    def _stop_task(self, fields: dict[str, Any]) -> Told:
        demand(set(fields) == {"stream_session_id"}, "the body holds stream_session_id")
        named = [session for session in self.sessions if session.id == fields["stream_session_id"]]
        demand(named, "there is no such session", 404)
        self.stopped_sessions.append(named[-1].id)
        named[-1].task_open = False
        return self._told(None, "stop audit task success")

    def _listed(self, query: Mapping[str, str]) -> Told:
        page, limit = paging(query, frozenset({"stream_session_id", "alert_type"}), self.max_limit)
        session, alert = query.get("stream_session_id"), query.get("alert_type")
        demand(alert is None or alert in ALERT_TYPES, "alert_type is nude or weapon")
        now_s = time.monotonic()
        rows = [record.told for record in self._records if record.visible_s <= now_s]
        rows = [row for row in rows if session in {None, row["channel_id"]}]
        rows = [row for row in rows if alert is None or f'"{alert}"' in row["detect_info"]]
        rows = rows[::-1] if self.newest_first else rows
        return self._told(rows[(page - 1) * limit : page * limit], "get audit records success")

    # --------------------------------------------------------------------------------------------------- publishing

    def _begin(self, key: str) -> StreamPublication | None:
        stream = next((one for one in self.streams.values() if one.key == key and one.enabled), None)
        if stream is None:
            return None
        session = Session(stream, self.account, task_id=len(self.sessions) + 1, task_open=stream.audit is not None)
        self.sessions.append(session)
        stream.publishing = True
        with self._changed:
            self._changed.notify_all()
        return StreamPublication(self, session)

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """Every moderation record there is, in the order of its pictures, also those that are not listed yet."""
        return [record.told for record in list(self._records)]

    def wait_for_sessions(self, number: int, timeout_s: float = 20.0) -> None:
        """Block until somebody has begun to publish this many times. From asynchronous tests: in a thread."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.sessions) >= number, timeout_s):
                raise TimeoutError(f"fewer than {number} sessions began")

    def wait_until_quiet(self, timeout_s: float = 20.0) -> None:
        """Block until nobody publishes. From asynchronous tests: in a thread."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self.open_sessions, timeout_s):
                raise TimeoutError("somebody still publishes")

    async def look(self, session: Session, picture: bytes, audit: Mapping[str, Any], arrived_s: float) -> None:
        """Judge one picture of a session, and list what was found."""
        found = detections(audit, await asyncio.to_thread(self.judge.picture, picture))
        record = record_of(session, found, arrived_s, self.records_late_s)
        self._records.append(record)
        event = event_of(session, record.told, found)
        if event is not None and self.webhook_url and await tell(self.webhook_url, event, self.webhook_wait_s):
            self.events_sent.append(event)

    def keep(self, work: asyncio.Task[None]) -> None:
        """Hold on to work that goes on in the background; what it raises is a bug, which `stop` reports."""
        self._background.add(work)
        work.add_done_callback(self._over)

    def _over(self, work: asyncio.Task[None]) -> None:
        self._background.discard(work)
        error = None if work.cancelled() else work.exception()
        if error is not None:
            self.errors.append(error)

    def ended(self, session: Session) -> None:
        """Write down that a publisher is gone, and what its time cost."""
        session.publishing = session.stream.publishing = False
        with self._changed:
            self.tokens_used += session.tokens
            self._changed.notify_all()
