# Both main commands make .venv where it is missing and use it again where it is not.
PYTHON ?= python3
BIN := .venv/bin
SCANS ?= 4
BUILD ?= docker build
WEIGHTS ?= work/weights
SUBMISSION ?= work/submission
# Steps of the last two trainings of `weights`: of the first, the networks whose mean the second starts
# from; of either, those whose mean is taken.
STATES ?= 2000 2500 3000 3500 4000 4500 5000 5500 6000 6500 7000 7500
LATE_STATES ?= 5000 5500 6000 6500 7000 7500
LAST_STATES ?= 1000 1500 2000 2500 3000 3500
TEMPERATURE ?= 1.5

PACKAGES := inference evaluation phantom training

.PHONY: demo demo-phantom renew-labels renew-ratios docs test lint smoke bench budget budget-gpu dry-run weights wheel image image-test submission clean

demo: .venv/demo-ready  ## label two stored scans, print the scores, write label maps and pictures
	$(BIN)/meatus predict tests/scans/hrT2 demo/labels --report demo/report
	$(BIN)/meatus score demo/labels tests/scans/truth \
		--scans tests/scans/hrT2 --pictures demo/pictures

demo-phantom: .venv/ready  ## the same with SCANS=4 phantoms, drawn first
	$(BIN)/meatus phantom cohort demo-phantom/cohort --test $(SCANS) --seed 3 --resume
	$(BIN)/meatus predict demo-phantom/cohort/crossmoda23_test demo-phantom/labels \
		--report demo-phantom/report
	$(BIN)/meatus score demo-phantom/labels demo-phantom/cohort/truth/test \
		--scans demo-phantom/cohort/crossmoda23_test --pictures demo-phantom/pictures

renew-labels: .venv/ready  ## after new weights: the labels and scores that tests compare with
	$(BIN)/python -m tests.scans.stored
	$(MAKE) renew-ratios

renew-ratios: .venv/ready  ## the main job's work beside reference work, that budget compares with
	$(BIN)/meatus budget tests/scans/hrT2 --ratios tests/scans/ratios.json --renew --rounds 9

docs: .venv/ready  ## write docs/commands.md from every command's help, the weights' card from their manifest
	$(BIN)/python -m tests.commands_page
	$(BIN)/python -m tests.model_card

test: .venv/ready lint  ## lint, format, types, tests
	$(BIN)/python -m pytest -n 2 tests

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

weights: .venv/ready  ## from nothing, after CONTOURS: 5 hours of two cores with bf16; goes on where it stopped
	$(BIN)/meatus train segment $(WEIGHTS) --preset first --member phantom-first --seed 1 \
		$(if $(CONTOURS),--contours $(CONTOURS))
	$(BIN)/meatus train segment $(WEIGHTS) --preset shipped --member phantom-thin --seed 1 \
		$(if $(CONTOURS),--contours $(CONTOURS)) --start $(WEIGHTS)/segment/phantom-first/network.pt
	$(BIN)/meatus train segment $(WEIGHTS) --preset thick --member phantom-thick --seed 1 \
		$(if $(CONTOURS),--contours $(CONTOURS)) --start $(WEIGHTS)/segment/phantom-thin/network.pt
	$(BIN)/meatus train segment $(WEIGHTS) --preset steady --member phantom-steady --seed 1 \
		$(if $(CONTOURS),--contours $(CONTOURS)) --start $(WEIGHTS)/segment/phantom-thick/network.pt
	mkdir -p $(WEIGHTS)/set
	$(BIN)/meatus train export $(STATES:%=$(WEIGHTS)/segment/phantom-steady/network-%.pt) \
		$(WEIGHTS)/steady.onnx
	$(BIN)/meatus train segment $(WEIGHTS) --preset whole --member phantom-a --seed 1 \
		$(if $(CONTOURS),--contours $(CONTOURS)) --start $(WEIGHTS)/steady.onnx
	$(BIN)/meatus train export $(LAST_STATES:%=$(WEIGHTS)/segment/phantom-a/network-%.pt) \
		$(LATE_STATES:%=$(WEIGHTS)/segment/phantom-steady/network-%.pt) $(WEIGHTS)/set/phantom-a.onnx \
		--fp16 --temperature $(TEMPERATURE) --scan tests/scans/hrT2/large_T2.nii.gz
	$(BIN)/meatus train segment $(WEIGHTS) --preset scout --member phantom-scout --seed 1 \
		$(if $(CONTOURS),--contours $(CONTOURS)) --start $(WEIGHTS)/set/phantom-a.onnx
	$(BIN)/meatus train export $(WEIGHTS)/segment/phantom-scout/network.pt \
		$(WEIGHTS)/set/phantom-scout.onnx --fp16 --scan tests/scans/hrT2/large_T2.nii.gz
	$(BIN)/meatus train manifest $(WEIGHTS)/set

