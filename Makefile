# Every target builds what it needs: Python 3.11 or newer, make and a package index are enough.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## Start a shop, the desk and simulated providers on this machine; Ctrl-C ends them all
	@bin/venv requirements.txt
	@exec .venv/bin/python manage.py demo

test: ## Run every test, on SQLite and on PostgreSQL, with a real browser
	@bin/venv requirements-dev.txt
	@exec .venv/bin/python bin/test

check: ## Format, lint, types, imports, templates, migrations, settings
	@bin/venv requirements-dev.txt
	@exec bin/check

bench: ## Measure speed as ratios within one run
	@if [ ! -x bench/run ]; then echo "There is no bench/run yet, so nothing was measured." >&2; exit 1; fi
	@bin/venv requirements-dev.txt
	@exec bench/run

lock: ## Compile both lock files anew from pyproject.toml
	@bin/venv requirements-dev.txt
	@exec bin/lock
