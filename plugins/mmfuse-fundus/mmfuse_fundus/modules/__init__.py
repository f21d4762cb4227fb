"""The torch side of the plugin's parts; imported by their `build` alone."""