smoke: .venv/ready  ## the whole training, from scans to weights, at its smallest
	$(BIN)/meatus phantom cohort work/smoke/cohort --source 3 --target 3 --validation 1 \
		--seed 7 --resume
	$(BIN)/meatus train reproduce work/smoke/cohort work/smoke/work --preset smoke
	$(BIN)/meatus predict work/smoke/cohort/crossmoda23_validation work/smoke/labels \
		--weights work/smoke/work/weights

bench: .venv/ready  ## seconds and memory of the main job on this machine; of scoring
	$(BIN)/meatus train bench
	$(BIN)/meatus bench

budget: .venv/ready  ## fail where the main job takes too much, got slower, or errs; in IMAGE, if given
	$(BIN)/meatus budget tests/scans/hrT2 --max-seconds 27 --max-rss-mib 1024 \
		--truth tests/scans/truth --min-dice 0.83 --ratios tests/scans/ratios.json \
		$(if $(IMAGE),--image $(IMAGE)) $(BUDGET) -- --device cpu --quality standard

budget-gpu: .venv/ready  ## fail where it takes more than the paper's 27 s and 5413 MiB on a GPU
	$(BIN)/meatus phantom cohort work/budget --test 3 --seed 3 --resume
	$(BIN)/meatus budget work/budget/crossmoda23_test --require-gpu -- --device cuda

dry-run: .venv/ready  ## what many scans cost beside their labelling: CASES=20000 empty ones
	$(BIN)/python -m meatus.cluster.dry_run --cases $(or $(CASES),20000)

wheel: .venv/ready  ## dist/: a wheel of each of the four packages
	for package in $(PACKAGES); do \
		(cd $$package && ../$(BIN)/python -m hatchling build -t wheel -d ../dist) || exit; \
	done

image:  ## container images: meatus (GPU, else processor) and meatus:cpu (smallest)
	$(BUILD) --build-arg REVISION=$$(git rev-parse HEAD) -t meatus .
	$(BUILD) --build-arg REVISION=$$(git rev-parse HEAD) -t meatus:cpu --target cpu .

image-test: .venv/ready  ## build the cpu image and run it, shut off from everything
	MEATUS_CONTAINER=$${MEATUS_CONTAINER:-1} $(BIN)/python -m pytest -s -rs tests/container

submission: .venv/ready  ## what challenge sites take; IMAGE=meatus saves that image too
	$(BIN)/python packaging/submission.py $(SUBMISSION) $(if $(IMAGE),--image $(IMAGE))

# What inference and evaluation need, and no torch; nothing more where all is there already.
.venv/demo-ready: requirements.txt inference/pyproject.toml evaluation/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -e .venv/ready || $(BIN)/pip install --quiet --disable-pip-version-check \
		-c requirements.txt -e ./inference -e ./evaluation
	touch $@

.venv/ready: requirements.txt requirements-dev.txt $(PACKAGES:%=%/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		$(PACKAGES:%=-e ./%)
	touch $@

clean:
	rm -rf demo demo-phantom dist .venv
