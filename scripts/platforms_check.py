"""Checks what the vendors' tools made: does every path of the contract reach its function?

Usage: platforms_check.py vercel TREE             (after `vercel build` in TREE)
       platforms_check.py lambda TREE EXPANDED    (the template, expanded by sam_expand.py)

Prints one line per check and exits with 1 if one fails.
"""

import json
import re
import sys
from pathlib import Path

# Method, path and the file below api/ that answers, without its ending.
CONTRACT = [
    ("POST", "/api/v1/auth/register", "v1/auth/register"),
    ("POST", "/api/v1/auth/login", "v1/auth/login"),
    ("POST", "/api/v1/chat", "v1/chat"),
    ("POST", "/api/ai/start-conversation", "v1/chat"),
    ("POST", "/api/ai/chat", "v1/chat"),
    ("POST", "/api/v1/chat/stream", "v1/chat/stream"),
    ("GET", "/api/v1/chat/runs/0199", "v1/chat/stream"),
    ("POST", "/api/v1/chat/runs/0199/stop", "v1/chat/stream"),
    ("POST", "/api/v1/conversations/internal-save", "v1/conversations/internal-save"),
    ("GET", "/api/v1/conversations", "v1/conversations"),
    ("GET", "/api/v1/conversations/0199", "v1/conversations"),
    ("GET", "/api/v1/conversations/0199/export", "v1/conversations"),
    ("POST", "/api/v1/conversations/0199/messages/0199/feedback", "v1/conversations"),
    ("GET", "/api/chats", "v1/conversations"),
    ("POST", "/api/chats/create", "v1/conversations"),
    ("PATCH", "/api/chats/0199", "v1/conversations"),
    ("GET", "/api/conversations/0199", "v1/conversations"),
    ("POST", "/conversations", "v1/conversations"),
    ("DELETE", "/conversations/0199", "v1/conversations"),
    ("POST", "/api/v1/rag/query", "v1/rag/query"),
    ("POST", "/v1/chat/completions", "v1/openai"),
    ("GET", "/v1/models", "v1/openai"),
    ("GET", "/v1/models/book", "v1/openai"),
    ("POST", "/chat/completions", "v1/openai"),
    ("POST", "/chat/completions/stream", "v1/openai"),
    ("POST", "/api/chat", "v1/ui"),
    ("GET", "/api/chat/mine/stream", "v1/ui"),
    ("POST", "/api/chat/mine/stop", "v1/ui"),
    ("POST", "/chat", "v1/ui"),
    ("POST", "/api/chatkit", "chatkit"),
    ("GET", "/health", "health"),
    ("GET", "/openapi.json", "health"),
    ("GET", "/docs", "health"),
]
# Paths of nobody: this function says 404, in the form of the contract.
NOBODY = [("/api/v1", "health"), ("/api/v1/nothing", "health"), ("/api/v1/nothing/", "health")]
# Whoever searches the book carries the shelf.
WITH_SHELF = {
    "chatkit", "health", "v1/chat", "v1/chat/stream", "v1/openai", "v1/rag/query", "v1/ui",
}
HOBBY_LIMIT = 12
# What a function may hold on Vercel, unpacked, in bytes.
FUNCTION_LIMIT = 250_000_000
# The settings that every function is given, and those that none of these may see.
EVERYWHERE = {"LOG_LEVEL", "ALLOWED_ORIGINS", "AGENT_TIMEOUT"}
NEVER = {
    "v1/auth/register": {"JWT_SECRET_KEY", "INTERNAL_API_KEY", "OPENAI_API_KEY", "QDRANT_API_KEY"},
    "v1/auth/login": {"INTERNAL_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "QDRANT_API_KEY"},
    "v1/conversations": {"OPENAI_API_KEY", "GEMINI_API_KEY", "QDRANT_API_KEY"},
    "v1/conversations/internal-save": {"OPENAI_API_KEY", "GEMINI_API_KEY", "QDRANT_API_KEY"},
    "v1/rag/query": {"NEON_DATABASE_URL", "DATABASE_URL", "LLM_API_KEY"},
    "health": {"JWT_SECRET_KEY"},
}

failures = 0


def report(name, problems):
    global failures
    failures += bool(problems)
    print(f"{'FAILED ' if problems else 'ok     '} {name}")
    for problem in problems:
        print(f"        {problem}")


def functions(tree):
    """Every function by its name below api/, as Vercel finds them."""
    files = (file.relative_to(tree / "api") for file in (tree / "api").rglob("*.rs"))
    return {str(file.with_suffix("")) for file in files if "/_" not in f"/{file}"}


def bins(tree):
    """The binary of each function, from the table in Cargo.toml."""
    manifest = (tree / "Cargo.toml").read_text(encoding="utf-8")
    found = {}
    for table in manifest.split("[[bin]]")[1:]:
        name = re.search(r'^name = "(.+)"$', table, re.M)
        path = re.search(r'^path = "api/(.+)\.rs"$', table, re.M)
        if name and path:
            found[path[1]] = name[1]
    return found


# Vercel ----------------------------------------------------------------------------------


def vercel(tree):
    output = tree / ".vercel/output"
    expected = functions(tree)
    base = output / "functions"
    built = {
        str(file.parent.relative_to(base / "api"))[: -len(".func")]: json.loads(file.read_text())
        for file in base.rglob(".vc-config.json")
    }
    problems = [f"{name} is missing" for name in sorted(expected - built.keys())]
    problems += [f"{name} is no file in api/" for name in sorted(built.keys() - expected)]
    if len(built) > HOBBY_LIMIT:
        problems.append(f"{len(built)} functions; the Hobby plan takes {HOBBY_LIMIT}")
    report(f"Vercel has {len(built)} functions, one for each file in api/", problems)

    problems = []
    for name, binary in bins(tree).items():
        config = built.get(name, {})
        executable = config.get("filePathMap", {}).get("executable", "")
        if config.get("handler") != "executable" or config.get("runtime") != "executable":
            problems.append(f"{name} is not an executable")
        elif not config.get("supportsResponseStreaming"):
            problems.append(f"{name} cannot stream")
        elif config.get("architecture") != "x86_64":
            problems.append(f"{name} is for {config.get('architecture')}")
        elif Path(executable).name != binary:
            problems.append(f"{name} runs {executable}, not {binary}")
        elif not (tree / executable).read_bytes().startswith(b"\x7fELF"):
            problems.append(f"{executable} is no Linux executable")
    report("each of them is a streaming executable of its own", problems)

    problems = []
    for name, config in sorted(built.items()):
        carries = "book.shelf" in config.get("filePathMap", {})
        if carries != (name in WITH_SHELF):
            problems.append(f"{name} {'carries' if carries else 'lacks'} the shelf")
        extra = set(config.get("filePathMap", {})) - {"executable", "book.shelf", "prompt.md"}
        problems += [f"{name} carries {file}" for file in sorted(extra)]
    report("the shelf travels with those that search it, and nothing else does", problems)

    report("nothing is published but public/", published(tree, output / "static"))

    sizes = {
        name: sum((tree / file).stat().st_size for file in config["filePathMap"].values())
        for name, config in built.items()
    }
    problems = [f"{name} has {size:,} bytes" for name, size in sizes.items() if size > FUNCTION_LIMIT]
    told = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sorted(sizes.items()))
    report(f"each of them is small enough (MB without the shelf: {told})", problems)

    config = json.loads((output / "config.json").read_text())
    problems = []
    wanted = [(path, name) for _, path, name in CONTRACT]
    wanted += [(f"{path}/", name) for path, name in wanted] + NOBODY
    for path, name in wanted:
        answer = route(config["routes"], output, path)
        if answer != f"/api/{name}":
            problems.append(f"{path} goes to {answer}")
    for path, file in (("/", "/index.html"), ("/lectern/main.js", "/lectern/main.js")):
        answer = route(config["routes"], output, path)
        if answer != file:
            problems.append(f"{path} goes to {answer}")
    if route(config["routes"], output, "/Cargo.toml") != 404:
        problems.append("/Cargo.toml is answered")
    report("each path reaches its function on Vercel, with and without a slash", problems)
    redirects = [it["src"] for it in config["routes"] if 300 <= it.get("status", 0) < 400]
    report("nothing is redirected", redirects)


