"""The native ops: kernels in C++ and CUDA behind a C ABI, each with a reference in Python of the same signature.

:mod:`animegen.ops.pictures` works on NumPy pictures and never imports torch; the ops on tensors are one module each.
Which implementation computes is chosen once, see :mod:`animegen.ops.library`; ``animegen ops status`` tells it.
"""
