"""Encoders: unit vectors whose dot product is the cosine similarity, and the tables that store them (`embeddings`).

Not here: the text encoders themselves (`models.text_encoder`: zero-shot prediction has them too), which captions are
embedded, where the tables lie, and how similar two vectors are: that is SQL (`sql/core/caption_similarity.sql`).
"""
