"""`python -m lcma` is the command `lcma`."""

from lcma.harness.cli.main import main

main()
