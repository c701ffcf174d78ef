"""What `import gsnet` offers to programs: arguments of Python's kind for what the rooms do."""
