"""The parts and recipes that come with mmfuse. A guest: it uses the same door and hooks as every plugin, and brings only what a plugin could."""
