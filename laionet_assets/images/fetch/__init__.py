"""The image fetcher: requests in, one outcome for each out, bytes of good pictures to a sink.

Here: what is asked and what came of it (`outcomes`), what may be asked and how fast (`policy`), which addresses are
allowed (`address`), block lists (`blocklist`), opt-outs (`robots`), whose turn it is (`schedule`), hosts that are left
alone (`hosts`), one HTTP exchange (`exchange`), and the run that ties them (`run.fetch`, `run.fetch_all`). Not here:
whether bytes are a picture (`pictures`), where outcomes and bytes are kept, and which samples are due.

`outcomes`, `policy` and `progress` are light to import; `run` loads the HTTP client.
"""
