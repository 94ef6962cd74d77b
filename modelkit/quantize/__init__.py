"""Quantization: schemes, trials that compare accuracy and latency, and the choice among them."""
