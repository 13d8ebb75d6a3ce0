# Two commands matter: `make demo` and `make test`. `make help` lists all.

CARGO ?= cargo
PYTHON ?= python3
PY_CLIENT := clients/python
VENV := $(PY_CLIENT)/.venv
BUF_VERSION := 1.75.0
BUF := npx --yes --package @bufbuild/buf@$(BUF_VERSION) -- buf
BINARY := target/release/scotoma
DEVICE ?= cuda:0

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python check-cuda lint fmt bench cuda gpu-check goldens proto tools

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-12s %s\n", $$1, $$2 }'

tools:
	@missing=; for tool in $(CARGO) cc $(PYTHON); do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "missing:$$missing. Needed: Rust (https://rustup.rs), a C compiler, Python 3.10+"; exit 1; fi

demo: tools ## Run the benchmark of the embedded model with and without interventions
	$(CARGO) build --release --workspace --locked
	$(BINARY) demo

test: test-rust test-python check-cuda ## Pass every test

test-rust: tools
	$(CARGO) test --release --workspace --locked -- --show-output

test-python: tools $(VENV)/ready
	$(CARGO) build --release --workspace --locked
	cd $(PY_CLIENT) && .venv/bin/pytest -q

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

lint: tools $(VENV)/ready ## Formatting, clippy, docs, types, and the contract's style
	$(CARGO) fmt --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked
	$(BUF) lint proto
	cd $(PY_CLIENT) && .venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy

fmt: $(VENV)/ready ## Format Rust and Python
	$(CARGO) fmt
	cd $(PY_CLIENT) && .venv/bin/ruff format -q . && .venv/bin/ruff check -q --fix .

bench: tools ## Measure what BENCHMARKS.md reports; RAYON_NUM_THREADS says on how many threads
	$(CARGO) bench --bench kernels --locked
	RAYON_NUM_THREADS=$${RAYON_NUM_THREADS:-1} $(CARGO) bench --bench serving --locked
	$(CARGO) build --release --locked
	$(PYTHON) -m venv target/bench-venv
	target/bench-venv/bin/pip install -q -r tests/goldens/requirements.txt -e $(PY_CLIENT)
	target/bench-venv/bin/python benches/vs_transformers/cpu.py

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

proto: $(VENV)/ready ## Generate the Python client's messages from proto/
	$(VENV)/bin/python -m grpc_tools.protoc -I proto --python_out=$(PY_CLIENT)/src --pyi_out=$(PY_CLIENT)/src \
		--grpc_python_out=$(PY_CLIENT)/src proto/scotoma/v1/*.proto

goldens: tools ## Capture the goldens anew from Hugging Face transformers, in a venv of its own
	$(PYTHON) -m venv target/goldens-venv
	target/goldens-venv/bin/pip install -q -r tests/goldens/requirements.txt
	OMP_NUM_THREADS=1 target/goldens-venv/bin/python tests/goldens/capture.py
