"""Models: how an mT5 is loaded, adapted, trained, made to generate and saved."""

import logging

# At import it asks for a package of CPU kernels from the hub, on every command, which nothing here uses.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
