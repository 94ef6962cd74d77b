"""Loupe's serving core: one way from an event to a prediction.

event -> request -> source -> image -> tensor -> model -> prediction -> response.
Each arrow is one module; a module knows the next value's type and never the trigger.
"""
