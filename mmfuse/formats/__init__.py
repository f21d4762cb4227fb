"""One narrow reader a format of files that come from elsewhere: npz, JSON, TOML and safetensors.

Each has limits on bytes, depth and members, trusts no word of the file, and refuses by mmfuse's own errors; whatever
is read in this project goes through them.
"""
