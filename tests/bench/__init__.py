"""Benchmarks: every stage of the warehouse beside the published way, on the same work in one run (`make bench`).

    measure.py     cpu-seconds, wall seconds and peak memory of a block, a function in a process of its own, a command
    captions.py    the captions to work on, and parts of any size made of them
    workspace.py   a warehouse in a temporary folder, and the timing of a step of its pipeline
    webserver.py   nginx on loopback
    published.py   the published way, in plain Python and pandas
    matching.py similarity.py selection.py checks.py fetching.py predicting.py results.py runs.py    the stages
    report.py      results as Markdown: docs/benchmarks.md

Nothing is asserted here: the report says which targets are met and which are missed.
"""
