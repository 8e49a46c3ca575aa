"""OpenAI's client for Python against a running Lectern: openai_client.py WHOLE BROKEN."""

import sys
import uuid

import openai
from story import KEY, QUESTION, Stories, simple

WHOLE, BROKEN = sys.argv[1:3]
stories = Stories(f"openai {openai.__version__} (Python)")
ANSWER = simple(WHOLE)


def client(base=WHOLE, key=KEY, **more):
    return openai.OpenAI(base_url=f"{base}/v1", api_key=key, **more)


def asked(**more):
    return {"model": "book", "messages": [{"role": "user", "content": QUESTION}], **more}


def cites(content, annotations):
    """Every citation is a marker of the text, and has its source's address."""
    by_number = {it["n"]: it for it in ANSWER["sources"]}
    numbers = []
    for it in annotations:
        if not isinstance(it, dict):
            it = it.model_dump()
        assert it["type"] == "url_citation", it
        it = it["url_citation"]
        marker = content[it["start_index"] : it["end_index"]]
        source = by_number[int(marker.strip("[]"))]
        assert marker == f"[{source['n']}]", marker
        assert (it["url"], it["title"]) == (source["url"], source["title"]), it
        numbers.append(source["n"])
    assert numbers == [1, 2, 1], numbers


def raises(kind, status, call, **members):
    try:
        call()
    except kind as err:
        assert err.status_code == status, err.status_code
        uuid.UUID(err.request_id)
        for name, value in members.items():
            assert getattr(err, name) == value, (name, getattr(err, name))
        return err
    raise AssertionError(f"{kind.__name__} was not raised")


@stories.tell("the whole answer, with its citations")
def _():
    reply = client().chat.completions.create(**asked())
    message = reply.choices[0].message
    assert message.content == ANSWER["content"], message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    assert reply.model == "book" and reply._request_id
    cites(message.content, message.annotations)


@stories.tell("a stream, with usage and citations")
def _():
    chunks = list(
        client().chat.completions.create(
            **asked(stream=True, stream_options={"include_usage": True})
        )
    )
    text = "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
    assert text == ANSWER["content"], text
    assert len({(it.id, it.created) for it in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0
    assert [it.choices[0].finish_reason for it in chunks[:-1] if it.choices][-1] == "stop"
    found = [it for chunk in chunks[:-1] for it in getattr(chunk.choices[0].delta, "annotations", None) or []]
    cites(text, found)


@stories.tell("the stream helper, without usage")
def _():
    with client().chat.completions.stream(**asked()) as events:
        final = events.get_final_completion()
    assert final.choices[0].message.content == ANSWER["content"]
    cites(final.choices[0].message.content, final.choices[0].message.annotations)
    assert final.usage is None


@stories.tell("the list of models")
def _():
    assert [it.id for it in client().models.list()] == ["book"]
    assert client().models.retrieve("book").owned_by == "lectern"
    raises(openai.NotFoundError, 404, lambda: client().models.retrieve("gpt"))


@stories.tell("a guest, who has no key")
def _():
    nobody = {"Authorization": openai.Omit()}
    reply = client(key="none").chat.completions.create(**asked(), extra_headers=nobody)
    assert reply.choices[0].message.content == ANSWER["content"]


@stories.tell("each refusal is its own exception")
def _():
    ask = lambda who, **more: lambda: who.chat.completions.create(**asked(**more))  # noqa: E731
    raises(openai.AuthenticationError, 401, ask(client(key="wrong")), code="invalid_api_key")
    unknown = {"conversation_id": str(uuid.uuid4())}
    raises(openai.NotFoundError, 404, ask(client(), user="ada", metadata=unknown))
    image = [{"type": "image_url", "image_url": {"url": "https://book.example/a.png"}}]
    for messages in ([], [{"role": "system", "content": "x"}], [{"role": "user", "content": image}]):
        body = {"model": "book", "messages": messages}
        err = raises(
            openai.BadRequestError, 400, lambda: client().chat.completions.create(**body),
            type="invalid_request_error",
        )
        assert err.param.startswith("messages"), err.param
    raises(openai.NotFoundError, 404, lambda: client().embeddings.create(model="book", input="x"))


@stories.tell("an answer that breaks off is an error, not an end")
def _():
    text = ""
    try:
        for chunk in client(BROKEN).chat.completions.create(**asked(stream=True)):
            text += chunk.choices[0].delta.content or ""
    except openai.APIError as err:
        assert "broke off" in err.message, err.message
        assert text.startswith("It begins well [1]"), text
    else:
        raise AssertionError("nothing was raised")
    whole = client(BROKEN, max_retries=0)
    raises(openai.InternalServerError, 503, lambda: whole.chat.completions.create(**asked()))


stories.end()
