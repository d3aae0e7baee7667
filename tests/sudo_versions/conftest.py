"""./test sudo-versions: the plugin on other releases' sudo."""
from tests.system.conftest import build, pytest_configure, stage  # noqa: F401
