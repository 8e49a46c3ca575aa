"""The models of openai-chatkit, which its own server speaks with, against a running Lectern:
chatkit_client.py WHOLE BROKEN."""

import importlib.metadata
import re
import sys
import uuid
from datetime import datetime, timezone

from chatkit.types import ChatKitReq, Page, Thread, ThreadItem, ThreadStreamEvent
from httpx_sse import connect_sse
from pydantic import TypeAdapter
from story import QUESTION, Stories, http, simple

WHOLE, BROKEN = sys.argv[1:3]
stories = Stories(f"openai-chatkit {importlib.metadata.version('openai-chatkit')}")


def reader(base):
    """A new reader's headers."""
    account = {"email": f"{uuid.uuid4()}@example.com", "password": "correct horse"}
    assert http.post(f"{base}/api/v1/auth/register", json=account).status_code == 201
    token = http.post(f"{base}/api/v1/auth/login", json=account).json()["access_token"]
    return {"authorization": f"Bearer {token}"}


def request(kind, /, **params):
    """A request as the page sends it."""
    body = {"type": kind, "params": params}
    TypeAdapter(ChatKitReq).validate_python(body)
    return body


def message(text=QUESTION, **more):
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}, **more}


def times(value):
    """The same with every time as a time: it may be written in more than one way."""
    if isinstance(value, dict):
        return {key: moment(it) if key == "created_at" else times(it) for key, it in value.items()}
    return [times(it) for it in value] if isinstance(value, list) else value


def moment(text):
    time = datetime.fromisoformat(text)
    assert text.endswith("Z") and time.tzinfo == timezone.utc, text
    return time


def valid(kind, value):
    """Whether the vendor's model takes a value, and knows everything that is in it."""
    adapter = TypeAdapter(kind)
    dumped = adapter.dump_python(adapter.validate_python(value), mode="json", exclude_none=True)
    assert times(dumped) == times(value), (dumped, value)
    return value


def plain(who, kind, model, /, base=WHOLE, **params):
    reply = http.post(f"{base}/api/chatkit", headers=who, json=request(kind, **params))
    assert reply.status_code == 200, reply.text
    return valid(model, reply.json())


def stream(who, kind, /, base=WHOLE, **params):
    headers = {**who, "accept": "text/event-stream"}
    body = request(kind, **params)
    with connect_sse(http, "POST", f"{base}/api/chatkit", headers=headers, json=body) as source:
        found = [event.json() for event in source.iter_sse()]
    return [valid(ThreadStreamEvent, it) for it in found]


def kinds(events):
    """What happens, without repeats."""
    found = [it["update"]["type"].split(".")[-1] if "update" in it else it["type"] for it in events]
    return [it for n, it in enumerate(found) if n == 0 or it != found[n - 1]]


def updates(events, kind):
    found = [it["update"] for it in events if "update" in it]
    return [it for it in found if it["type"].endswith(kind)]


def item(events, kind):
    """The last item of this kind that is done."""
    done = [it["item"] for it in events if it["type"] == "thread.item.done"]
    return [it for it in done if it["type"] == kind][-1]


def unmarked(answer):
    """The text without its markers, and each with the place where it stood."""
    text, found = "", []
    code = answer["content"].index("`")
    rest = answer["content"]
    while mark := re.search(r" *\[(\d+)\]", rest[: max(0, code - len(answer["content"]) + len(rest))]):
        text += rest[: mark.start()]
        found.append((int(mark[1]), len(text)))
        rest = rest[mark.end() :]
    return text + rest, found


def assert_answer(answered):
    """Byte-equal text and equal citations."""
    answer = simple(WHOLE)
    by_number = {it["n"]: it for it in answer["sources"]}
    (part,) = answered["content"]
    text, marks = unmarked(answer)
    assert part["text"] == text, (part["text"], text)
    found = [(int(it["source"]["data"]["n"]), it["index"]) for it in part["annotations"]]
    assert found == marks and [n for n, _ in found] == [1, 2, 1], (found, marks)
    for source in (it["source"] for it in part["annotations"]):
        ours, data = by_number[int(source["data"]["n"])], source["data"]
        assert source["type"] == "entity" and source["interactive"]
        assert all(isinstance(it, str) for it in data.values()), data
        theirs = source["id"], source["title"], data["href"], data["path"], data["quote"]
        assert theirs == tuple(ours[it] for it in ("id", "title", "url", "path", "quote")), source


ANSWERED = [
    "progress_update",
    "thread.item.added",
    "added",
    "text_delta",
    "annotation_added",
    "text_delta",
    "annotation_added",
    "text_delta",
    "done",
    "thread.item.done",
]
ADA = reader(WHOLE)


