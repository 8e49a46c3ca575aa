# Thin names for cargo commands. `dev`, `test`, `check`, `size`, `bench` and `soak` work on a fresh
# machine with a Rust toolchain; the others need what stands beside them, and say so.
.PHONY: dev test check platforms lambda-watch size browser clients bench audit soak

CARGO ?= cargo
LECTERN = $(CARGO) run --quiet --locked --package tools --bin lectern --

# Serve everything on http://localhost:3000, with a database and a book of its own.
dev:
	$(LECTERN) dev $(ARGS)

# Every test: units, routes against a real Postgres, and the built functions themselves.
test:
	$(LECTERN) setup --tests
	$(CARGO) test --locked --workspace $(ARGS)

# What a change must pass before the tests.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

# The Vercel build and the SAM template, checked with the vendors' own tools. Needs npm and Python.
platforms:
	scripts/platforms

# The built functions under `cargo lambda watch`: the same answers as alone? Needs Python.
lambda-watch:
	scripts/lambda-watch $(ARGS)

# Size, memory and CPU of every function's release binary.
size:
	scripts/size

# The reader's page in a real browser, against `lectern dev`. Needs npm and Chromium.
browser:
	scripts/browser

# The clients that readers' apps are built with, each against `lectern dev`. Needs npm and Python.
clients:
	scripts/clients

# How fast a large shelf opens and answers.
bench:
	$(CARGO) bench --locked --package shared --bench shelf

# Licences, sources and duplicates of the dependencies. Needs cargo-deny.
audit:
	$(CARGO) deny --locked check bans licenses sources

# Hundreds of killed ingests and answers, and longer property tests; takes about ten minutes.
soak:
	PROPTEST_CASES=20000 $(CARGO) test --locked --package shared chat::
	$(CARGO) test --locked --package tests killed -- --ignored
