"""What the Python clients' tests share: stories, the question, and the answer to compare with."""

import sys
import traceback

import httpx

QUESTION = "How do I ingest a book?"
KEY = "the internal key"
# A proxy of the machine's is not for a server on it.
http = httpx.Client(trust_env=False, timeout=60)


class Stories:
    """A client's stories. Each runs where it stands, and says how it went."""

    def __init__(self, name):
        self.name, self.failed = name, False

    def tell(self, name):
        def run(check):
            try:
                check()
                print(f"ok      {self.name}: {name}")
            except Exception:  # noqa: BLE001
                self.failed = True
                print(f"FAILED  {self.name}: {name}\n{traceback.format_exc()}")

        return run

    def end(self):
        """Exits with 1 if one failed."""
        sys.exit(self.failed)


def simple(base):
    """The same answer in our own protocol: what every other must equal."""
    headers, body = {"x-api-key": KEY}, {"message": {"content": QUESTION}}
    return http.post(f"{base}/api/v1/chat", headers=headers, json=body).raise_for_status().json()["response"]
