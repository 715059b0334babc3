"""Containment: nothing of a server under test outlives its cell, and nothing of it reaches out of it.

The only folder that knows namespaces, subreapers and resource limits.
"""

from wnohang.contain.cell import Cell, ContainmentError, LaunchError, Limits, Output, Trap
from wnohang.contain.nursery import Nursery

__all__ = ["Cell", "ContainmentError", "LaunchError", "Limits", "Nursery", "Output", "Trap"]
