# The few commands people need. All of them want `pip install -e '.[test]'` first.
.PHONY: help lint format test quick docs

help:                ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

lint:                ## everything that is checked without running the tests
	ruff check
	ruff format --check
	mypy
	python -m batch_scan.report.docs --check
	python -m batch_scan.jobdocs --check

format:              ## mend what can be mended by a machine
	ruff format
	ruff check --fix

test:                ## the whole suite, as CI runs it
	pytest

quick:               ## what runs in seconds
	pytest -m 'not slow'

docs:                ## write the generated pages: docs/report.md, docs/job-file.md
	python -m batch_scan.report.docs
	python -m batch_scan.jobdocs
