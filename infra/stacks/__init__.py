"""Stacks: they create the components and connect them."""
