"""What a transcriber is: a `Service` that takes audio chunks and gives utterances."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from batch_scan.endpoint.interface import Service

if TYPE_CHECKING:
    from batch_scan.model import Answer, Request, Shortfall, Utterance


class Transcriber(Service):
    """What turns audio chunks into utterances. Asked, paid for and remembered just as an endpoint is."""

    @abstractmethod
    def read(self, request: Request, answer: Answer) -> list[Utterance]:
        """Make utterances of an answer, in seconds of the file. Pure.

        No utterance at all means that nothing was said. Raises EndpointError (`REFUSED`) where the
        answer cannot be read.
        """

    def shortfall(self, request: Request, answer: Answer) -> Shortfall | None:  # noqa: ARG002 - for those who override
        """Return what was said but not understood, such as another language; None where everything was.

        Stands beside the utterances of `read`: they hold what was understood, and possibly wild guesses at the rest. A
        file with a shortfall is not wholly examined. Pure; raises EndpointError (`REFUSED`) where the answer cannot be
        read.
        """
        return None
