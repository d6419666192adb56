"""How far apart two correct results may be: tolerances that follow from the arithmetic.

The BLAS kernel and the number of threads decide in which order numbers are added. So the last
digits differ from machine to machine. `make kernels` runs the tests marked `numeric` on two more
kernels.
"""

from __future__ import annotations

import numpy as np


def of_dot(terms: int, dtype: type = np.float32) -> float:
    """How far two computed dot products of the same two unit vectors of ``terms`` may be apart.

    Each is within n·u of the true one, u being half the distance from 1 to the next number
    (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1).
    """
    return terms * float(np.finfo(dtype).eps)
