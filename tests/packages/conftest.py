"""./test packages: what is installed from packages, and what people do with it."""
from tests.system.conftest import build, pytest_configure, pytest_runtest_makereport, stage  # noqa: F401
