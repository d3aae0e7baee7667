"""A further witness of the log, over HTTP: its cosignatures are on the heads, it is given what it needs, and holds nobody up."""
import re
import time

import pytest

from .lib.fleet import Fleet
from .lib.host import eventually
from .lib.hub import Hub
from .lib.hub_fixtures import WIDE
from .lib.log_files import Head, tlog
from .lib.witness import Witness


@pytest.fixture
def witness():
    w = Witness()
    yield w
    w.close()


@pytest.fixture
def hub(build, witness):
    fleet = Fleet()
    tables = f'[[witness]]\nurl = "{witness.url}"\nvkey = "{witness.key.vkey}"\n'
    with Hub(build, fleet, limits=WIDE, tables=tables, policy=False) as h:
        witness.log_vkey = re.search(r"^log\s+(\S+)$", h.keys, re.M)[1]
        h.post_policy()
        yield h
    fleet.close()


def head(hub, witness):
    """The published head; by whom it is cosigned."""
    note = hub.get("/checkpoint").body
    return Head(note, [witness.log_vkey, witness.key.vkey])


def cosigned(hub, witness):
    h = head(hub, witness)
    return h.size if h.cosigned_at else 0


def test_every_head_is_cosigned(hub, witness):
    for n in range(5):
        answer = hub.post(hub.fleet.request())
        assert answer.status == 200
        assert cosigned(hub, witness) == hub.size() == witness.size, f"statement {n}: the answer comes after the witness's"


def test_a_witness_with_another_memory(hub, witness):
    """It has forgotten, or knows less than the hub believes: it says how much, and gets the proof from there."""
    hub.post(hub.fleet.request())
    witness.size, witness.root = 0, tlog.EMPTY
    hub.post(hub.fleet.request())
    eventually("cosigned again", lambda: cosigned(hub, witness) == hub.size(), within=10)
    hub.restart()
    hub.post(hub.fleet.request())
    eventually("after a restart", lambda: cosigned(hub, witness) == hub.size() == witness.size, within=10)


def test_slow_and_out_of_order(hub, witness):
    witness.delay = 3.0
    began = time.monotonic()
    hub.post(hub.fleet.request())
    assert time.monotonic() - began < 2.0, "waited for a second at most"
    assert cosigned(hub, witness) == 0
    eventually("its answer is published when it is there", lambda: cosigned(hub, witness) == hub.size(), within=10)
    witness.delay, witness.broken = 0.0, True
    hub.post(hub.fleet.request())
    began = time.monotonic()
    assert hub.post(hub.fleet.request()).status == 200 and time.monotonic() - began < 1.0, "one that fails is not waited for"
    assert "witness" in hub.said()
    witness.broken = False
    hub.post(hub.fleet.request())
    eventually("and is asked again", lambda: cosigned(hub, witness) == hub.size(), within=10)


def test_a_witness_that_refuses(hub, witness):
    """It has seen another history: it never cosigns this one, and the log goes on with those that do."""
    hub.post(hub.fleet.request())
    witness.root = b"\x01" * 32
    assert hub.post(hub.fleet.request()).status == 200
    eventually("it is told", lambda: "422" in hub.said() or "consist" in hub.said() or "another" in hub.said(), within=10)
    assert cosigned(hub, witness) == 0
