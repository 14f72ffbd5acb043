"""The commands: the only place that reads arguments, prints, or exits."""

import os

# Strips are computed on our own threads; a BLAS that starts its own for each product only gets in their way.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")
