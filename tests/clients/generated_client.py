"""The client that openapi-python-client makes of a running Lectern's own description:
generated_client.py WHOLE BROKEN."""

import importlib.metadata
import pkgutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from story import KEY, QUESTION, Stories, http, simple

WHOLE = sys.argv[1]
stories = Stories(f"openapi-python-client {importlib.metadata.version('openapi-python-client')}")
# Taken as a package from where it is made.
folder = tempfile.TemporaryDirectory()
sys.path.append(folder.name)


@stories.tell("nothing of the description is left out, and all of it is Python")
def _():
    settings = Path(folder.name, "settings.yaml")
    settings.write_text("post_hooks: []")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    command += ["--url", f"{WHOLE}/openapi.json", "--config", settings]
    command += ["--meta", "none", "--output-path", Path(folder.name, "lectern")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    import lectern

    modules = [it.name for it in pkgutil.walk_packages(lectern.__path__, "lectern.")]
    for module in modules:
        importlib.import_module(module)
    operations = [it for it in modules if it.startswith("lectern.api.") and it.count(".") == 3]
    described = http.get(f"{WHOLE}/openapi.json").json()["paths"]
    assert len(operations) == sum(len(item) for item in described.values()), operations


@stories.tell("a conversation is begun, asked, listed, read and rated")
def _():
    from lectern import AuthenticatedClient, models
    from lectern.api.asking import answer, stream_answer
    from lectern.api.history import create_conversation, list_conversations, rate_answer, read_conversation

    client = AuthenticatedClient(WHOLE, KEY, prefix="", auth_header_name="X-API-Key", raise_on_unexpected_status=True)
    name = f"reader-{uuid.uuid4()}"
    ada = {"client": client, "user_id": name}
    made = create_conversation.sync(**ada, body=models.NewConversation(title="On ingest"))
    message = models.AskByMessageMessage(content=QUESTION, user_id=name)
    asked = models.AskByMessage(message, conversation_id=str(made.id))
    said = answer.sync(client=client, body=asked).response
    assert (said.content, said.conversation_id) == (simple(WHOLE)["content"], made.id), said
    (listed,) = list_conversations.sync(**ada).data
    assert (listed.id, listed.title, listed.message_count) == (made.id, "On ingest", 2), listed
    given = models.Feedback(kind=models.FeedbackKindType1.POSITIVE)
    assert rate_answer.sync_detailed(made.id, said.message_id, **ada, body=given).status_code == 204
    _, kept = read_conversation.sync(made.id, **ada).messages
    assert (kept.content, kept.sources[0].n, kept.feedback.kind) == (said.content, 1, "positive"), kept
    stream = stream_answer.sync(client=client, body=asked)
    assert stream.endswith("\n\n") and "data: " in stream, stream
    refused = answer.sync(client=client, body=models.AskByText(" "))
    assert (refused.code, refused.errors[0].field) == ("invalid", "query_text"), refused


stories.end()
