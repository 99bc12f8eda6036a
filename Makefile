# RTAP. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MODULES := proto pkg services/capture services/vad services/stt services/egress cmd/rtap test
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# STRIP=1 leaves out what only a debugger needs.
LDFLAGS := $(if $(STRIP),-s -w) -X main.version=$(VERSION)
BUF := GOWORK=off go tool -modfile=../tools/buf/go.mod buf
TESTFLAGS ?=
BENCHFLAGS ?=
RIVALFLAGS ?=
CHAOSFLAGS ?=
# Where cgo finds libwhisper and its headers; the binding names the libraries itself.
export C_INCLUDE_PATH := $(CURDIR)/third_party/include$(if $(C_INCLUDE_PATH),:$(C_INCLUDE_PATH))
export LIBRARY_PATH := $(CURDIR)/third_party/lib$(if $(LIBRARY_PATH),:$(LIBRARY_PATH))
# WHISPER_BACKEND=cuda|vulkan needs the backend's own libraries as well.
WHISPER_BACKEND ?= cpu
export WHISPER_BACKEND
ifeq ($(WHISPER_BACKEND),cuda)
export CGO_LDFLAGS := -lggml-cuda -lcudart -lcublas -lcublasLt -lcuda -L/usr/local/cuda/lib64 $(CGO_LDFLAGS)
else ifeq ($(WHISPER_BACKEND),vulkan)
export CGO_LDFLAGS := -lggml-vulkan -lvulkan $(CGO_LDFLAGS)
endif
PACKAGES = $(addsuffix /...,$(addprefix ./,$(MODULES)))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## system packages, native parts and models; asks for root only when something is missing
	@scripts/deps.sh

build: deps ## the five binaries into bin/
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/rtap
	@for s in capture vad stt egress; do go build -ldflags '$(LDFLAGS)' -o bin/rtap-$$s ./services/$$s || exit 1; done

run: build ## a real recording through the whole pipeline
	bin/rtap up --source file:third_party/audio/jfk.wav --until-done

test-data: build ## models and recordings that only the tests need
	@scripts/test-data.sh

test: test-data ## every test, end to end included
	go test $(TESTFLAGS) $(PACKAGES)

test-native: ## every test; a missing native part is a failure
	RTAP_REQUIRE_NATIVE=1 $(MAKE) test

e2e: test-data ## only the end-to-end tests, with the real binaries
	RTAP_REQUIRE_NATIVE=1 go test -count=1 -v ./test/...

simulate: ## SCHEDULES=2000 schedules of deaths, pauses and losses on a fake clock; SEED=n repeats one with its log
	@set -o pipefail; go test -count=1 -timeout 60m -v -run '^TestSchedules$$' ./test/simulation $(if $(SEED),-seed $(SEED),-schedules $(or $(SCHEDULES),2000)) | grep -v '^ *\(=== RUN\|--- PASS\)'

chaos: build chaos-programs chaos-wallclock ## kills, stops, cuts and named moments against the real pipeline, forty minutes; SEED=n repeats a schedule
	RTAP_TEST_AUDIO=$${RTAP_TEST_AUDIO:-$$([ -d ../shared/audio ] && echo ../shared/audio)} bin/chaos/chaos -json bin/chaos/report$(if $(findstring part 2,$(CHAOSFLAGS)),-2).json $(CHAOSFLAGS)

with_failpoints = @mkdir -p $(1) && for p in cmd/rtap services/capture services/vad services/stt services/egress; do \
	  go build -tags failpoint $(2) -ldflags '$(LDFLAGS)' -o $(1)/$$(case $$p in services/*) echo rtap-;; esac)$${p\#\#*/} ./$$p || exit 1; done

chaos-programs: # the five programs with failpoints, and the suite
	$(call with_failpoints,bin/chaos)
	@go build -o bin/chaos/ ./test/chaos
	@cd test && go build -o ../bin/chaos/ github.com/nats-io/nats-server/v2

chaos-wallclock: # the five programs again, with a wall clock that can be stepped
	@go run ./test/chaos/wallclock bin/chaos/wallclock
	$(call with_failpoints,bin/chaos/wallclock,-overlay bin/chaos/wallclock/overlay.json)

bench: build ## one stream and sixteen in real time, beside the goals: about half an hour; pages in bench-report/
	@mkdir -p bench-report
	@set -o pipefail; for n in 1 16; do \
	  bin/rtap bench --streams $$n --utterances 300 --json bench-report/streams-$$n.json --html bench-report/streams-$$n.html \
	    $(BENCHFLAGS) | tee bench-report/streams-$$n.txt || exit 1; \
	done

bench-rivals: build ## the same clips through rtap, faster-whisper and whisper.cpp's server
	scripts/bench-rivals.sh $(RIVALFLAGS)

image: ## rtap:latest, the image of docker-compose.yml
	docker build -f deploy/docker/Dockerfile -t rtap:latest --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD) \
	  --build-arg WHISPER_BACKEND=$(WHISPER_BACKEND) .

e2e-compose: ## the container stack as an operator runs it; needs Docker or Podman, the manual's ports, twenty minutes
	go test -tags compose -count=1 -timeout 60m -v ./test/compose

test-clients: build ## Deepgram's SDKs, websockets and pyzmq against /v1/listen; installs them with pip and npm
	test/clients/run.sh

fmt: ## format the Go code
	gofmt -w $(MODULES)

lint: ## golangci-lint, each module
	@scripts/lint.sh $(MODULES)

generate: ## Go code from proto/
	cd proto && $(BUF) generate

check: test-data ## what CI runs: format, vet, lint, drift, builds alone, race tests
	@scripts/check.sh $(MODULES)

.PHONY: help deps build run chaos chaos-programs chaos-wallclock test-data test test-native e2e simulate bench bench-rivals fmt lint generate check image e2e-compose test-clients
