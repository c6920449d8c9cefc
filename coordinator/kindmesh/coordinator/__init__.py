"""The home of the brain: the Heart (jobs and placement), Medulla (permits), and the command line."""
