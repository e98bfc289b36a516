"""Which classes there are: wnids, lemmas and definitions of WordNet, as ImageNet uses them.

Belongs here: reading a taxonomy into synsets, and which of them the paper's list has. Does not belong here: how
lemmas are matched (`sql/staging/lemmas.sql`), how queries are worded (`sql/staging/queries.sql`).
"""

from laionet_assets.taxonomy.synsets import Synset, TaxonomyError, load_synsets

__all__ = ["Synset", "TaxonomyError", "load_synsets"]
