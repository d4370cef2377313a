# The few commands people need. All of them want `pip install -e '.[test]'` first.
.PHONY: help lint format test quick docs

help:                ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

lint:                ## everything that is checked without running the tests
	ruff check
	ruff format --check
	mypy
	interrogate --quiet batch_scan
	python -m batch_scan.report.docs --check

format:              ## mend what can be mended by a machine
	ruff format
	ruff check --fix

test:                ## the whole suite, as CI runs it
	pytest

quick:               ## what runs in seconds
	pytest -m 'not slow'

docs:                ## write docs/report.md from the schema
	python -m batch_scan.report.docs
