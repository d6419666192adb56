"""How far apart two right answers may lie: tolerances that follow from the arithmetic.

A processor's BLAS kernel, and the number of its threads, say in which order a sum is taken, so the
last digits differ from machine to machine. `make kernels` runs the tests marked `numeric` on two
kernels more.
"""

from __future__ import annotations

import numpy as np


def of_dot(terms: int, dtype: type = np.float32) -> float:
    """How far two computed dot products of the same two unit vectors of ``terms`` may be apart.

    Each is within n·u of the true one, u being half the distance from 1 to the next number
    (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1).
    """
    return terms * float(np.finfo(dtype).eps)
