"""schemathesis against a running Lectern and its own description: fuzz.py WHOLE BROKEN.

Once as a reader and once as a trusted server; the second server is not asked.
"""

import re
import subprocess
import sys
from pathlib import Path

import httpx

WHOLE = sys.argv[1]
HERE = Path(__file__).parent
ACCOUNT = {"email": "fuzz@book.example", "password": "correct horse battery"}


def fuzz(who, header, *more):
    """One run: a line of figures, and whatever was found."""
    command = [Path(sys.executable).parent / "st", "--config-file", HERE / "schemathesis.toml"]
    command += ["run", f"{WHOLE}/openapi.json", "--url", WHOLE, "--no-color", "--header", header, *more]
    run = subprocess.run(command, capture_output=True, text=True)
    figures = [re.search(pattern, run.stdout) for pattern in (r"Tested: (\d+)", r"(\d+) generated")]
    operations, cases = (it[1] if it else "no" for it in figures)
    ok = run.returncode == 0
    print(f"{'ok     ' if ok else 'FAILED '} schemathesis: {operations} operations as {who}, {cases} cases")
    if not ok:
        print(run.stdout + run.stderr)
    return ok


with httpx.Client(base_url=WHOLE, trust_env=False) as client:
    client.post("/api/v1/auth/register", json=ACCOUNT).raise_for_status()
    token = client.post("/api/v1/auth/login", json=ACCOUNT).json()["access_token"]
# A trusted server must say whose history it means, which no schema can ask of it alone.
lenient = ["--exclude-checks", "positive_data_acceptance"]
found = [
    fuzz("a reader", f"Authorization: Bearer {token}"),
    fuzz("a trusted server", "X-API-Key: the internal key", *lenient),
]
sys.exit(not all(found))
