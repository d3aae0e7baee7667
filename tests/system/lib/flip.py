"""Runs in a test host, as root: damages the snapshot one bit at a time and asks about logins each time.

Arguments: a JSON file with {"snapshot": path, "count": n, "seed": n, "near": [texts], "attempts": [[account, fingerprint, key line, may]]}.
Each attempt asks hallpass-keys as sshd does and then both PAM phases, the session phase with the key as SSH_AUTH_INFO_0. `may` tells
whether an undamaged snapshot admits it. Prints a JSON object: what went wrong, and how many attempts were admitted and refused.
"""
import json
import os
import random
import subprocess
import sys

KEYS = "/usr/libexec/hallpass/hallpass-keys"
config = json.load(open(sys.argv[1]))
path = config["snapshot"]
good = open(path, "rb").read()
rng = random.Random(config["seed"])

# Half of the flips hit where records' keys and values lie, half anywhere in the pages.
near = []
for text in config["near"]:
    at = good.find(text.encode())
    while at >= 0:
        near += range(max(0, at - 64), min(len(good), at + len(text) + 64))
        at = good.find(text.encode(), at + 1)
assert near, "none of the texts is in the snapshot"


def publish(data):
    with open(path + ".flip", "wb") as f:
        f.write(data)
    os.chmod(path + ".flip", 0o600)
    os.rename(path + ".flip", path)


# hallpass-keys leaves its record for its parent; exec keeps the pid, so pamtester stands where sshd would.
SCRIPT = """keys=$("$1" "$2" "$3" $4 2>/dev/null); echo "$keys"
exec pamtester -E "SSH_AUTH_INFO_0=publickey $4" sshd-flip "$2" acct_mgmt open_session"""


def attempt(account, fingerprint, line):
    r = subprocess.run(["bash", "-c", SCRIPT, "flip", KEYS, account, fingerprint, line], capture_output=True, text=True, check=False)
    first = r.stdout.splitlines()[:1]
    open_key = bool(first and first[0].startswith(("ssh-", "ecdsa-", "sk-", "restrict,no", "no-agent")) and "command=" not in first[0])
    return open_key, r.returncode == 0


wrong, admitted, refused = [], 0, 0
for n in range(config["count"] + 1):
    data = bytearray(good)
    at = bit = -1
    if n > 0:
        at, bit = (rng.choice(near) if n % 2 else rng.randrange(len(good))), rng.randrange(8)
        data[at] ^= 1 << bit
    publish(bytes(data))
    for account, fingerprint, line, may in config["attempts"]:
        key, pam = attempt(account, fingerprint, line)
        if (key or pam) and not may:
            wrong.append(f"byte {at} bit {bit}: {account} by {line[-40:]}: hallpass-keys {key}, PAM {pam}")
        if n == 0 and may and not (key and pam):
            wrong.append(f"undamaged: {account} was refused: hallpass-keys {key}, PAM {pam}")
        admitted += pam
        refused += not pam
publish(good)
print(json.dumps({"wrong": wrong[:20], "admitted": admitted, "refused": refused}))
