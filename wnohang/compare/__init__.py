"""Servers side by side: the same questions to each, in one run, turn by turn. It measures, and judges nobody."""
