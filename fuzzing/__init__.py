"""A structure-aware fuzzer for both codecs: `scripts/fuzz [seconds]`.

`inputs.py` makes streams out of real frames, `checks.py` says what must hold for any stream,
`texts.py` what must hold for dumps of its frames,
`reduce.py` makes a stream that breaks it small, `__main__.py` runs and counts.
"""
