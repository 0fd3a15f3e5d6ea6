# One line for each thing that people do here; `make help` lists them.

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Everything is built once: for one target, static as in the image, and with the features of dependencies that all
# packages together want (`--workspace`). The 400 crates below the agent take two minutes on two cores each time that one of
# these differs.
HOST := $(shell rustc --print host-tuple)
export CARGO_BUILD_TARGET := $(HOST)
export RUSTFLAGS := -C target-feature=+crt-static
BUILT := $(TARGET)/$(HOST)/debug
BUILD := cargo build --quiet --locked --workspace
CLUSTER := $(BUILT)/cluster
# What the cluster was built from; some tests start a Prometheus, the kubelet's prober, Helm or kubectl themselves.
PROGRAMS := $(abspath $(or $(TEST_CLUSTER_DIR),$(TARGET)/cluster)/bin)

# Python's packages with the schemas of several versions of Kubernetes.
SCHEMAS := $(abspath $(TARGET))/schemas

# A test that fails says what it saw; where in the client that came up helps nobody.
export RUST_LIB_BACKTRACE := 0

.DEFAULT_GOAL := help
.PHONY: help cluster cluster-down cluster-shell cluster-program
.PHONY: demo lint test chaos model image bench-decide bench-reaction soak-detach fuzz mutants chart-readme dist e2e-install

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

cluster-program:
	@[ -e $(CLUSTER) ] || echo "  cluster                  building the program that starts it, about a minute …" >&2
	@$(BUILD) --bin cluster

cluster: cluster-program ## Bring up a real Kubernetes on this machine, or find it running
	@$(CLUSTER) up

cluster-down: cluster-program ## Take it away without a trace
	@$(CLUSTER) down

cluster-shell: cluster-program ## Open a shell inside it, with kubectl
	@$(CLUSTER) shell

# Registries are asked outside the cluster, the story is played inside. KEEP=1 leaves everything running. The cluster is
# one without what only tests need, and what plays in it is built while its own programs are downloaded and built.
demo: cluster-program ## Show on a cluster what the agent does, each step checked
	@$(BUILD) $(addprefix --bin ,test-workload pod-quarantine kubectl-quarantine prepare demo) & built=$$!; \
	trap 'kill $$built 2>/dev/null' EXIT; \
	$(CLUSTER) up --for-demo && wait $$built
	@$(BUILT)/prepare
	@$(CLUSTER) exec -- $(BUILT)/demo

lint: ## Check formatting, run clippy, and look for names defined twice, questions that act, import circles
	@cargo fmt --all --check
	@cargo clippy --quiet --locked --workspace --all-targets -- --deny warnings
	@cargo clippy --quiet --locked --workspace --test suite -- --deny warnings
	@cargo run --quiet --locked --package test-house

$(SCHEMAS): tests/schemas/requirements.txt
	@rm -rf $@ $@.new
	@python3 -m pip install --quiet --root-user-action=ignore --target $@.new --requirement $<
	@touch $@.new && mv $@.new $@

# What the tests on the cluster need from a registry, they get before they are inside: the cluster's programs are
# downloaded and built while the tests are compiled. The tests wait more than they compute: four at a time suit two
# processors, but for those that must run alone.
test: cluster-program $(SCHEMAS) ## Run all tests: unit and property tests, then those on the cluster
	@$(CLUSTER) build & cluster=$$!; \
	trap 'kill $$cluster 2>/dev/null' EXIT; \
	cargo test --quiet --locked --workspace --no-run --test '*' && wait $$cluster
	@PATH="$(PROGRAMS)/prometheus:$(PROGRAMS)/prober:$(PROGRAMS)/helm:$(PROGRAMS)/kubernetes:$$PATH" CHART_TOOLS="$(PROGRAMS)/chart-tools" SCHEMAS="$(SCHEMAS)" cargo test --locked --workspace
	@$(CLUSTER) up
	@$(BUILD) --bin prepare && $(BUILT)/prepare
	@$(CLUSTER) exec -- cargo test --offline --workspace --test running -- --ignored --test-threads 1
	@$(CLUSTER) exec -- cargo test --offline --workspace --test suite -- --test-threads 1 ::alone::
	@$(CLUSTER) exec -- cargo test --offline --workspace --test suite -- --test-threads 4 --skip ::alone::
	@$(BUILD) --bin rights && $(BUILT)/rights

