"""httpx-sse with our own protocol against a running Lectern: sse_client.py WHOLE BROKEN SLOW."""

import sys
import threading

import httpx
from httpx_sse import connect_sse

WHOLE, BROKEN, SLOW = sys.argv[1:4]
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


def resumed():
    """One reader reads on, another one comes back for the same answer while it is made."""
    with httpx.Client(trust_env=False) as client:
        with connect_sse(client, "POST", f"{SLOW}/api/v1/chat/stream", json=BODY) as source:
            live = source.iter_sse()
            first = next(live)
            run = f"{SLOW}/api/v1/chat/runs/{source.response.headers['x-message-id']}"
            found = {}

            def follow(name, headers):
                with httpx.Client(trust_env=False) as other:
                    with connect_sse(other, "GET", run, headers=headers) as again:
                        found[name] = [(it.id, it.data) for it in again.iter_sse()]

            places = {"all": {}, "rest": {"last-event-id": first.id}}
            followers = [threading.Thread(target=follow, args=it) for it in places.items()]
            for follower in followers:
                follower.start()
            told = [(it.id, it.data) for it in (first, *live)]
            for follower in followers:
                follower.join()
    return len(told) > 2 and found == {"all": told, "rest": told[1:]}


status = 0
for ok, name in (
    (whole, "the pieces are the whole"),
    (broken, "an answer that breaks off says so"),
    (resumed(), "an answer is told again while it is made, to the byte"),
):
    print(f"{'ok     ' if ok else 'FAILED '} httpx-sse: {name}")
    status |= not ok
sys.exit(status)
