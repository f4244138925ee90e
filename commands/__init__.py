"""What all commands share: how they read a command line and YAML, and how they answer what a user can mend."""
