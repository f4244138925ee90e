"""Models: how an mT5 is loaded, adapted, trained, made to generate and saved."""
