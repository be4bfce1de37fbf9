"""The question bank: reading it from the files that organisers have, checking it, keeping it, showing it."""
