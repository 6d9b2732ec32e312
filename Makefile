# `make` or `make help` says what there is.

# The ports of the demonstration; 0 takes a free one. The page is the one to open.
PORT ?= 8080
API_PORT ?= 0
PUSHER_PORT ?= 0
ROOMS_PORT ?= 0
# Its devices: simulated, or real ones.
CAMERA ?= test
MICROPHONE ?= test
SPEAKER ?= tv
SCREEN ?= driver
LOG ?= info
# The processor of make cross and make package.
TARGET ?= aarch64

.DEFAULT_GOAL := help
.PHONY: help tools build demo demo-check test units devlab-test devlab-full devlab-faults devlab-bench bench lint fmt clean
.PHONY: yocto-check cross cross-check install package package-check reproducible

help: ## these lines
	@echo 'residentd: the resident'"'"'s end of a video call'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo
	@echo 'Variables of make demo, with what they are now:'
	@echo '  PORT=$(PORT)         the page; API_PORT, PUSHER_PORT, ROOMS_PORT: the lab (0: a free one)'
	@echo '  CAMERA=$(CAMERA)       a V4L2 device such as /dev/video0, "test" for a moving test picture, or "none"'
	@echo '  MICROPHONE=$(MICROPHONE)   an ALSA device such as default, "test" for a test tone, or "none"'
	@echo '  SPEAKER=$(SPEAKER)        an ALSA device, or "tv" for the television in the page'
	@echo '  SCREEN=$(SCREEN)     "driver" for the television in the page, "window" on a desktop, "kms" without one'
	@echo 'Tools and packages go into $${RESIDENTD_CACHE:-~/.cache/residentd}.'

tools: ## install what building, demonstrating and testing need
	@tests/tools/prepare test

build: ## build the daemon and the lab
	@tests/tools/prepare demo
	cargo build --workspace --bins --locked

# For the demonstration only: the servers that the tests start would take a PORT for theirs.
demo: export PORT := $(PORT)
demo: export API_PORT := $(API_PORT)
demo: export PUSHER_PORT := $(PUSHER_PORT)
demo: export ROOMS_PORT := $(ROOMS_PORT)
demo: export CAMERA := $(CAMERA)
demo: export MICROPHONE := $(MICROPHONE)
demo: export SPEAKER := $(SPEAKER)
demo: export SCREEN := $(SCREEN)
demo: export LOG := $(LOG)
demo: build ## start the lab and the daemon, and say where to look (Ctrl-C ends it)
	@node tests/demo/start.mjs

demo-check: ## the demonstration, driven by a real browser, without a display
	@tests/tools/prepare check
	cargo build --workspace --bins --locked
	@LOG= node tests/browser/demo-check.mjs

test: ## everything: format, lints, licences, unit, property, real servers, browser
	@tests/tools/test

units: ## the service: unit, user, directories, udev rules
	cargo build --bins --locked
	@tests/tools/units

devlab-test: ## the tests on camera, CEC, display, sound and input drivers, in a Linux kernel of their own
	@tests/tools/prepare test
	@tests/devlab/test $(TESTS)

devlab-full: ## the same under qemu with Debian's stock kernel and the installed package (10 minutes; DEVLAB_PACKAGE=…: that one)
	@tests/tools/prepare full
	@tests/devlab/test --full $(TESTS)

devlab-faults: ## every fault of a device at each moment of a call (15 minutes; FAULT="Camera,Remote": only these; FAULT=each: one of each kind)
	@tests/tools/prepare test
	@DEVLAB_FAULT='$(FAULT)' DEVLAB_TIMEOUT=3000 \
	  tests/devlab/side-by-side --nocapture faults::of_camera_and_sound -- --nocapture faults::of_the_television
	@cat $${DEVLAB_KEEP:-target/devlab}/faults-*.md target/devlab-2/faults-*.md

devlab-bench: ## the figures that need devices, measured in the device lab
	@tests/tools/prepare bench
	@DEVLAB_PROFILE=release DEVLAB_TIMEOUT=1800 tests/devlab/test --nocapture figures:: echo::the_echo_of
	@cat target/devlab/bench.jsonl >> target/bench.jsonl

bench: ## the figures, beside their peers (FIGURES="idle answer": only these groups)
	@tests/tools/prepare bench
	cargo bench --locked --bench figures -- $(FIGURES)

lint: ## format, clippy, licences
	@tests/tools/test lint

cross: ## build for another processor: TARGET=aarch64 or armv7 (cross/README.md)
	@tests/tools/prepare cross
	@cross/build.sh $(TARGET)

cross-check: ## run what `make cross` has built, under qemu: a call with the lab, among others
	@tests/tools/prepare cross
	@cross/check.sh $(TARGET)

install: ## put what `cargo build --release` has built, and all that belongs to it, where a system expects it (DESTDIR=…)
	@packaging/install.sh

package: ## the .deb for TARGET with its bill of materials and checksums, in target/package
	@tests/tools/prepare package
	@packaging/package.sh $(TARGET)

package-check: ## lintian; on a machine of its own (for ARM an emulated one): from nothing to online, credentials, upgrade, purge
	@tests/tools/prepare package
	cargo build --workspace --bins --locked
	@packaging/check.sh $(TARGET)

reproducible: ## build and package the last commit twice in different folders, and compare the bytes (half an hour)
	@tests/tools/prepare package
	@packaging/reproducible.sh $(TARGET)

yocto-check: ## the Yocto layer: parse, lint, freshness (OE_CORE=… META_OE=… BITBAKE=…: a whole parse and a dry run)
	@tests/tools/prepare yocto
	@yocto/check/run

fmt: ## format the sources
	cargo fmt --all

clean: ## remove what was built (not the cache)
	cargo clean
