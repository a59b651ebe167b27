"""A made-up company that sells a surgical navigation device with software to hospitals, told as neutral events.

Everything follows from the seed: the same seed tells the same two years, and living on one day twice is living on two days.
"""

from connector.sandbox.business.life import SEED_END, SEED_START, Business

__all__ = ["SEED_END", "SEED_START", "Business"]
