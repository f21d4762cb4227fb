"""The embedded synthetic cohort: its generative model, the exact ideal observer, the pictures and the folder they are
written to.

`model` says what depends on what; `sampling` draws cases; `observer` knows how well anyone can do; `pictures` draws;
`release` writes. Each case's randomness comes from (seed, case) alone, so a longer cohort continues a shorter one.
"""
