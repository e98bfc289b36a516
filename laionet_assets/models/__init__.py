"""Models: from the name that a user gives to one, to a module that computes.

Belongs here: which model is named and in which role (`spec`), where its weights come from and that they are no more
than tensors (`weights`), texts to token ids (`tokens`, `clip_tokens`), the text towers of three libraries and the loop
that embeds texts with one (`text_towers`, `text_encoder`), the texts of each class in zero-shot prediction (`prompts`),
where and in which precision a model runs, in batches that fit (`devices`, `fitting`), and what makes a model fast on a
CPU (`on_cpu`, `packed`, `preparing`). Does not belong here: what is done with the outputs (`encoders`, `predictors`,
`ocr`).
"""
