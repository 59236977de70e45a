# Two commands matter: `make demo` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One more worker than cores: one of them waits for a process or a network most of the time. A file of tests runs whole
# in one worker, the longest first (tests/conftest.py).
CORES  := $(shell getconf _NPROCESSORS_ONLN)
PYTEST := $(BIN)/python -m pytest -n $$(($(CORES) + 1)) --dist loadfile --no-loadscope-reorder -rs
USUAL  := not deep and not ort_training and not arm64 and not lowest

.PHONY: android android-downloads test-android dist walk system-packages tables web-where-possible conformance test-arm64 test-deep test-lowest test-official test-stress test-zoo types-product types-tests web demo test lint types clean help install
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# torch is named exactly and first, so that pip takes its CPU build wherever one is offered.
$(VENV)/.installed: pyproject.toml
	@echo "installing into $(VENV): about 2.4 GB with PyTorch's CPU build, 6.1 GB with PyPI's CUDA build for Linux;" \
	  "for the CPU build: make install PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## make the virtual environment

demo: install  ## export, serve, train a fleet with and without FedReLa, and report (about 3 minutes)
	$(BIN)/python -m examples.demo

web: web/node_modules/.package-lock.json  ## build the phone page into the coordinator (needs Node.js 20 or newer)
	cd web && npm run build

# Neither needs what the package needs: an environment of a few megabytes does.
dist: web  ## the wheel and the sdist of a release, the phone page in both, checked (about a minute)
	rm -rf dist
	$(PYTHON) -m venv .venv-dist && .venv-dist/bin/pip install --quiet 'setuptools>=77' twine
	.venv-dist/bin/python -m tests.packaging.release dist
	.venv-dist/bin/twine check --strict dist/*

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-fund --no-audit
	@touch $@

web-where-possible:
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory web; fi

system-packages:
	@tests/system_packages.sh

walk: install  ## type the README's blocks in order, as they are written (about 3 minutes)
	$(BIN)/python -m tests.documents.walk

lint: install  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: types-product types-tests  ## mypy: strict on the product, and what the tests annotate

types-product: install
	$(BIN)/mypy

types-tests: install
	$(BIN)/mypy --config-file tests/mypy.ini tests

test: install system-packages android-downloads  ## linter, type checker and every test but the long ones named at its end
	$(MAKE) --no-print-directory -j $(CORES) lint types web-where-possible
	$(PYTEST) -m "$(USUAL)"
	@echo "not in make test, each a command of its own: make walk, test-deep, test-lowest, test-official, test-arm64, test-stress, test-zoo, conformance, tables"

test-stress: install  ## three times, what waits for time, processes or a network, while four loops want every core
	@command -v stress-ng > /dev/null || { echo "it needs stress-ng: sudo apt-get install stress-ng"; exit 1; }
	stress-ng --quiet --cpu 4 & load=$$!; trap "kill $$load" EXIT; for run in 1 2 3; do \
	  $(PYTEST) -m "waits and $(USUAL)" || exit 1; done

test-deep: install  ## deep nets, every layer on every runtime, the oldest one too, 2 000 generated models (an hour or more)
	$(BIN)/python -m pytest -n auto -m deep

test-lowest: install  ## the exporter on the oldest packages that it names, in an environment of their own (1.5 GB)
	$(BIN)/python -m pytest -n0 -rs -m lowest tests/packaging

test-official: install  ## ONNX Runtime's own training layout, in an environment that it builds first (1 GB)
	$(BIN)/python -c "from fedrela.export.official.ort_environment import environment as e; e(report=print)"
	$(BIN)/python -m pytest -n0 -rs -m ort_training tests/export/official

.venv-zoo/.installed: pyproject.toml tests/zoo/lock.txt
	$(PYTHON) -m venv .venv-zoo
	.venv-zoo/bin/pip install --quiet torch==2.13.0
	.venv-zoo/bin/pip install --quiet --editable '.[edge,export]'
	.venv-zoo/bin/pip install --quiet --no-deps -r tests/zoo/lock.txt
	@touch $@

test-zoo: .venv-zoo/.installed  ## models of PyPI's packages exported and trained; those that have no result in docs/zoo.md yet
	.venv-zoo/bin/python -m tests.zoo

tables: install  ## train every layer and reference model on both runtimes, and write docs/layers.md from it
	FEDRELA_RECORD_TABLES=1 $(BIN)/python -m pytest -n0 tests/export/layers/test_catalog.py tests/export/verification/test_reference_models.py

conformance: install web  ## both clients play every case of the conformance server (about 10 minutes)
	FEDRELA_EVERY_CASE=1 $(BIN)/python -m pytest -n0 tests/conformance/server tests/web/test_http_cases.py

test-arm64: install  ## a 64-bit Arm device, emulated: the real wheels in a Debian 12 userland
	$(BIN)/python -m pytest -m arm64 tests/arm64 -rs -s --durations=3

# Nothing to do where all that it reads is what the last build read that passed.
ANDROID_BUILT := android/target/built
ANDROID_READS := find android conformance/vectors tests/android/pte_server.py -name target -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
# Kotlin's compiler leaves the classes of sources that are gone.
ANDROID_CLASSES := $(foreach module,client onnx executorch android workmanager sample cli,android/$(module)/target/classes android/$(module)/target/test-classes)
android: android-downloads  ## the Kotlin client, its Android parts and the sample's APK, built and tested (needs a JDK 17, Maven, zip)
	@mkdir -p $(dir $(ANDROID_BUILT)) && $(ANDROID_READS) > $(ANDROID_BUILT).next
	@cmp -s $(ANDROID_BUILT).next $(ANDROID_BUILT) && [ -f android/sample/target/fedrela-sample.apk ] || \
	  { rm -rf $(ANDROID_CLASSES) && (cd android && mvn -T 2 -B -q -Dstyle.color=never verify) && mv $(ANDROID_BUILT).next $(ANDROID_BUILT); }

android-downloads:
	@[ -d "$$HOME/.m2/repository/org/robolectric" ] || ! command -v mvn > /dev/null || \
	  echo "Maven will download Kotlin, ONNX Runtime, Android's build tools and two Androids: about 1.1 GB, once"

test-android: install android  ## the Kotlin client on a JVM: against a real coordinator, the conformance server and the fuzzer
	$(BIN)/python -m pytest -n0 -rs -m android tests/android

clean:  ## remove the virtual environment and everything a run wrote
	rm -rf $(VENV) runs build dist *.egg-info android/target android/*/target
