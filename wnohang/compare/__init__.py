"""Servers side by side: the same questions to each, in one run, turn by turn. It measures, and judges nobody."""

from wnohang.compare.names import contestants
from wnohang.compare.plan import Plan, sizes
from wnohang.compare.running import Comparison
from wnohang.launch import UsageError

__all__ = ["Comparison", "Plan", "UsageError", "contestants", "sizes"]
