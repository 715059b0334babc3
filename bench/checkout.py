"""Importing this lets `wnohang.spec` be found in an uninstalled checkout, as its conftest does for pytest."""

from pathlib import Path

import wnohang

_CHECKOUT = str(Path(__file__).resolve().parent.parent)
if _CHECKOUT not in wnohang.__path__:
    wnohang.__path__.append(_CHECKOUT)
