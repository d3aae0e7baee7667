import subprocess

import pytest
from fleet import SK_SOURCE, Fleet


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


@pytest.fixture(scope="session")
def software_key(tmp_path_factory):
    """The middleware of a security key made of software, for ssh-keygen."""
    library = tmp_path_factory.mktemp("sk") / "sk_soft.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", str(library), SK_SOURCE, "-lcrypto"], check=True)
    return str(library)
