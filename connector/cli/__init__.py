"""The command line: verbs, output, exit codes. The roof of the house: nothing imports it."""
