"""Reading printed text in photographs."""
