"""BUS-BRA.

`release`: how a folder is read and where it contradicts itself; `adapter`: what cases and card are made of it.
"""
