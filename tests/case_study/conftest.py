import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "lightning_modules"))  # small_mt5.py
