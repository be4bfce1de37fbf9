"""See app.py: it wires this service."""
