"""Encoders: texts (and later images) to unit vectors whose dot product is the cosine similarity.

Here: which model a user names and what its embeddings depend on (`spec`), where its weights come from (`weights`),
the text towers of three libraries behind one small protocol (`text`, `towers`), and the tables of stored embeddings
(`embeddings`). Not here: which captions are embedded, where the tables lie, and how similar two vectors are: that is
SQL (`sql/core/caption_similarity.sql`).
"""
