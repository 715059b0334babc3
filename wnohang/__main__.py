"""`python -m wnohang`: the same as `wnohang`."""

import sys

# Python puts the current folder first, and a submission there may hold a `hypothesis.py` of its own: out with it,
# before anything else is imported.
if not sys.flags.safe_path:
    del sys.path[0]

from wnohang.cli import main

if __name__ == "__main__":
    sys.exit(main())
