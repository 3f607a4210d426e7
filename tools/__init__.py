"""Programs for who looks after the engine; the engine itself imports none of them."""
