"""The queue before the workers: every ticket is taken once, by whichever worker is free."""

from __future__ import annotations

import os
import subprocess
import sys

from warning.forecasting.tickets import MOST_UNTAKEN, ticket, tickets

TAKER = "from warning.forecasting.tickets import tickets; print(*tickets(0))"


def test_two_processes_take_every_ticket_once() -> None:
    taken, given = os.pipe()
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKER], stdin=taken, stdout=subprocess.PIPE) for _ in range(2)
    ]
    os.close(taken)
    with os.fdopen(given, "wb", buffering=0) as pipe:
        for number in range(20_000):
            pipe.write(ticket(number))
    found = [[int(word) for word in taker.communicate()[0].split()] for taker in takers]
    assert sorted(found[0] + found[1]) == list(range(20_000))
    assert all(own == sorted(own) for own in found)


def test_as_many_tickets_as_promised_wait_without_a_taker() -> None:
    taken, given = os.pipe()
    os.set_blocking(given, False)
    assert os.write(given, b"".join(map(ticket, range(MOST_UNTAKEN)))) == len(ticket(0)) * MOST_UNTAKEN
    os.close(given)
    assert list(tickets(taken)) == list(range(MOST_UNTAKEN))
    os.close(taken)
