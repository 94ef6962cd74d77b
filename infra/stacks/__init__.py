"""Thin: which components, wired how."""
