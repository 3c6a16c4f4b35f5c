"""Who is compared: one file each, and the list of those that are here."""

from benchmarks.peers.problem import Problem, Side

__all__ = ["Problem", "Side"]
