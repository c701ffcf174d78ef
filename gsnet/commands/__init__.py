"""What the scripts run: one module a command, each with `main(argv)` and `command()`."""
