"""The commands of `mmfuse`: each parses, calls the Python API, shows.

A guest: only `import mmfuse`, click and (lazily) rich.
"""
