"""The torch side of the builtin parts; imported inside `build` only, so that listing parts loads no torch."""
