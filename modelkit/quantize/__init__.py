"""Smaller weights, and the proof that they are still as good: schemes, trials, and the choice among them."""
