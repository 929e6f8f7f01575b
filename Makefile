# ARGS goes to the program behind the target: make demo ARGS="--devices 100", make test ARGS="-p sixfold-engine".
.PHONY: demo test vm-test bench fleet proof soak pictures firmware size lint deny reproducible fuzz fuzz-long packages packages-test

demo:
	@cargo build --locked --bin sixfold-device --bin sixfold-demo
	@cargo run --quiet --locked --bin sixfold-demo -- $(ARGS)

test: ; @scripts/test $(ARGS)

# Under QEMU: the kernel's own 6LoWPAN against the channel model, and a Debian with systemd against the package; part of `make test` too.
vm-test:
	@scripts/test -p sixfold-netns-tests --test vm --test debian_vm -- --nocapture

bench:
	@cargo build --quiet --locked --profile bench --bin sixfold-relay --bin sixfold-bench
	@cargo run --quiet --locked --profile bench --bin sixfold-bench -- $(ARGS)

# 1860 fleets in virtual time: some minutes, and the compiler before it; ARGS="--small" for a first look.
fleet:
	@cargo build --quiet --locked --release --bin sixfold-air
	@target/release/sixfold-air fleet $(ARGS)

# What is promised of fleets, measured, with verdicts: a quarter of an hour; ARGS="--small" for a first look. Fails when one is not kept.
proof:
	@cargo build --quiet --locked --release --bin sixfold-air
	@target/release/sixfold-air proof $(ARGS)

# A relay under 200 devices while everything around it goes wrong, for half an hour or MINUTES=; ARGS="--seed 7". Fails when anything is
# lost, wrong or kept. A short version is part of `make test`.
MINUTES ?= 30
soak:
	@cargo build --quiet --locked --release --bin sixfold-relay --bin sixfold-device --bin sixfold-publish --bin sixfold-soak
	@target/release/sixfold-soak --minutes $(MINUTES) $(ARGS)

# docs/pictures: the status page in a browser, and what demo, status, prepare and boot print, which README.md has too. After what they
# show has changed.
pictures: ; @scripts/pictures

# Boot programs and a main program for machines that QEMU emulates, in target/firmware: device-client/firmware/README.md.
firmware: ; @scripts/firmware

# What firmware takes of flash, RAM and stack; fails when something takes more than its budget. ARGS=--write: docs/size.md.
size:
	@scripts/firmware >/dev/null
	@cargo run --quiet --locked -p sixfold-size-report -- $(ARGS)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cd device-client/firmware && cargo fmt --all --check
	cd fuzz && cargo fmt --all --check

# Licences, duplicates and sources of all dependencies, by deny.toml; then known holes, where RustSec's data base can be reached.
deny: ; @scripts/deny

fuzz: ; @scripts/fuzz $(ARGS)

fuzz-long:
	SIXFOLD_FLOOD=10000000 cargo test --locked --release -p sixfold-engine --test fuzz

# .deb, .ipk and .apk in target/packages: some minutes each. ARGS="x86_64 amd64" for some of them; docs/operations.md has the names.
packages: ; @scripts/packages $(ARGS)

# Whether they are small, can be read, and run (under qemu-user where foreign).
packages-test: ; @scripts/packages-test

# The packages, built twice in two places, are the same bytes: long, and not part of make test. ARGS as for make packages.
reproducible: ; @scripts/reproducible $(ARGS)
