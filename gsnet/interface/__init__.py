"""What every script shares: options, messages, exit statuses and files that a kill cannot tear."""
