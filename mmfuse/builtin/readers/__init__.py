"""What the builtin modalities' `fit` returns. Light: Pillow and pyarrow come with the first file that is read."""
