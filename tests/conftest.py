"""What must be set before TensorFlow and JAX start.

The tests run in one process a core (pytest-xdist); so each of these, and what it starts, has one thread. And XLA may not
undo on a CPU what `rematerialize` did; see `keras_llm.layers.rematerialization`. PyTorch's triton, where the peers are
installed, has to be there before TensorFlow: the other way round loading it crashes.
"""

import contextlib
import os

with contextlib.suppress(ImportError):
    import triton  # noqa: F401

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

os.environ.setdefault("XLA_FLAGS", "--xla_disable_hlo_passes=cse_barrier_expander")
