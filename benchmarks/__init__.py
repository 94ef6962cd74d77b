"""How fast, how lean and how cheap: this project beside peers and beside the physical floor, in one run."""
