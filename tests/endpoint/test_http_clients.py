"""How a service's connections are shared out."""

from __future__ import annotations

from contextlib import ExitStack

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.http_clients import HttpClients


class Made:
    """Clients by how many connections they were made with."""

    def __init__(self) -> None:
        self.shares: dict[httpx.AsyncClient, int] = {}

    def client(self, connections: int) -> httpx.AsyncClient:
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
        self.shares[client] = connections
        return client


@given(st.integers(1, 200))
def test_as_many_requests_as_connections_never_wait_for_one(connections: int) -> None:
    made = Made()
    clients = HttpClients(connections, made.client)
    with ExitStack() as turns:
        taken = [turns.enter_context(clients.turn()) for _ in range(connections)]
    assert sum(made.shares.values()) == connections
    assert {client: taken.count(client) for client in made.shares} == made.shares


@pytest.mark.parametrize("connections", [1, 8, 34])
async def test_one_request_after_the_other_takes_the_same_connection(connections: int) -> None:
    clients = HttpClients(connections, Made().client)
    taken = []
    for _ in range(3):
        with clients.turn() as client:
            taken.append(client)
    assert len(set(taken)) == 1
    await clients.aclose()
    assert client.is_closed
