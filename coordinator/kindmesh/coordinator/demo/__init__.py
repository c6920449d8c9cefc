"""`kindmesh demo`: the main job on this machine, with real processes, real keys and a real kill."""
