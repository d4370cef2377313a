from __future__ import annotations

import pytest

from batch_scan.errors import UsageError
from batch_scan.sandbox.registry import SERVERS, make_server
from batch_scan.sandbox.vendor import VendorServer
from tests.sandbox.scripted import ScriptedJudge


@pytest.mark.parametrize("name", list(SERVERS))
def test_every_server_is_made_by_name_with_a_judge(name: str) -> None:
    server = make_server(name, ScriptedJudge())
    assert isinstance(server, VendorServer)
    assert server.name == name
    assert server.parent in {"endpoints", "transcribe"}
    assert all(variable.startswith(f"{name.upper()}_") for variable in server.secrets)


def test_another_name_is_an_error_of_use_that_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="no server 'nobody'; there are: safecomms, stream, deepgram"):
        make_server("nobody", ScriptedJudge())
