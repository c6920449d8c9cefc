# What can be done here. Run `./bootstrap NAME` (it sets things up first) or, once set up, `.venv/bin/just NAME`.

set positional-arguments

bin := justfile_directory() / ".venv" / "bin"
python := bin / "python"

# List the recipes
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# Set up, or bring up to date, what everything here needs
setup:
    @./bootstrap --version > /dev/null
    @echo "Set up. Try: ./bootstrap demo"

# Read a letter aloud on three made-up devices, and kill one of them halfway (--json, --image PATH)
demo *args:
    @"{{ bin }}/kindmesh" demo "$@"

# Run the tests (arguments go to pytest)
test *args:
    @"{{ python }}" -m pytest "$@"

# Everything that CI runs: lint, types, import rules, package smoke test, and `test` with its coverage measured
check: looks coverage

# What looks at the code without running its tests, all at once (just 1.42 or newer)
[parallel]
[private]
looks: lint types imports build

# Style: ruff's rules and its format
lint:
    @"{{ bin }}/ruff" check .
    @"{{ bin }}/ruff" format --check .

# Types: mypy, strict
types:
    @"{{ bin }}/mypy"

# Who may import what
imports:
    @"{{ bin }}/lint-imports" --no-cache

# `test`, measuring branch coverage; protocol and the pure machines must be covered completely
coverage:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" test --cov --cov-report=json --cov-report=
    @"{{ python }}" .ci/coverage_gate.py

# Look for bytes that break a decoder, for 60 seconds or as many as you say (fuzz 600; fuzz --replay FILE)
fuzz *args:
    @"{{ python }}" -m tests.fuzz "$@"

# Make the wheel and the source distribution, install each in a clean environment, and try them
build:
    @"{{ python }}" .ci/package_smoke.py

# Put the code into the format that lint expects
format:
    @"{{ bin }}/ruff" check --fix .
    @"{{ bin }}/ruff" format .

# Measure latency and throughput (for example: bench roundtrip --json)
bench *args:
    @"{{ bin }}/kindmesh" bench "$@"

# Examine what is understood and what Medulla lets by (exams all --data DIR --write puts the tables into the docs)
exams *args:
    @"{{ python }}" -m tests.exams "$@"

# Tests on real hardware, see hil/README.md
hil *args:
    @"{{ python }}" -m pytest hil "$@"

# Write the generated parts of docs/ and the public-API list again
docs:
    @"{{ python }}" .ci/generate.py

# Choose new versions of all dependencies and pin them in constraints.txt
lock:
    @"{{ python }}" .ci/lock.py
