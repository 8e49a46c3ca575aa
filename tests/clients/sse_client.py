"""httpx-sse with our own protocol against a running Lectern: sse_client.py WHOLE BROKEN SLOW."""

import sys
import threading

from httpx_sse import connect_sse
from story import QUESTION, Stories, http, simple

WHOLE, BROKEN, SLOW = sys.argv[1:4]
BODY = {"message": {"content": QUESTION}}
stories = Stories("httpx-sse")


def ask(base):
    return connect_sse(http, "POST", f"{base}/api/v1/chat/stream", json=BODY)


def events(base):
    with ask(base) as source:
        return [event.json() for event in source.iter_sse()]


def text(partial):
    return "".join(it["content"] for it in partial)


@stories.tell("the pieces are the whole")
def _():
    answer = simple(WHOLE)
    *partial, last = events(WHOLE)
    assert len(partial) > 1 and {it["status"] for it in partial} == {"partial"}, partial
    assert text(partial) == last["content"] == answer["content"], (partial, last)
    assert (last["sources"], last["status"]) == (answer["sources"], "success"), last


@stories.tell("an answer that breaks off says so")
def _():
    *partial, last = events(BROKEN)
    assert text(partial).startswith("It begins well [1]"), partial
    assert last["code"] == "unavailable", last


@stories.tell("an answer is told again while it is made, to the byte")
def _():
    # One reader reads on, others come back for the same answer.
    with ask(SLOW) as source:
        live = source.iter_sse()
        first = next(live)
        run = f"{SLOW}/api/v1/chat/runs/{source.response.headers['x-message-id']}"
        found = {}

        def follow(name, headers):
            with connect_sse(http, "GET", run, headers=headers) as again:
                found[name] = [(it.id, it.data) for it in again.iter_sse()]

        places = {"all": {}, "rest": {"last-event-id": first.id}}
        followers = [threading.Thread(target=follow, args=it) for it in places.items()]
        for follower in followers:
            follower.start()
        told = [(it.id, it.data) for it in (first, *live)]
        for follower in followers:
            follower.join()
    assert len(told) > 2 and found == {"all": told, "rest": told[1:]}, (told, found)


stories.end()
