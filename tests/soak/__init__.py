"""What can befall a warehouse that works for months, many times over and seeded: kills, readers, two runs at once, a
full disk, a read-only mount, a clock that jumps. Whatever happens, what is published is what an undisturbed run made.

`make soak` runs the long form and writes docs/soak.md; tests/integration/test_soak.py runs a short one.
"""
