# Two commands matter to a newcomer: `make run` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV   := .venv
BIN    := $(VENV)/bin
DB     ?= demo.db
HOST   := 127.0.0.1
PORT   ?= 8000
CYCLES ?= 20
POINTS ?= 500
SEEDS  ?= 10000
DRILLS ?= 10
EVERY  ?= 1
USERS  ?= 100
SECONDS ?= 30
FLOOR  ?= 3000
RECEIPTS ?= 10000
COUNT  ?= 1000
CASES  ?= 100000
NODES  ?= 18 20 22 24
WORKERS ?= 2
LONG_WORKERS ?= 3
EXAMPLES ?= 400
ARGS   ?=
LOCK   := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" pyproject.toml

# Tests start some hundred processes: where bytecode may not be kept, each of them compiles the whole engine.
unexport PYTHONDONTWRITEBYTECODE

# A file of tests stays with one process: its tests share a server, and come in their order. The long tests wait
# for timers and processes more than they compute: what computes fills that time, so that all of them are one run.
PYTEST := $(BIN)/pytest --dist loadfile --no-loadscope-reorder

# By name: to look for them, pytest would import all files.
ALONE   = $$(grep -rl --include 'test_*.py' 'mark\.alone' tests)

.PHONY: run demo screenshots test check test-all lint types pythons locust crash faults powercut sim redis-storm fuzz schemathesis overload drills archive mutations wallet-model logins \
	payout receipts nodes client-types bench wheel lock clean help

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# One stamp: the venv is rebuilt when what it should hold has changed.
$(VENV)/.stamp: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# Charts and PostgreSQL, 150 MB: only for those who measure.
$(VENV)/.bench: $(VENV)/.stamp requirements-bench.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

# TypeScript, and a WebSocket for Node 18: only the tests of the client in JavaScript need them.
MODULES := clients/javascript/node_modules/.package-lock.json
$(MODULES): clients/javascript/package-lock.json
	npm ci --prefix clients/javascript --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

run: $(VENV)/.stamp     ## serve a demo with 100 players on 127.0.0.1:8000
	@test -e $(DB) || $(BIN)/solidgreen seed --db $(DB) --players 100
	@printf '%s\n' '' \
		'Try it from a second terminal, in this folder (Ctrl-C here stops the server):' \
		'  place a bet as player 7  $(BIN)/python examples/place_bet.py --db $(DB) --url ws://$(HOST):$(PORT)/ws' \
		'  get his access token     $(BIN)/solidgreen token --db $(DB) --user 7' \
		'  check the books          $(BIN)/solidgreen reconcile --db $(DB)' \
		'  see his entries          $(BIN)/solidgreen statement --db $(DB) --user 7' \
		'Pages http://$(HOST):$(PORT)/ (players) and http://$(HOST):$(PORT)/operator (staff: make demo has a log-in)' \
		'WebSocket ws://$(HOST):$(PORT)/ws (subprotocol wallet.v1), health http://$(HOST):$(PORT)/health/ready' ''
	@exec $(BIN)/solidgreen serve --db $(DB) --host $(HOST) --port $(PORT)

demo: $(VENV)/.stamp    ## both pages with 300 bots that play, kill -9 half-way, and what survived: ARGS="--bots 300 --seconds 30 --port N"
	@exec $(BIN)/python -m demo.run $(ARGS)

screenshots: $(VENV)/.bench  ## pictures of both pages into docs/pages, with Chromium and the demo's bots, some six minutes: ARGS="--minutes 5"
	$(BIN)/python -m demo.pictures --into docs/pages $(ARGS)

test: $(VENV)/.stamp    ## every test that needs only Python, git and make; WORKERS= at a time
# Where test-all is asked for, as by .ci/run, there is nothing to do here: its one run has all of these tests.
ifeq ($(filter test-all,$(MAKECMDGOALS)),)
	$(PYTEST) -n $(WORKERS) -m "not long" --ignore tests/charts --ignore tests/browser
endif

lint: $(VENV)/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp
	$(BIN)/mypy

check: lint types test  ## ruff, mypy --strict and the tests

