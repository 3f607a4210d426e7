"""Pure: what to ask for next, cleaning, missing minutes and the frontier."""
