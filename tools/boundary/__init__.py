"""The permissions boundary: its document as JSON, and which actions it allows."""
