# Two commands matter: `make demo` and `make test`. `make help` lists all.

CARGO ?= cargo
PYTHON ?= python3
PY_CLIENT := clients/python
TS_CLIENT := clients/typescript
GO_CLIENT := clients/go
VENV := $(PY_CLIENT)/.venv
BUF := $(TS_CLIENT)/node_modules/.bin/buf
# What the contract must not break: the last release, or main.
RELEASED := $(shell git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify -q main || echo HEAD)
BINARY := target/release/scotoma
DEVICE ?= cuda:0

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python test-clients check-generated check-cuda lint fmt bench cuda gpu-check deploy-check goldens proto tools test-tools

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-12s %s\n", $$1, $$2 }'

tools:
	@missing=; for tool in $(CARGO) cc $(PYTHON); do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "missing:$$missing. Needed: Rust (https://rustup.rs), a C compiler, Python 3.10+"; exit 1; fi

test-tools: tools
	@missing=; for tool in node npm go; do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "missing:$$missing. Needed for the clients: Node 20+ with npm, Go 1.26+"; exit 1; fi

demo: tools ## Run the benchmark of the embedded model with and without interventions
	$(CARGO) build --release --workspace --locked
	$(BINARY) demo

test: test-tools test-rust test-python test-clients check-generated check-cuda ## Pass every test

test-rust: tools
	$(CARGO) test --release --workspace --locked -- --show-output

test-python: tools $(VENV)/ready
	$(CARGO) build --release --workspace --locked
	cd $(PY_CLIENT) && .venv/bin/pytest -q

test-clients: test-tools $(VENV)/ready $(TS_CLIENT)/node_modules/ready ## The same cases through every client; packages in empty environments
	$(CARGO) build --release --workspace --locked --examples --bins
	npm --prefix $(TS_CLIENT) run --silent build:test
	go -C $(GO_CLIENT) vet ./...
	go -C $(GO_CLIENT) build -o $(CURDIR)/target/conformance-go ./internal/conformance
	$(VENV)/bin/python tests/conformance/run.py
	$(VENV)/bin/python tests/conformance/packages.py

check-generated: proto ## Fail where generated code is not what the contract generates, or the contract breaks what was released
	git diff --exit-code --stat -- $(GENERATED)
	$(BUF) breaking proto --against '.git#ref=$(RELEASED),subdir=proto'

check-cuda: tools
	@if command -v nvcc > /dev/null; then \
		$(CARGO) check --release --locked --all-targets --features cuda; \
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

lint: test-tools $(VENV)/ready $(TS_CLIENT)/node_modules/ready ## Formatting, clippy, docs, types, and the contract's style
	$(CARGO) fmt --check
	rustfmt --edition 2024 --check $(KINDS)
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked
	$(BUF) lint proto
	cd $(PY_CLIENT) && .venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy
	npm --prefix $(TS_CLIENT) run --silent build:test
	test -z "$$(gofmt -l $(GO_CLIENT))" && go -C $(GO_CLIENT) vet ./...

fmt: $(VENV)/ready ## Format Rust, Python and Go
	$(CARGO) fmt
	rustfmt --edition 2024 $(KINDS)
	cd $(PY_CLIENT) && .venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix .
	gofmt -w $(GO_CLIENT)

bench: tools ## Measure what BENCHMARKS.md reports; RAYON_NUM_THREADS says on how many threads
	$(CARGO) bench --bench kernels --locked
	RAYON_NUM_THREADS=$${RAYON_NUM_THREADS:-1} $(CARGO) bench --bench serving --locked
	$(CARGO) build --release --locked
	$(PYTHON) -m venv target/bench-venv
	target/bench-venv/bin/pip install -q -r tests/goldens/requirements.txt -e $(PY_CLIENT)
	target/bench-venv/bin/python benches/vs_transformers/cpu.py

deploy-check: ## Test the alerts and check the configurations under deploy/, with the tools that are here
	@for tool in promtool amtool systemd-analyze; do command -v $$tool > /dev/null || echo "no $$tool: its part is not checked"; done
	@if command -v promtool > /dev/null; then \
		promtool check config deploy/prometheus/prometheus.yml && promtool test rules deploy/prometheus/rules_test.yml; fi
	@if command -v amtool > /dev/null; then amtool check-config deploy/alertmanager/alertmanager.yml; fi
	@if command -v systemd-analyze > /dev/null; then \
		sed 's|/usr/local/bin/scotoma|/bin/true|' deploy/systemd/scotoma.service > target/scotoma.service && \
		systemd-analyze verify target/scotoma.service; fi

cuda: tools ## Build the server for NVIDIA cards: target/dist/scotoma; CUDA_COMPUTE_CAP says for which
	NVCC_APPEND_FLAGS=--compress-mode=size $(CARGO) build --profile dist --locked --features cuda

gpu-check: tools ## Check and measure on the card of this machine; DEVICE says on which
	$(CARGO) test --release --locked --features cuda --test devices -- --ignored --show-output --test-threads 1
	$(CARGO) build --release --locked --features cuda
	$(BINARY) parity --device $(DEVICE) --dtype bf16
	$(BINARY) bench --device $(DEVICE) --random-weights llava-1.5-7b --soak 1000
	$(PYTHON) -m venv target/bench-venv
	target/bench-venv/bin/pip install -q -r tests/goldens/requirements.txt -e $(PY_CLIENT)
	target/bench-venv/bin/python benches/vs_transformers/gpu.py --device $(DEVICE)

# Modules that the table of interventions names, which cargo fmt does not see.
KINDS := $(wildcard src/intervention/spec/*.rs src/api/convert/interventions/*.rs)
GENERATED := $(PY_CLIENT)/src/scotoma/v1 $(PY_CLIENT)/src/scotoma/_sync $(TS_CLIENT)/src/v1 $(GO_CLIENT)/scotomav1

proto: test-tools $(VENV)/ready $(TS_CLIENT)/node_modules/ready ## Generate what the clients have of proto/
	cd proto && ../$(BUF) generate
	$(VENV)/bin/python -m grpc_tools.protoc -I proto --python_out=$(PY_CLIENT)/src --pyi_out=$(PY_CLIENT)/src \
		--grpc_python_out=$(PY_CLIENT)/src proto/scotoma/v1/*.proto
	$(VENV)/bin/python $(PY_CLIENT)/generate.py

goldens: tools ## Capture the goldens anew from Hugging Face transformers, in a venv of its own
	$(PYTHON) -m venv target/goldens-venv
	target/goldens-venv/bin/pip install -q -r tests/goldens/requirements.txt
	OMP_NUM_THREADS=1 target/goldens-venv/bin/python tests/goldens/capture.py
