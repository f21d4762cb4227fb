"""MILK10k.

`release`: how a folder is read, by the names of the ISIC archive and of the challenge; `adapter`: what is made of it.
"""
