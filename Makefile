# Two commands matter: `make demo` and `make test`. `make help` lists all.

CARGO ?= cargo
PYTHON ?= python3
PY_CLIENT := clients/python
TS_CLIENT := clients/typescript
GO_CLIENT := clients/go
PAGE := clients/page
VENV := $(PY_CLIENT)/.venv
BUF := $(TS_CLIENT)/node_modules/.bin/buf
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
# What the contract must not break: the last release that is committed.
RELEASED = $(shell ls proto/released/v*.binpb 2>/dev/null | sort -V | tail -1)
BINARY := target/release/scotoma
# What tests and lints build with: a release, compiled incrementally (Cargo.toml).
PROFILE ?= quick
TESTED = target/$(PROFILE)/scotoma
# All of the workspace, as `cargo test` builds it: one package by itself has dependencies with other features, which are built
# once more.
BUILD_TESTED = $(CARGO) build --profile $(PROFILE) --workspace --locked --examples --bins
export SCOTOMA_PROFILE = $(PROFILE)
FUZZ_SECONDS ?= 60
BROWSERS ?= chromium firefox
SECONDS ?= 3600
RATE ?= 8
DEVICE ?= cuda:0

.DEFAULT_GOAL := help
.PHONY: help demo wheel faults soak test-doors test-harnesses test-ray test test-rust test-python test-clients \
	check-generated check-page check-cuda page test-page lint fmt gallery bench cuda gpu-check gpu-folder gpu-test \
	dashboard deploy-check deploy-tools stack goldens goldens-peers proto tools test-tools

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-12s %s\n", $$1, $$2 }'

tools:
	@missing=; for tool in $(CARGO) cc $(PYTHON); do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
		echo "missing:$$missing. Needed: Rust (https://rustup.rs), a C compiler, Python 3.10+"; exit 1; \
	fi

test-tools: tools
	@missing=; for tool in node npm go; do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "missing:$$missing. Needed for the clients: Node 20+ with npm, Go 1.26+"; exit 1; fi

demo: tools ## Run the benchmark of the embedded model with and without interventions
	$(CARGO) build --release --locked --package scotoma --bin scotoma
	$(BINARY) demo

test: test-tools test-rust test-python test-clients check-generated check-page check-cuda ## Pass every test

test-rust: tools
	$(CARGO) test --profile $(PROFILE) --workspace --locked -- --show-output

test-python: tools $(VENV)/ready
	$(BUILD_TESTED)
	cd $(PY_CLIENT) && SCOTOMA_BINARY=$(CURDIR)/$(TESTED) .venv/bin/pytest -q

test-ray: tools ## Run benchmarks over Ray, and kill its actors, servers, machines and drivers; in a venv of its own
	$(BUILD_TESTED)
	$(PYTHON) -m venv target/ray-venv
	target/ray-venv/bin/pip install -q -e "$(PY_CLIENT)[ray,image]" pytest pytest-asyncio
	cd $(PY_CLIENT) && SCOTOMA_BINARY=$(CURDIR)/$(TESTED) $(CURDIR)/target/ray-venv/bin/pytest \
		-q -rs --show-capture=no -W ignore tests/test_ray.py $(ARGS)

test-clients: ## The same cases through every client; packages in empty environments
test-clients: test-tools $(VENV)/ready $(TS_CLIENT)/node_modules/ready
	$(BUILD_TESTED)
	npm --prefix $(TS_CLIENT) run --silent build:test
	node --test $(TS_CLIENT)/test/build/test/servers.js $(TS_CLIENT)/test/build/test/interventions.js
	go -C $(GO_CLIENT) vet ./... && go -C $(GO_CLIENT) test ./...
	go -C $(GO_CLIENT) build -o $(CURDIR)/target/conformance-go ./internal/conformance
	$(VENV)/bin/python tests/conformance/run.py
	$(VENV)/bin/python tests/conformance/packages.py

check-generated: ## Fail where generated code is not what the contract generates, or the contract breaks what was released
check-generated: proto
	git diff --exit-code --stat -- $(GENERATED)
	@test -n "$(RELEASED)" || \
		{ echo "no proto/released/v*.binpb to compare the contract with (make released-contract)"; exit 1; }
	$(BUF) breaking proto --against $(RELEASED)

page: ## Build the page that the server embeds: clients/page/dist
page: test-tools $(PAGE)/node_modules/ready $(TS_CLIENT)/node_modules/ready
	npm --prefix $(PAGE) run --silent build

check-page: page ## Pass the page's unit tests; fail where the page that is committed is not what its sources build
	npm --prefix $(PAGE) run --silent test
	git diff --exit-code --stat -- $(PAGE)/dist && test -z "$$(git ls-files --others --exclude-standard -- $(PAGE)/dist)"

