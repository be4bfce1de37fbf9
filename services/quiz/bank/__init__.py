"""The question bank of a contest."""
