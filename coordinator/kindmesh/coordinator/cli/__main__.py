"""`python -m kindmesh.coordinator.cli`."""

from kindmesh.coordinator.cli.main import main

main()
