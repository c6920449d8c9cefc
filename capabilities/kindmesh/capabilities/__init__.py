"""What devices can do: the capability base class, its worker process, and one folder for each capability."""
