"""What a label could be read from that is not the disease: each source asked alone, out of fold, with an interval.

`asking` asks and weighs; `sources` says what is asked and what would be expected of it; `reading` cross-fits and places
an AUC; `association` tests; `facts` looks at image files; `copies` finds near-copies; `saying` puts it in words.
Nothing is dropped here: a person decides. Labels of `test` cases are not asked: evaluation alone touches them (law 2).
"""
