"""What the warehouse says to each claim: the rows of marts.claims.

Here: when a claim holds (`verdicts`), the paper's claims C1 to C9 (`paper`), and those that go beyond it, N1 to N5
(`beyond`), one function each, from plain arrays to a row. Not here: where the arrays come from. Source:
docs/method.md, 15 and 25.
"""

from laionet_assets.stats.claims import beyond, paper
from laionet_assets.stats.claims.verdicts import ClaimRow, Subject

__all__ = ["ClaimRow", "Subject", "beyond", "paper"]
