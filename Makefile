# Two commands do everything on a fresh machine: `make run` and `make test`.
# The rest are their parts, and longer campaigns.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
MODELS := smollm2-135m-instruct all-minilm-l6-v2

# The demo and the tests never touch the user's own system in ~/.llmos.
export LLMOS_HOME ?= $(CURDIR)/.llmos
export PYTHONUNBUFFERED = 1
# Set in many images. Each of some 700 processes of the tests would then compile our code anew, and
# each worker rewrite all the asserts: a tenth of the time that the tests take.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup model run test lint types contracts unit docs bench plots sim exact engine failover hosts crash private injections search holds fuzz wheel clean

help:            ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) model   ## virtual environment, packages, model

# torch first and alone: a range in another package would take a CUDA build of several GB.
$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV): about 1.5 GB, a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=24" "setuptools>=75"
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[edge,openvino,embedding,web,anthropic,mcp,dev]'
	touch $@

model: $(READY)  ## the models, once for all systems of this user
	set -e; for model in $(MODELS); do $(BIN)/llmos models pull $$model; done

run: setup       ## four agents at once on a real model
	$(BIN)/python -m shell.demo

test: setup      ## all checks, as CI runs them
	$(MAKE) --jobs 2 lint types contracts docs
	$(MAKE) unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

docs: $(READY)   ## are the generated pages up to date?
	$(BIN)/python docs/generate.py --check

# Four at once on two cores: many tests wait more than they compute. What failed is run once more,
# alone: what fails only beside others is told above, and is to be mended, but stops nobody.
unit: $(READY)
	$(BIN)/python -m compileall -q llmagentos kernel drivers agents shell
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder || \
		$(BIN)/pytest --last-failed --last-failed-no-failures none

bench: setup     ## what a call costs, a process the scheduler, and a token the engine
	$(BIN)/python benchmarks/syscalls.py
	$(BIN)/python benchmarks/scheduler.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/kv.py
	$(BIN)/python benchmarks/through.py
	$(BIN)/python benchmarks/agents.py
	$(BIN)/python benchmarks/cloud.py
	$(BIN)/python benchmarks/neighbour.py
	$(BIN)/python benchmarks/tui.py

plots: setup     ## measures engines and agents, and draws docs/performance
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[plots]'
	$(BIN)/python benchmarks/engine.py --json > docs/performance/engine.json
	$(BIN)/python benchmarks/agents.py --json > docs/performance/agents.json
	$(BIN)/python benchmarks/plot.py

# Campaigns: what the tests do for a minute, for as long as you like.

sim: $(READY)    ## 20,000 seeds of the simulator; SEEDS=n for others
	$(BIN)/python -m tests.sim --seeds $(or $(SEEDS),20000) --jobs 2

exact: setup     ## 64 prompts on the real model, whatever happens to them
	$(BIN)/python -m tests.campaigns.exact

engine: $(READY) ## four minutes of stories about one small engine, to the last token and block
	$(BIN)/python -m tests.campaigns.engine

failover: setup  ## 50 answers whose driver is killed in their middle; ROUNDS=n for others
	$(BIN)/python -m tests.campaigns.failover --rounds $(or $(ROUNDS),50)

hosts: $(READY)  ## 100 agents with tools whose host is killed; RUNS=n for others
	$(BIN)/python -m tests.campaigns.hosts --runs $(or $(RUNS),100)

crash: $(READY)  ## 200 kills of a live kernel under load; KILLS=n for others
	$(BIN)/python -m tests.campaigns.crash --kills $(or $(KILLS),200)

private: $(READY) ## 100,000 programs, and no byte of what is private where it may not be; PROGRAMS=n
	$(BIN)/python -m tests.interference --programs $(or $(PROGRAMS),100000)

search: setup    ## 100 questions to 2,000 pages of Python's documentation, by words and meaning
	$(BIN)/python benchmarks/search.py --check

injections: $(READY) ## agents that obey every voice: what they try, and what they can do
	$(BIN)/python -m tests.injections

holds: $(READY)  ## how long one message may hold the kernel, and all who wait for it
	$(BIN)/python benchmarks/holds.py

fuzz: $(READY)   ## 20,000 messages and 2,000 sequences of nonsense
	$(BIN)/python -m tests.campaigns.fuzz

wheel: $(READY)
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:           ## everything that was made here, except for the model
	rm -rf $(VENV) .llmos dist build
