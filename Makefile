# One line for each thing that people do here; `make help` lists them.

CLUSTER := cargo run --quiet --package test-cluster --bin cluster --

.DEFAULT_GOAL := help
.PHONY: help cluster cluster-down cluster-shell

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

cluster: ## Bring up a real Kubernetes on this machine, or find it running
	@$(CLUSTER) up

cluster-down: ## Take it away without a trace
	@$(CLUSTER) down

cluster-shell: ## Open a shell inside it, with kubectl
	@$(CLUSTER) shell