check-version: ## Fail where a package does not carry VERSION, or the changelog has no section of it
	@grep -q '^version = "$(VERSION)"' Cargo.toml && \
	grep -q '^scotoma-proto = .*"$(VERSION)"' Cargo.toml && \
	grep -q '^version = "$(VERSION)"' $(PY_CLIENT)/pyproject.toml && \
	grep -q '^version = "$(VERSION)"' $(PY_CLIENT)/server/pyproject.toml && \
	grep -q '"version": "$(VERSION)"' $(TS_CLIENT)/package.json && \
	grep -q '^VERSION = "$(VERSION)"' tests/conformance/packages.py && \
	grep -q '^## $(VERSION)' docs/CHANGELOG.md && \
	test -f proto/released/v$(VERSION).binpb && echo "every package carries $(VERSION)" || \
	{ echo "not every one carries $(VERSION): Cargo.toml, $(PY_CLIENT), $(TS_CLIENT), packages.py," \
		"docs/CHANGELOG.md, proto/released"; exit 1; }

check-cuda: tools
	@if command -v nvcc > /dev/null; then \
		$(CARGO) check --profile $(PROFILE) --locked --all-targets --features cuda; \
	else \
		echo "no nvcc: the feature cuda is not checked (deploy/cuda-toolkit.sh brings one)"; \
	fi

$(VENV)/ready: $(PY_CLIENT)/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -e "$(PY_CLIENT)[test,generate]"
	touch $@

$(TS_CLIENT)/node_modules/ready: $(TS_CLIENT)/package-lock.json
	npm --prefix $(TS_CLIENT) ci --no-audit --no-fund
	touch $@

$(PAGE)/node_modules/ready: $(PAGE)/package-lock.json
	npm --prefix $(PAGE) ci --no-audit --no-fund
	touch $@

lint: ## Formatting, clippy, docs, types, and the contract's style
lint: test-tools $(VENV)/ready $(TS_CLIENT)/node_modules/ready $(PAGE)/node_modules/ready
	$(CARGO) fmt --check
	rustfmt --edition 2024 --check $(KINDS)
	$(CARGO) clippy --profile $(PROFILE) --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --profile $(PROFILE) --workspace --no-deps --locked
	$(BUF) lint proto
	cd $(PY_CLIENT) && .venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy
	$(VENV)/bin/ruff format --check tests/faults && $(VENV)/bin/ruff check tests/faults
	npm --prefix $(TS_CLIENT) run --silent build:test
	npm --prefix $(PAGE) run --silent check
	test -z "$$(gofmt -l $(GO_CLIENT))" && go -C $(GO_CLIENT) vet ./...

faults: tools $(VENV)/ready ## Overload, kill and misuse servers on this machine; ARGS='-k signals' says which
	$(BUILD_TESTED)
	SCOTOMA_BINARY=$(CURDIR)/$(TESTED) $(VENV)/bin/pytest -q --rootdir tests/faults tests/faults $(ARGS)

soak: ## Let clients do all at once for SECONDS (3600), and hold that nothing grows; RATE is calls a second
soak: tools $(VENV)/ready
	$(BUILD_TESTED)
	SCOTOMA_BINARY=$(CURDIR)/$(TESTED) SCOTOMA_SOAK_SECONDS=$(SECONDS) SCOTOMA_SOAK_RATE=$(RATE) \
		$(VENV)/bin/pytest -q -s --rootdir tests/faults tests/faults/test_soak.py

test-doors: ## Let openai-python, LiteLLM and Inspect ask the server, and compare their scores with its own; ARGS='openai --record' says which
test-doors: tools
	$(BUILD_TESTED)
	$(PYTHON) -m venv target/doors-venv
	target/doors-venv/bin/pip install -q -r tests/doors/requirements.txt
	SCOTOMA_BINARY=$(CURDIR)/$(TESTED) target/doors-venv/bin/python tests/doors/run.py $(ARGS)

test-harnesses: tools ## The same with lmms-eval and VLMEvalKit (installs torch)
	$(BUILD_TESTED)
	$(PYTHON) -m venv target/harnesses-venv
	target/harnesses-venv/bin/pip install -q -r tests/doors/requirements-harnesses.txt
	# Without what they ask for, most of which is for other models than ours.
	target/harnesses-venv/bin/pip install -q --no-deps lmms_eval==0.7.3 ms-vlmeval==0.0.20
	SCOTOMA_BINARY=$(CURDIR)/$(TESTED) target/harnesses-venv/bin/python tests/doors/run.py $(ARGS)

