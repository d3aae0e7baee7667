"""Fixtures of the tests that speak with a hallpass-hub of their own."""
import pytest

from .fleet import Fleet
from .hub import Hub

WIDE = "statements_per_minute = 1000000\nstatements_burst = 1000000\nlive_requests = 100000\n"


@pytest.fixture(scope="module")
def fleet():
    f = Fleet(people=("alice", "bob", "carol", "dave", "ana", "ben"))
    f.groups["sre"].append("dave")
    yield f
    f.close()


@pytest.fixture(scope="module")
def hub(build, fleet):
    """Shared by tests that neither stop it nor change its policy."""
    with Hub(build, fleet, limits=WIDE) as h:
        yield h


@pytest.fixture
def new_hub(build):
    made = []

    def make(**options):
        f = options.pop("fleet", None)
        if f is None:
            f = Fleet()
            made.append(f)
        made.append(Hub(build, f, **options))
        return made[-1]
    yield make
    for m in reversed(made):
        m.close()
