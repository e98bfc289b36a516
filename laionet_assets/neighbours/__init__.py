"""Nearest vectors among very many: the captions nearest to ImageNet's captions (section 4.4 of the paper).

Here: an inverted file that is built piece by piece (`index`), searched piece by piece, and measured for what it misses
(`search`). Not here: which vectors, and where files lie. Source: docs/method.md, 21; the library is FAISS (Douze et
al. 2024).
"""
