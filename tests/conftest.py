"""The tests run in one process a core (pytest-xdist); so each of these, and what it starts, has one thread."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
