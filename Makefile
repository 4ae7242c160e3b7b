# The two commands of the README, and the longer ones. `ready` and `ready-kafka` say what is missing.

CARGO ?= cargo
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: demo demo-kafka test test-kafka soak bench ready ready-kafka help

help: ## What there is to make
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

demo: ready ## Watch 2000 made-up referral events become tasks
	@$(CARGO) run --locked -- demo --events 2000

demo-kafka: ready ready-kafka ## The same on a real Apache Kafka, fetched and started for it
	@trap 'deploy/kafka/kafka.sh stop target/demo-kafka; rm -rf target/demo-kafka' EXIT; \
	bootstrap=$$(deploy/kafka/kafka.sh start target/demo-kafka); \
	$(CARGO) run --locked -- demo --events 2000 --kafka "$$bootstrap"

test: ready ready-kafka ## Format, lints, documentation, and every test, those on a real Apache Kafka included
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	$(CARGO) test --locked --no-fail-fast

test-kafka: ready ready-kafka ## Those on a real Apache Kafka alone
	$(CARGO) test --locked --test kafka

soak: ready ready-kafka ## Long: 10,000 simulated seeds, and on Kafka 50 kills, 22 broker restarts, storms, zombies, a full disk
	PATHWAY_SEEDS=10000 $(CARGO) test --locked --release --test durability faults_change -- --nocapture
	$(CARGO) test --locked --test kafka soak_of_t -- --ignored --nocapture
	@disk=$$(mktemp -d); \
	if mount -t tmpfs -o size=1g tmpfs "$$disk" 2>/dev/null; then \
		trap 'sleep 3; umount "$$disk"; rmdir "$$disk"' EXIT; \
		PATHWAY_TEST_SMALL_DISK="$$disk" $(CARGO) test --locked --test kafka soak_of_a_full_disk -- --ignored --nocapture; \
	else \
		rmdir "$$disk"; printf '%s\n' "The full disk was left out: a small file system can be mounted by root alone." >&2; \
	fi

bench: ready ## Measure: printed, never asserted
	$(CARGO) bench --locked

ready:
	@if ! command -v $(CARGO) >/dev/null; then \
		printf '%s\n' "Rust is missing. On Debian or Ubuntu:" \
		"  sudo apt-get install --yes curl ca-certificates build-essential" \
		"  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal" \
		"  . \"\$$HOME/.cargo/env\"" >&2; \
		exit 1; \
	fi
	@if ! command -v cc >/dev/null; then \
		printf '%s\n' "A C compiler is missing (SQLite is built from source). On Debian or Ubuntu:" \
		"  sudo apt-get install --yes build-essential" >&2; \
		exit 1; \
	fi
	@if ! command -v pkg-config >/dev/null || ! pkg-config --exists libssl; then \
		printf '%s\n' "OpenSSL's headers are missing (the Kafka client speaks TLS). On Debian or Ubuntu:" \
		"  sudo apt-get install --yes build-essential pkg-config libssl-dev" >&2; \
		exit 1; \
	fi
	@if ! $(CARGO) fmt --version >/dev/null 2>&1 || ! $(CARGO) clippy --version >/dev/null 2>&1; then \
		printf '%s\n' "rustfmt or clippy is missing:" "  rustup component add rustfmt clippy" >&2; \
		exit 1; \
	fi

# The Kafka tests run on a real broker, with clients in Python too. PATHWAY_ALLOW_NO_KAFKA=1 leaves them out, and says so.
ready-kafka:
	@if [[ "$${PATHWAY_ALLOW_NO_KAFKA:-}" != 1 ]] && \
		! { command -v java && command -v mvn && command -v openssl && python3 -c 'import ensurepip'; } >/dev/null 2>&1; then \
		printf '%s\n' "Java, Maven, OpenSSL or Python is missing (a real Apache Kafka is fetched and run). On Debian or Ubuntu:" \
		"  sudo apt-get install --yes openjdk-17-jre-headless maven openssl python3-venv" \
		"or leave those tests out: PATHWAY_ALLOW_NO_KAFKA=1 make test" >&2; \
		exit 1; \
	fi
