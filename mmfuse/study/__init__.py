"""What a fitted pipeline is worth, from its scores alone."""
