"""Several runs side by side: what `compare.py report` writes."""
