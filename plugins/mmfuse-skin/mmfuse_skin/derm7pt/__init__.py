"""derm7pt.

`facts`: what the official release holds; `release`: how a folder is read and compared with it;
`adapter`: what is made of it.
"""
