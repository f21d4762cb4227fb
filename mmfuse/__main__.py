"""`python -m mmfuse` is the command `mmfuse`."""

from mmfuse.cli import main

if __name__ == "__main__":
    main(prog_name="mmfuse")
