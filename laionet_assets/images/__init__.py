"""Images: fetch them politely, keep their bytes once, and name sets of them.

Belongs here: `fetch` (URLs to verified bytes and one outcome a request), the store of bytes by content, and local image
sets by layout. Does not belong here: which samples are asked for (recipes are SQL), and what is read off the pictures
(`ocr`, `predictors`, `encoders`).
"""
