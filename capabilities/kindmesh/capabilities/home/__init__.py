"""The home: floors, areas and entities, their states, and what can be done with them."""