def published(tree, static):
    def files(folder):
        found = (file for file in folder.rglob("*") if file.is_file())
        return {str(file.relative_to(folder)): file.read_bytes() for file in found}

    ours, theirs = files(tree / "public"), files(static)
    problems = [f"{name} is published" for name in sorted(theirs.keys() - ours.keys())]
    problems += [f"{name} is not published" for name in sorted(ours.keys() - theirs.keys())]
    problems += [f"{name} differs" for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
    return problems if ours else ["public/ is empty: the sources would be published"]


def route(routes, output, path):
    """Where config.json sends a request: a function, a static file or a status.

    A route with `check` looks at the files again for its destination, and the walk goes on
    with the new path if there is none.
    """

    def found(path):
        name = path.strip("/")
        # Functions and files are matched exactly: a slash at the end is left to the rewrites.
        if (output / "functions" / f"{path[1:]}.func").is_dir():
            return path
        if path == "/" and (output / "static/index.html").is_file():
            return "/index.html"
        if name and not path.endswith("/") and (output / "static" / name).is_file():
            return path
        return None

    phase = None
    for step in routes:
        if "handle" in step:
            phase = step["handle"]
            if phase == "filesystem" and (answer := found(path)):
                return answer
            if phase in ("error", "miss"):
                return 404
            continue
        match = re.match(step["src"], path)
        if not match or step.get("continue"):
            continue
        if "status" in step:
            return step["status"]
        target = step["dest"].split("?")[0]
        path = re.sub(r"\$(\d+)", lambda it: match[int(it[1])] or "", target)
        if not step.get("check") or phase is None:
            return path
        if answer := found(path):
            return answer
    return 404


# Lambda ----------------------------------------------------------------------------------


def lambda_(tree, expanded):
    resources = json.loads(Path(expanded).read_text())["Resources"]
    kind = lambda wanted: {k: v for k, v in resources.items() if v["Type"] == wanted}  # noqa: E731
    ours = bins(tree)
    deployed = kind("AWS::Lambda::Function")
    binary = {k: v["Metadata"]["BuildProperties"]["Binary"] for k, v in deployed.items()}
    missing = set(ours.values()) - set(binary.values())
    unknown = set(binary.values()) - set(ours.values())
    problems = [f"{name} is missing" for name in sorted(missing)]
    problems += [f"{name} is no binary" for name in sorted(unknown)]
    if len(binary) != len(set(binary.values())):
        problems.append("a binary is deployed twice")
    report(f"the template has {len(deployed)} functions, one for each binary", problems)
    apis = kind("AWS::ApiGateway::RestApi")
    problems = [] if len(apis) == 1 and not kind("AWS::ApiGatewayV2::Api") else ["not one REST API"]
    report("one REST API stands before them", problems)

    paths = next(iter(apis.values()))["Properties"]["Body"]["paths"] if apis else {}
    by_binary = {name: file for file, name in ours.items()}
    problems = []
    wanted = [(method, path, name) for method, path, name in CONTRACT]
    wanted += [("OPTIONS", path, name) for _, path, name in CONTRACT]
    wanted += [("DELETE", path, name) for _, path, name in CONTRACT]
    wanted += [("GET", path.rstrip("/"), name) for path, name in NOBODY]
    for method, path, name in wanted:
        answer = by_binary.get(binary.get(gateway(paths, method, path)))
        if answer != name:
            problems.append(f"{method} {path} goes to {answer}")
    # API Gateway knows no resource whose last part is empty: it takes /x/ for /x.
    problems += [f"{path} cannot be deployed" for path in paths if path.endswith("/") and path != "/"]
    report("each path reaches its function on Lambda, whatever the method", problems)

    problems = []
    for path, methods in paths.items():
        for method in methods.values():
            call = method["x-amazon-apigateway-integration"]
            logical = target(call)
            allowed = 1000 * deployed[logical]["Properties"]["Timeout"]
            if call.get("responseTransferMode") != "STREAM" or "response-streaming" not in json.dumps(call):
                problems.append(f"{path} does not stream, and the functions always do")
            if call.get("timeoutInMillis") != allowed:
                problems.append(f"{path} waits {call.get('timeoutInMillis')} of {allowed} ms")
    report("every route streams and waits as long as its function may run", problems)

    problems = []
    for logical, resource in deployed.items():
        properties, name = resource["Properties"], by_binary.get(binary[logical])
        variables = set(properties["Environment"]["Variables"])
        problems += [f"{name} is given {it}" for it in sorted(variables & NEVER.get(name, set()))]
        problems += [f"{name} lacks {it}" for it in sorted(EVERYWHERE - variables)]
        if ("Layers" in properties) != (name in WITH_SHELF):
            problems.append(f"{name}: the shelf's layer")
        group = properties.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
        if "RetentionInDays" not in resources.get(group, {}).get("Properties", {}):
            problems.append(f"{name} has no log group that forgets")
    report("each function has only its own settings, and logs that end", problems)


def target(call):
    """The logical name of the function that an integration calls."""
    found = re.search(r"functions/\$\{(\w+)\.Arn\}/", json.dumps(call["uri"]))
    return found[1] if found else None


def gateway(paths, method, path):
    """The function that a REST API calls: an exact resource first, then the longest greedy one."""
    parts = path.strip("/").split("/")
    above = ["/".join(["", *parts[:depth], "{proxy+}"]) for depth in reversed(range(len(parts)))]
    for resource in (path, *above):
        methods = paths.get(resource, {})
        chosen = methods.get(method.lower()) or methods.get("x-amazon-apigateway-any-method")
        if chosen:
            return target(chosen["x-amazon-apigateway-integration"])
    return None


if __name__ == "__main__":
    mode, tree = sys.argv[1], Path(sys.argv[2])
    if mode == "vercel":
        vercel(tree)
    else:
        lambda_(tree, sys.argv[3])
    sys.exit(bool(failures))