e2e-install: cluster-program ## Install, upgrade, roll back and uninstall the chart on a cluster, with a pod in quarantine
	@$(CLUSTER) up
	@$(BUILD) --bin prepare && $(BUILT)/prepare
	@$(CLUSTER) exec -- cargo test --offline --workspace --test suite -- --nocapture install:: uninstall:: confinement::

# What it prints first, SEED, lets the same things happen again. SABOTAGE breaks a rule on purpose and must fail: cap,
# label, quarantine, release, reap or share. ROUNDS=1000 takes a quarter of an hour, the 200 three minutes. TENANTS=0 is
# without tenants: then the limit of the whole cluster stands in the way.
chaos: cluster-program ## Kill, stop and mislead two agents, beside hostile tenants, for ROUNDS=200; no pod too many out, no label lost, no other namespace touched
	@$(CLUSTER) up
	@$(BUILD) --bin prepare --bin chaos && $(BUILT)/prepare
	@$(CLUSTER) exec -- $(BUILT)/chaos

image: cluster-program ## Build the Dockerfile, as a user would, without a registry of images
	@$(CLUSTER) image $(if $(filter dev,$(PROFILE)),--dev)

# For the target at hand. A release pipeline runs it on each machine, signs the archives and publishes them.
dist: ## Pack what a release publishes into target/dist: REPOSITORY=https://… is where it will be
	@deploy/dist/build

# Its tables are made of the comments in values.yaml.
chart-readme: cluster-program ## Write the README of the chart
	@$(CLUSTER) build
	@$(PROGRAMS)/chart-tools/helm-docs --log-level warning --chart-search-root deploy/helm/pod-quarantine

# Each round has other cases; the first mistake ends it, with the smallest case that shows it.
soak-detach: ## Try the choice of labels on many more random cases: ROUNDS=10 of 100,000
	@cargo test --quiet --locked --package pod-quarantine-core --test core --no-run
	@for round in $$(seq $(or $(ROUNDS),10)); do \
		began=$$(date +%s); \
		PROPTEST_CASES=100000 cargo test --quiet --locked --package pod-quarantine-core --test core detach_model:: >$(TARGET)/soak-detach.log 2>&1 \
			|| { cat $(TARGET)/soak-detach.log; exit 1; }; \
		echo "round $$round: 100000 cases of each property, $$(($$(date +%s) - began)) s"; \
	done

# libFuzzer is guided by rustc's own instrumentation, of the dependencies, too. All is built once more for it.
COVERAGE := -C opt-level=1 -C passes=sancov-module $(addprefix -C llvm-args=-sanitizer-coverage-, \
	level=4 inline-8bit-counters pc-table trace-compares)

fuzz: ## Look for inputs that break what reads them: SECONDS=60 each, ONLY=record; KEEP=1 keeps new inputs
	@RUSTFLAGS="$(COVERAGE)" cargo build --quiet --locked --package test-fuzz --features libfuzzer --bin fuzz-target
	@tests/fuzz/run $(BUILT) $(or $(SECONDS),60)

# Each mutant is built and tested in seconds, and there are 2,000 of them. SHARD=0/8 tries the first eighth.
mutants: ## Change the core in 2,000 ways, each of which a test must notice: hours; SHARD=0/8
	@tests/mutants/run

# How much may go wrong is in the environment: MODEL_FAULTS in all, of these at most MODEL_NETWORK, MODEL_STATUS,
# MODEL_PEOPLE, MODEL_HOSTILE (they write anything onto a pod of their own), MODEL_WEBHOOK, MODEL_LEDGER, MODEL_HEALTH;
# besides MODEL_HALF_MINUTES, MODEL_TTLS; MODEL_LIMIT, MODEL_NEW_PODS of 3, MODEL_READS_WAIT=1; MODEL_ENDINGS=8 tries
# one state of eight for its end.
model: ## Try every order of events on the cap protocol: MODEL_FAULTS=2, MODEL_LIMIT=1
	@cargo test --quiet --locked --profile bench --package pod-quarantine-writer --test model -- --ignored --nocapture

bench-decide: ## Measure how long a decision takes beside what tenants can write
	@cargo test --quiet --locked --release --package pod-quarantine-core --test core decision_time:: -- --ignored --nocapture

bench-reaction: cluster-program ## Measure how long the agent takes to react, compared with a bare patch
	@$(CLUSTER) up
	@$(BUILD) --bin prepare && $(BUILT)/prepare --release
	@$(BUILD) --profile bench --bin bench-reaction
	@$(CLUSTER) exec -- $(TARGET)/$(HOST)/release/bench-reaction