# A venv stays with the Python that made it, so each Python has its own.
pythons:         ## make check on each of PYTHONS=, names or paths, in a venv of its own
	@set -e; for python in $(PYTHONS); do $(MAKE) check PYTHON=$$python VENV=.venv-$${python##*/}; done

test-all: test $(VENV)/.bench $(MODULES)  ## these and what takes longer, or Node: kill cycles, the wheel, PostgreSQL, a load run; LONG_WORKERS=
	$(PYTEST) -n $(LONG_WORKERS) -m "not alone"
	$(BIN)/pytest -m alone $(ALONE)
	$(MAKE) locust USERS=20 SECONDS=10 FLOOR=0

locust: $(VENV)/.stamp  ## Locust, headless, against a server of its own: USERS= SECONDS= FLOOR=
	$(BIN)/python -m harness.locust_run --users $(USERS) --seconds $(SECONDS) --floor $(FLOOR)

sim: $(VENV)/.stamp     ## simulate SEEDS= seeds: real engine, virtual time, crashes, faults, retries, and an auditor
	$(BIN)/python -m tests.sim.run --seeds $(SEEDS) $(ARGS)

crash: $(VENV)/.stamp   ## kill -9 with bets in flight, CYCLES= times, and audit what is left
	$(BIN)/python -m tests.crash.kill_cycles --cycles $(CYCLES)

faults: $(VENV)/.stamp  ## fail each write and sync of the database's files in turn, and audit what is left: EVERY=
	$(BIN)/python -m tests.faults.nth --every $(EVERY)

redis-storm: $(VENV)/.stamp  ## faults of Redis under load, one after the other, for SECONDS=, and audit what is left
	$(BIN)/python -m tests.redis_storm --seconds $(SECONDS)

powercut: $(VENV)/.stamp  ## cut the power under a recorded server at POINTS= points, and audit what is left
	$(BIN)/python -m tests.powercut.cut --points $(POINTS)

drills: $(VENV)/.stamp  ## back up under load, restore, serve and compare, DRILLS= times
	$(BIN)/python -m tests.crash.backup_drills --drills $(DRILLS)

archive: $(VENV)/.stamp  ## kill -9 an archive at ten points of its way, with bets in flight, and ask for everything again
	$(BIN)/python -m tests.crash.archive_kills

mutations: $(VENV)/.stamp  ## COUNT= random single mutations of valid books: `verify` must find all of them
	$(BIN)/python tests/mutations.py $(COUNT)

fuzz: $(VENV)/.stamp    ## CASES= malformed messages, frames, requests and tokens, to a real server: nothing may come of them
	$(BIN)/python -m tests.fuzz.wire_fuzz --cases $(CASES) $(ARGS)

wallet-model: $(VENV)/.stamp  ## the wallet against a model of it, EXAMPLES= random walks of forty batches
	EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/test_wallet_model.py -m long

schemathesis: CASES = 100
schemathesis: $(VENV)/.stamp  ## CASES= made-up requests of each route of /openapi.json, as each role, to a real server
	CASES=$(CASES) $(BIN)/pytest tests/test_schemathesis.py -m long -s

payout: $(VENV)/.stamp  ## pay 100,000 winners beside bets, kill -9 in the middle, and audit what is left
	$(BIN)/python -m bench.payouts $(ARGS)

logins: $(VENV)/.stamp  ## bets while 50 people log in, and without: what that costs them
	$(BIN)/python -m bench.logins $(ARGS)

receipts: $(VENV)/.stamp  ## RECEIPTS= receipts of a real file, true and tampered with, in Python and in Node
	$(BIN)/python tests/receipts_in_bulk.py --count $(RECEIPTS)

nodes: $(VENV)/.stamp $(MODULES)  ## what is in JavaScript on each of NODES=, versions of Node that npm brings
	@set -e; for node in $(NODES); do \
		npm install --prefix build/node-$$node --no-save --no-audit --no-fund --loglevel error node@$$node; \
		PATH=$(CURDIR)/build/node-$$node/node_modules/node/bin:$$PATH; node --version; \
		$(BIN)/pytest -m long $$(grep -l in_node tests/test_*.py); \
	done

client-types: $(VENV)/.stamp $(MODULES)  ## write clients/javascript/*.d.ts anew, from the server's messages and the JSDoc
	$(BIN)/python tests/client_types.py

overload: $(VENV)/.stamp  ## three times the bets that the wallet can take, one socket that floods, an open circuit: ARGS=--parts …
	$(BIN)/python -m bench.overload $(ARGS)

bench: $(VENV)/.bench   ## every case of docs/performance.md beside its ceiling, half an hour: ARGS=--quick
	$(BIN)/python -m bench.run $(ARGS)

lock: $(VENV)/.stamp    ## resolve the dependencies again, for every supported Python
	$(BIN)/uv $(LOCK) --extra dev --extra bench -o requirements.lock
	$(BIN)/uv $(LOCK) --all-extras --constraint requirements.lock -o requirements-bench.lock

wheel: $(VENV)/.stamp   ## build dist/*.whl
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) .venv-* dist build .mypy_cache .ruff_cache .hypothesis
