# Every target sets up what it needs by itself; see scripts/bootstrap. One way to run make on somebody else's checkout
# is OVLCTL_VENV=DIR make test, but it also works without.

.PHONY: help demo test long-test boot-test box vm-test kernels lint pictures bench docs clean

help:
	@echo 'make demo   mount a stack, show who supplies what, measure a copy-up; as root or not'
	@echo 'make test   say what this machine can do and run every test that can run here, on all CPUs; ARGS="-k mount" chooses'
	@echo 'make long-test  drive real mounts at random for half an hour and compare; as root. EXAMPLES=9000 for longer'
	@echo 'make boot-test  boot a virtual machine that mounts stacks from units and fstab; as root, downloads it once'
	@echo 'make box    build the box of vagrant/ from this machine'"'"'s package mirror and add it; as root, on Debian, minutes'
	@echo 'make vm-test  run the tests that take root in the virtual machine of vagrant/; ARGS="-k mount" chooses'
	@echo 'make kernels  the same on every kernel of its box, and a table; KERNELS="5.10 7.3" chooses'
	@echo 'make lint   ruff, mypy, import-linter'
	@echo 'make bench  measure ovlctl itself'
	@echo 'make pictures  draw the pictures of the README anew, from the real program in a real browser'
	@echo 'make docs   write what is generated in docs/ anew'
	@echo 'make clean  remove the virtual environment and caches'

# Caches live beside the environment, so that nothing is left in a checkout that belongs to somebody else.
RUN = venv=$$(scripts/bootstrap run) && export PYTHONPYCACHEPREFIX="$$venv/cache/python" &&
DEV = venv=$$(scripts/bootstrap dev) && export PYTHONPYCACHEPREFIX="$$venv/cache/python" &&

demo:
	@$(RUN) exec "$$venv/bin/python" examples/demo.py

test:
	@$(DEV) export HYPOTHESIS_STORAGE_DIRECTORY="$$venv/cache/hypothesis" && \
	exec "$$venv/bin/python" -m $(if $(ARGS),pytest,tests.side_by_side) -o cache_dir="$$venv/cache/pytest" $(ARGS)

lint:
	@$(DEV) cache="$$venv/cache" && bin="$$venv/bin" && status=0; \
	step() { echo "$$1" >&2; shift; "$$@" || status=1; }; \
	step 'ruff check' "$$bin/ruff" check --cache-dir "$$cache/ruff" .; \
	step 'ruff format' "$$bin/ruff" format --cache-dir "$$cache/ruff" --check .; \
	step 'mypy' "$$bin/mypy" --cache-dir "$$cache/mypy"; \
	step 'import-linter' "$$bin/lint-imports" --cache-dir "$$cache/imports"; \
	exit $$status

# As many examples as take about half an hour.
EXAMPLES = 3000

long-test:
	@$(DEV) export HYPOTHESIS_STORAGE_DIRECTORY="$$venv/cache/hypothesis" && \
	export OVLCTL_MACHINE_EXAMPLES=$(EXAMPLES) OVLCTL_RESOLVER_EXAMPLES=$(EXAMPLES) && \
	exec "$$venv/bin/python" -m pytest -o cache_dir="$$venv/cache/pytest" tests/overlay $(ARGS)

boot-test:
	@$(DEV) exec "$$venv/bin/python" scripts/boot_test.py $(ARGS)

# As root, since the files of the guest belong to root; the box is added for whoever asked.
# In a directory of theirs: root would follow a link that somebody puts into one of everybody's.
BOX = vagrant/.vagrant/bookworm.box

box:
	@mkdir -p $(dir $(BOX))
	@$(if $(filter 0,$(shell id -u)),,sudo) vagrant/build-box.sh $(BOX) $(KERNELS)
	@vagrant box add --force --name ovlctl/bookworm $(BOX)
	@$(if $(filter 0,$(shell id -u)),,sudo) rm -f $(BOX)

# Without a machine this fails, and does not skip.
vm-test:
	@$(DEV) vagrant/site.sh && export HYPOTHESIS_STORAGE_DIRECTORY="$$venv/cache/hypothesis" OVLCTL_REQUIRE_VM=1 && \
	exec "$$venv/bin/python" -m pytest -o cache_dir="$$venv/cache/pytest" --vm -m 'needs and not boot' $(ARGS)

kernels:
	@$(DEV) vagrant/site.sh && export HYPOTHESIS_STORAGE_DIRECTORY="$$venv/cache/hypothesis" && \
	export PYTEST_ADDOPTS="$$PYTEST_ADDOPTS -o 'cache_dir=$$venv/cache/pytest'" && \
	exec "$$venv/bin/python" -m vagrant.kernels --kernels '$(KERNELS)' $(ARGS)

docs:
	@$(DEV) exec "$$venv/bin/python" scripts/errors_page.py

pictures:
	@$(DEV) exec "$$venv/bin/python" scripts/pictures.py

bench:
	@$(RUN) for script in benchmarks/*.py; do echo "== $$script" >&2; "$$venv/bin/python" "$$script" || exit; done

clean:
	if [ -e .venv/ovlctl-stamp ]; then rm -rf .venv; fi
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