@stories.tell("a new thread, from its creation to its title")
def _():
    events = stream(ADA, "threads.create", input=message(quoted_text=""))
    opening = ["thread.created", "thread.item.done", "stream_options"]
    assert kinds(events) == [*opening, *ANSWERED, "thread.updated"], kinds(events)
    answered = item(events, "assistant_message")
    assert_answer(answered)
    assert "".join(it["delta"] for it in updates(events, "text_delta")) == answered["content"][0]["text"]
    added = [it["item"] for it in events if it["type"] == "thread.item.added"]
    assert [(it["id"], it["created_at"]) for it in added] == [(answered["id"], answered["created_at"])]
    thread = events[0]["thread"]
    assert "title" not in thread and events[-1]["thread"] == {**thread, "title": QUESTION}
    read = plain(ADA, "threads.get_by_id", Thread, thread_id=thread["id"])
    assert read["items"]["data"] == [item(events, "user_message"), answered]
    assert read["created_at"] == thread["created_at"]


@stories.tell("a second message, with a mention and a quotation, and a retry of it")
def _():
    thread = stream(ADA, "threads.create", input=message())[0]["thread"]["id"]
    tag = {"type": "input_tag", "id": "ch", "text": "Ingest", "data": {"page": "2"}, "interactive": True}
    more = message("And then? ", quoted_text="a book", inference_options={"model": "m", "tool_choice": {"id": "t"}})
    more["content"].append(tag)
    events = stream(ADA, "threads.add_user_message", thread_id=thread, input=more)
    assert kinds(events) == ["thread.item.done", "stream_options", *ANSWERED], kinds(events)
    asked = item(events, "user_message")
    assert {key: asked[key] for key in more} == more, asked
    again = stream(ADA, "threads.retry_after_item", thread_id=thread, item_id=asked["id"])
    assert kinds(again) == ["stream_options", *ANSWERED], kinds(again)
    items = plain(ADA, "items.list", Page[ThreadItem], thread_id=thread, limit=2, order="desc")
    assert items["data"] == [item(again, "assistant_message"), asked]
    assert items["has_more"] and items["after"] == asked["id"]
    rest = plain(ADA, "items.list", Page[ThreadItem], thread_id=thread, after=items["after"])
    assert len(rest["data"]) == 2 and not rest["has_more"] and "after" not in rest


@stories.tell("the list, a rename, a thumb and the end of a thread")
def _():
    events = stream(ADA, "threads.create", input=message("What is a shelf?"))
    thread, answered = events[0]["thread"]["id"], item(events, "assistant_message")["id"]
    renamed = plain(ADA, "threads.update", Thread, thread_id=thread, title="On shelves")
    listed = plain(ADA, "threads.list", Page[Thread], limit=9999, order="desc")
    assert listed["data"][0] == renamed and renamed["title"] == "On shelves"
    for kind in ("positive", "negative"):
        given = {"thread_id": thread, "item_ids": [answered], "kind": kind}
        assert plain(ADA, "items.feedback", dict, **given) == {}
    for _ in range(2):
        assert plain(ADA, "threads.delete", dict, thread_id=thread) == {}
    left = plain(ADA, "threads.list", Page[Thread])
    assert thread not in [it["id"] for it in left["data"]]


@stories.tell("each refusal has words for the reader")
def _():
    thread = stream(ADA, "threads.create", input=message())[0]["thread"]["id"]
    read = request("threads.get_by_id", thread_id=thread)
    file = request("attachments.create", name="a.pdf", size=1, mime_type="application/pdf")
    for who, body, status, code in (
        ({}, read, 401, "unauthorized"),
        (reader(WHOLE), read, 404, "not_found"),
        (ADA, request("threads.get_by_id", thread_id="thr_none"), 404, "not_found"),
        (ADA, request("threads.retry_after_item", thread_id=thread, item_id="msg_none"), 404, "not_found"),
        (ADA, file, 400, "invalid_request"),
        (ADA, {"type": "threads.nope", "params": {}}, 400, "invalid_request"),
        (ADA, {"type": "threads.get_by_id"}, 400, "invalid_request"),
    ):
        reply = http.post(f"{WHOLE}/api/chatkit", headers=who, json=body)
        assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
        assert len(reply.json()["message"]) > 10


@stories.tell("an answer that breaks off is an error, and what there was stays")
def _():
    bob = reader(BROKEN)
    events = stream(bob, "threads.create", base=BROKEN, input=message())
    assert [events[-1][it] for it in ("type", "code", "allow_retry")] == ["error", "custom", True]
    partial = item(events, "assistant_message")
    assert partial["content"][0]["text"].startswith("It begins well"), partial
    thread = plain(bob, "threads.get_by_id", Thread, base=BROKEN, thread_id=events[0]["thread"]["id"])
    assert thread["items"]["data"] == [item(events, "user_message"), partial]


stories.end()
