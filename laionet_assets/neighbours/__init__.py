"""Nearest vectors among very many: the captions nearest to ImageNet's captions (section 4.4 of the paper).

Here: an inverted file that is built piece by piece and searched piece by piece with the same result as one index of
everything (`index`), searching, and how much it misses (`search`). Not here: which vectors, and where files lie.
Source: method.md 1.19 and 8.4; the library is FAISS (Johnson et al. 2019).
"""
