"""The search: population, budgets, history, executors, report."""