test-page: ## Use the page in Chromium and Firefox; BROWSERS=firefox says in which, ARGS='--test-name-pattern=patches' what
test-page: test-tools $(TS_CLIENT)/node_modules/ready $(VENV)/ready
	$(BUILD_TESTED)
	npm --prefix tests/page ci --no-audit --no-fund
	npm --prefix $(TS_CLIENT) run --silent build:test
	for browser in $(BROWSERS); do \
		BROWSER=$$browser SCOTOMA_BINARY=$(CURDIR)/$(TESTED) npm --prefix tests/page test -- $(ARGS) || exit 1; \
	done

fuzz: tools ## Mutate pictures, weights, templates, tables and requests, FUZZ_SECONDS each; FUZZ_TARGET names one
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --profile $(PROFILE) --workspace --locked --test fuzz -- --nocapture --test-threads 1

audit: ## Check licences, duplicates, sources and advisories of the dependencies (needs cargo-deny)
	@command -v cargo-deny > /dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check

book: ## Render docs/ to target/book (needs mdbook)
	@command -v mdbook > /dev/null || { echo "mdbook is missing: cargo install --locked mdbook"; exit 1; }
	mdbook build docs

fmt: $(VENV)/ready ## Format Rust, Python and Go
	$(CARGO) fmt
	rustfmt --edition 2024 $(KINDS)
	cd $(PY_CLIENT) && .venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix .
	$(VENV)/bin/ruff format -q tests/faults && $(VENV)/bin/ruff check -q --fix tests/faults
	gofmt -w $(GO_CLIENT)

gallery: tools ## Draw the pictures of docs/gallery.md, reading.md, tracing.md and pruning.md with the embedded model
	$(BUILD_TESTED)
	docs/gallery/draw.sh $(TESTED)

bench: tools ## Measure what BENCHMARKS.md reports; RAYON_NUM_THREADS says on how many threads
	$(CARGO) bench --bench kernels --locked
	RAYON_NUM_THREADS=$${RAYON_NUM_THREADS:-1} $(CARGO) bench --bench serving --locked
	$(CARGO) build --release --locked
	$(PYTHON) -m venv target/bench-venv
	target/bench-venv/bin/pip install -q -r tests/goldens/requirements.txt -e $(PY_CLIENT)
	target/bench-venv/bin/python benches/vs_transformers/cpu.py

# Where the tools for deploy/ are, once they are installed.
DEPLOY_VENV := target/deploy-venv
DEPLOY_PYTHON = $(if $(wildcard $(DEPLOY_VENV)/bin/python),$(DEPLOY_VENV)/bin/python,$(PYTHON))

deploy-check: ## Check all of deploy/ with the tools that are here, and say which are not; ARGS='--quick' starts no servers
	SCOTOMA_BINARY=$${SCOTOMA_BINARY:-$(CURDIR)/$(TESTED)} $(DEPLOY_PYTHON) deploy/check.py $(ARGS)

deploy-tools: ## Install what deploy-check needs of PyPI and Go into target/deploy-venv; Prometheus and the proxies are your system's
deploy-tools: tools
	$(PYTHON) -m venv $(DEPLOY_VENV)
	$(DEPLOY_VENV)/bin/pip install -q -r deploy/requirements.txt
	@command -v go > /dev/null && \
		GOBIN=$(CURDIR)/$(DEPLOY_VENV)/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.2 || \
		echo "no go: kustomize is not installed"

dashboard: ## Write deploy/grafana/scotoma.json anew, and fail where it was another one
	$(DEPLOY_PYTHON) deploy/grafana/dashboard.py
	git diff --exit-code --stat -- deploy/grafana/scotoma.json

stack: ## Start two replicas, HAProxy before them and Prometheus, without containers, until Ctrl-C; ARGS='--replicas 4 -- --model ...'
stack: tools
	$(CARGO) build --release --locked --package scotoma --bin scotoma
	$(PYTHON) deploy/stack.py $(ARGS)

dist: tools ## Build the server as it is handed out: target/dist/scotoma
	$(CARGO) build --profile dist --locked --package scotoma --bin scotoma

# Where wheels go, and the server that is in one: as it is handed out, unless WHEEL_BINARY names another.
WHEELS := target/wheels
WHEEL_VENV := target/wheel-venv

