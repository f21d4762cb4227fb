"""ODIR-5K.

`facts`: what the official release holds; `keywords`: what the doctors' words say of an eye; `release`: how a folder is
read; `adapter`: what is made of it, by patient; `eyes`: by eye.
"""
