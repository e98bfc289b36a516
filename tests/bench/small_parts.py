"""Stage small parts: what many parts of a thousand rows cost, made together, beside the same rows in one part.

The by-part tables that SQL makes are measured, and the checks of them; what they read is made before, unmeasured.
"""
