"""Pictures: from bytes to pixels, the same way for everyone.

Belongs here: which formats are read, decoding within limits, what a profile makes of a picture (`admission`), proof
that bytes are a picture (`inspection`), and the stream that decodes in order (`stream`). Does not belong here: where
the bytes come from, and the models that look at pictures.
"""