wheel: ## Build the wheels of the server and of the Python client: target/wheels; WHEEL_BINARY names a ready server
wheel: tools $(if $(WHEEL_BINARY),,dist)
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/pip install -q -r $(PY_CLIENT)/server/requirements.txt
	rm -rf $(WHEELS)
	SCOTOMA_SERVER_BINARY=$(abspath $(or $(WHEEL_BINARY),target/dist/scotoma)) \
		$(WHEEL_VENV)/bin/python -m build -n -w -o $(WHEELS) $(PY_CLIENT)/server
	@if [ "$$(uname)" = Linux ]; then \
		PATH="$(CURDIR)/$(WHEEL_VENV)/bin:$$PATH" auditwheel repair -w $(WHEELS) $(WHEELS)/*-linux_*.whl && \
			rm $(WHEELS)/*-linux_*.whl; \
	fi
	$(WHEEL_VENV)/bin/python -m build -w -o $(WHEELS) $(PY_CLIENT)
	@ls -l $(WHEELS)

cuda: tools ## Build the server for NVIDIA cards: target/dist/scotoma; CUDA_COMPUTE_CAP says for which
	NVCC_APPEND_FLAGS=--compress-mode=size $(CARGO) build --profile dist --locked --features cuda

# What is checked on a card, and the Python of the machine that has it.
GPU_BINARY ?= target/dist/scotoma
GPU_FOLDER ?= target/gpu-folder
GPU_PYTHON ?= 3.12
GPU_WHEELS = blake3 'googleapis-common-protos>=1.72,<2' 'grpcio>=1.85,<2' 'protobuf>=7.34,<8' 'typing-extensions>=4.12'

gpu-check: ## Check and measure GPU_BINARY on the card of this machine in 6 minutes; DEVICE says on which, ARGS='--only table' what
	$(PYTHON) tests/gpu/check.py --device $(DEVICE) --binary $(GPU_BINARY) $(ARGS)

gpu-folder: ## Put what gpu-check needs into GPU_FOLDER, to be carried to a machine that has a card and Python, but no Rust
	rm -rf $(GPU_FOLDER)
	mkdir -p $(GPU_FOLDER)/target/dist
	tar -c --exclude=__pycache__ tests/gpu tests/goldens benches/vs_transformers models clients/python/src | \
		tar -x -C $(GPU_FOLDER)
	xz -T0 -6 -c $(GPU_BINARY) > $(GPU_FOLDER)/target/dist/scotoma.xz
	$(PYTHON) -m pip download -q --no-deps --only-binary=:all: --python-version $(GPU_PYTHON) --implementation cp \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		-d $(GPU_FOLDER)/wheels $(GPU_WHEELS)
	@size=$$(tar -c $(GPU_FOLDER) | xz -1 -T0 | wc -c); echo "$(GPU_FOLDER): $$((size / 1048576)) MiB packed"; \
	if [ $$size -gt 62914560 ]; then echo "more than 60 MiB"; exit 1; fi
	@echo "there: python3 tests/gpu/check.py [--only parity,laws,soak,table] [--out FOLDER];" \
		"needs torch and transformers 5.17"

gpu-test: tools ## Pass the tests that need a card, on a machine with one and with Rust
	$(CARGO) test --release --locked --features cuda --lib --test devices -- --ignored --show-output --test-threads 1

# Modules that the table of interventions names, which cargo fmt does not see.
KINDS := $(wildcard src/intervention/spec/*.rs src/api/convert/interventions/*.rs)
GENERATED := $(PY_CLIENT)/src/scotoma/v1 $(PY_CLIENT)/src/scotoma/_sync $(TS_CLIENT)/src/v1 $(GO_CLIENT)/scotomav1

proto: test-tools $(VENV)/ready $(TS_CLIENT)/node_modules/ready ## Generate what the clients have of proto/
	cd proto && ../$(BUF) generate
	$(VENV)/bin/python -m grpc_tools.protoc -I proto --python_out=$(PY_CLIENT)/src --pyi_out=$(PY_CLIENT)/src \
		--grpc_python_out=$(PY_CLIENT)/src proto/scotoma/v1/*.proto
	$(VENV)/bin/python $(PY_CLIENT)/generate.py

released-contract: ## Write the descriptor of this version's contract, which later ones are compared with
released-contract: test-tools $(TS_CLIENT)/node_modules/ready
	mkdir -p proto/released
	$(BUF) build proto --exclude-source-info --as-file-descriptor-set -o proto/released/v$(VERSION).binpb

goldens: tools ## Capture the goldens anew from Hugging Face transformers, in a venv of its own
	$(PYTHON) -m venv target/goldens-venv
	target/goldens-venv/bin/pip install -q -r tests/goldens/requirements.txt
	cd tests/goldens && for script in capture towers gguf_pairs judges quantized gradients traces tuned_lens; do \
		OMP_NUM_THREADS=1 $(CURDIR)/target/goldens-venv/bin/python $$script.py || exit 1; \
	done

goldens-peers: tools ## Capture anew what nnsight says of the embedded model: a patching grid and the logit lens
	$(PYTHON) -m venv target/goldens-venv
	target/goldens-venv/bin/pip install -q -r tests/goldens/requirements.txt -r tests/goldens/requirements-peers.txt
	cd tests/goldens && OMP_NUM_THREADS=1 $(CURDIR)/target/goldens-venv/bin/python peers.py
