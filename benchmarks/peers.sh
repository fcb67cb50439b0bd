#!/bin/sh
# An environment with the libraries that the benchmarks compare with: .venv-peers, beside .venv.
set -e
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv .venv-peers
.venv-peers/bin/pip install -q -e ".[test]" torch transformers
