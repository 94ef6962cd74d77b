"""One capability each; a stack chooses and wires them. Parameters are keyword-only."""
