"""The NumPy side: scores of sources → decisions and second stages, honestly fitted. Never meets `net`."""
