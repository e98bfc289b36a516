"""Nearest vectors among very many: the captions nearest to ImageNet's captions (section 4.4 of the paper).

Here: an inverted file that is built piece by piece (`index`), searched piece by piece, and measured for what it misses
(`search`). Not here: which vectors, and where files lie. Source: method.md 1.19 and 8.4; the library is FAISS (Douze et
al. 2024).
"""
