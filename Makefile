# One line for each thing that people do here; `make help` lists them.

CLUSTER := cargo run --quiet --package test-cluster --bin cluster --
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help cluster cluster-down cluster-shell
.PHONY: demo

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

cluster: ## Bring up a real Kubernetes on this machine, or find it running
	@$(CLUSTER) up

cluster-down: ## Take it away without a trace
	@$(CLUSTER) down

cluster-shell: ## Open a shell inside it, with kubectl
	@$(CLUSTER) shell

# Registries are asked outside the cluster, the story is played inside. KEEP=1 leaves everything running.
demo: ## Show on a cluster what the agent does, each step checked
	@$(CLUSTER) up
	@cargo run --quiet --package test-e2e --bin prepare
	@cargo build --quiet --package test-e2e --bin demo
	@$(CLUSTER) exec -- $(TARGET)/debug/demo
