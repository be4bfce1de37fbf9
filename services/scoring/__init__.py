"""See app.py and work.py: they wire what this service shows, and what it does."""
