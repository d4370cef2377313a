"""Every vendor's server at once, judged by what is true by construction, and a job that asks them all."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tomli_w

from batch_scan.sandbox.judge import Opinion
from batch_scan.sandbox.registry import SERVERS, make_server
from batch_scan.sandbox.tryout import job_tables, write_tryout
from batch_scan.vocabulary import Category
from tests.corpus_media import make
from tests.sandbox.judges import Red
from tests.sandbox.scripted import ScriptedJudge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from batch_scan.sandbox.judge import Judge
    from batch_scan.sandbox.vendor import VendorServer

INSULT_HZ, CHAT_HZ = 880.0, 440.0
INSULT, CHAT = "you are an idiot", "the weather is fine"
RED_S, INSULT_S = (4.0, 8.0), (5.0, 6.5)
"""Where in `film` the picture is red, and where the insult is said."""
LENGTH_S = 12.0


def scripted_judge() -> ScriptedJudge:
    """Return a judge to whom red is nudity and one tone is an insult."""
    return ScriptedJudge(
        pictures={Red: [Opinion(Category.NUDITY, 0.95)]},
        words={"idiot": [Opinion(Category.HARASSMENT, 0.95, "idiot")]},
        tones={INSULT_HZ: INSULT, CHAT_HZ: CHAT},
    )


def film(path: Path, *, clean: bool = False) -> Path:
    """Make a film of `LENGTH_S`: grey, red, grey; a chat, an insult, a chat. Or all grey and all chat."""
    red = "gray" if clean else "red"
    said = CHAT_HZ if clean else INSULT_HZ
    colours = [("gray", RED_S[0]), (red, RED_S[1] - RED_S[0]), ("gray", LENGTH_S - RED_S[1])]
    tones = [(CHAT_HZ, 1.5), (0, 3.5), (said, INSULT_S[1] - INSULT_S[0]), (0, 3.0), (CHAT_HZ, 1.5), (0, 1.0)]
    inputs = [
        word
        for colour, length_s in colours
        for word in ("-f", "lavfi", "-i", f"color={colour}:s=320x240:r=10:d={length_s}")
    ]
    for hz, length_s in tones:
        source = f"sine=frequency={hz:g}:duration={length_s}" if hz else f"anullsrc=r=44100:cl=mono:d={length_s}"
        inputs += ["-f", "lavfi", "-i", source]
    joined = "".join(f"[{at}:v]" for at in range(3)) + "concat=n=3:v=1[v];"
    joined += "".join(f"[{at}:a]" for at in range(3, 9)) + "concat=n=6:v=0:a=1[a]"
    args = ("-filter_complex", joined, "-map", "[v]", "-map", "[a]", "-pix_fmt", "yuv420p", "-g", "10")
    return make(path, *inputs, *args)


@dataclass(slots=True)
class Sandbox:
    """The servers by name."""

    servers: dict[str, VendorServer]

    @property
    def left_open(self) -> dict[str, Any]:
        """What clients opened and did not close, by server."""
        return {name: dict(server.left_open) for name, server in self.servers.items() if server.left_open}

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens charged, by the report's word for the service."""
        named = {
            f"transcribe.{name}" if one.parent == "transcribe" else name: one for name, one in self.servers.items()
        }
        return {name: server.tokens_used for name, server in named.items()}

    def write(self, directory: Path, source: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
        """Write a job that asks every server, with the keys beside it; `change` may alter its tables."""
        servers = list(self.servers.values())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        written = write_tryout(directory, servers, str(source), port)
        tables = job_tables(servers, str(source), port)
        change(tables)
        written.job_file.write_text(tomli_w.dumps(tables))
        return written.job_file


@contextlib.contextmanager
def sandbox(judge: Judge | None = None, names: Sequence[str] = tuple(SERVERS)) -> Iterator[Sandbox]:
    """Serve the named vendors."""
    with contextlib.ExitStack() as stack:
        judge = judge or scripted_judge()
        yield Sandbox({name: stack.enter_context(make_server(name, judge)) for name in names})
