"""What is said of a table before anything is done with it: a card is drafted, its content audited. It refuses nothing.

It works from tables and cases alone, and nothing below knows it.
"""
