"""The official report and the draft letter: figures → document → Word, PDF, Excel, CSV. See compose.py, then jobs.py."""
