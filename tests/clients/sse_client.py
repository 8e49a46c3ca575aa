"""httpx-sse with our own protocol against a running Lectern: sse_client.py WHOLE BROKEN."""

import sys

import httpx
from httpx_sse import connect_sse

WHOLE, BROKEN = sys.argv[1:3]
BODY = {"message": {"content": "How do I ingest a book?"}}


def events(base):
    with httpx.Client(trust_env=False) as client:
        with connect_sse(client, "POST", f"{base}/api/v1/chat/stream", json=BODY) as source:
            return [event.json() for event in source.iter_sse()]


def text(partial):
    return "".join(it["content"] for it in partial)


answer = httpx.post(f"{WHOLE}/api/v1/chat", json=BODY, trust_env=False).json()["response"]
*partial, last = events(WHOLE)
whole = (
    len(partial) > 1
    and {it["status"] for it in partial} == {"partial"}
    and text(partial) == last["content"] == answer["content"]
    and last["sources"] == answer["sources"]
    and last["status"] == "success"
)
*partial, last = events(BROKEN)
broken = text(partial).startswith("It begins well [1]") and last["code"] == "unavailable"
for ok, name in ((whole, "the pieces are the whole"), (broken, "an answer that breaks off says so")):
    print(f"{'ok     ' if ok else 'FAILED '} httpx-sse: {name}")
sys.exit(not (whole and broken))
